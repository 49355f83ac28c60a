//! A line: how a number went, and where it goes at this pace.

use crate::tokens::Tokens;
use crate::ui::chart::Bucket;
use crate::ui::chart::colour::Colour;
use crate::ui::chart::figure::{COLUMN, Entry, Figure, HEIGHT};
use crate::ui::chart::scale::Scale;
use crate::{push, t};
use leptos::prelude::*;

/// What is expected of one bucket, and between what it may come to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Band {
    pub expected: Tokens,
    pub low: Tokens,
    pub high: Tokens,
}

/// The middle of a column. Shapes have ten times the columns' units, for lines without steps.
fn x(place: usize) -> i64 {
    i64::try_from(place).unwrap_or_default() * COLUMN + COLUMN / 2
}

/// To this value in column `place`: `M` without a line, `L` with one.
fn push_point(path: &mut String, command: char, place: usize, value: Tokens, scale: Scale) {
    let tenths = HEIGHT * 10 - scale.height(value, HEIGHT * 10);
    push!(path, "{command}{} {}.{}", x(place), tenths / 10, tenths % 10);
}

/// A line through values, the first of which stands in column `from`.
fn push_line(path: &mut String, values: impl IntoIterator<Item = Tokens>, from: usize, scale: Scale) {
    for (n, value) in values.into_iter().enumerate() {
        push_point(path, if n == 0 { 'M' } else { 'L' }, from + n, value, scale);
    }
}

/// The line of what was, the dashed one of what is expected, and the band around it, which begins where the first ends.
fn shapes(values: &[Tokens], forecast: &[Band], scale: Scale) -> String {
    let (last, from) = (values.last().copied(), values.len().saturating_sub(1));
    let joined = |part: fn(&Band) -> Tokens| last.into_iter().chain(forecast.iter().map(part));
    let mut svg = String::new();
    if !forecast.is_empty() {
        svg.push_str(r#"<path d=""#);
        push_line(&mut svg, joined(|band| band.high), from, scale);
        let low: Vec<Tokens> = joined(|band| band.low).collect();
        for (n, value) in low.into_iter().enumerate().rev() {
            push_point(&mut svg, 'L', from + n, value, scale);
        }
        svg.push_str(r#"z" class="chart-band series-1"></path><path d=""#);
        push_line(&mut svg, joined(|band| band.expected), from, scale);
        svg.push_str(r#"" class="chart-line chart-line-dashed series-1"></path>"#);
    }
    svg.push_str(r#"<path d=""#);
    push_line(&mut svg, values.iter().copied(), 0, scale);
    svg.push_str(r#"" class="chart-line series-1"></path>"#);
    // A line of no length with round ends is a dot, whatever the chart's proportions.
    if let Some(value) = last {
        svg.push_str(r#"<path d=""#);
        push_point(&mut svg, 'M', from, value, scale);
        svg.push_str(r#"h0" class="chart-dot series-1"></path>"#);
    }
    svg
}

/// `values` stand in the first buckets, `forecast` in those after them. `name`: what the line is; `heading`: what buckets are.
#[component]
pub fn LineChart(
    #[prop(into)] id: String,
    #[prop(into)] label: String,
    heading: &'static str,
    name: &'static str,
    buckets: Vec<Bucket>,
    values: Vec<Tokens>,
    #[prop(optional)] forecast: Vec<Band>,
) -> impl IntoView {
    let largest = values.iter().copied().chain(forecast.iter().map(|band| band.high)).max().unwrap_or_default();
    let scale = Scale::reaching(largest);
    let shapes = shapes(&values, &forecast, scale);
    let all = buckets.get(values.len().saturating_sub(1)).map(|bucket| bucket.name.clone()).unwrap_or_default();
    let was = Entry {
        name: name.into(),
        swatch: Entry::swatch(Colour::Series(0), "chart-swatch-line"),
        says: values.last().copied(),
        values: values.iter().copied().map(Some).collect(),
    };
    let expected = |name: &str, swatch: String, part: fn(&Band) -> Tokens| Entry {
        name: name.into(),
        swatch,
        says: None,
        values: values.iter().map(|_| None).chain(forecast.iter().map(|band| Some(part(band)))).collect(),
    };
    let mut entries = vec![was];
    if !forecast.is_empty() {
        entries.push(expected(t!("Forecast"), Entry::swatch(Colour::Series(0), "chart-swatch-dashed"), |band| band.expected));
        entries.push(expected(t!("At least"), Entry::swatch(Colour::Series(0), "chart-swatch-band"), |band| band.low));
        entries.push(expected(t!("At most"), "chart-swatch".into(), |band| band.high));
    }
    view! { <Figure id label heading buckets entries scale all shapes /> }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_through_the_middle_of_its_columns() {
        let line = |values: &[i64], from| {
            let mut path = String::new();
            push_line(&mut path, values.iter().copied().map(Tokens), from, Scale::reaching(Tokens(100)));
            path
        };
        assert_eq!(line(&[0, 50, 100], 0), "M50 200.0L150 100.0L250 0.0");
        assert_eq!(line(&[33], 4), "M450 134.0");
        assert_eq!(line(&[], 0), "");
    }

    #[test]
    fn a_forecast_without_a_past_begins_in_the_first_column() {
        let band = Band { expected: Tokens(50), low: Tokens(0), high: Tokens(100) };
        assert_eq!(
            shapes(&[], &[band, band], Scale::reaching(Tokens(100))),
            concat!(
                r#"<path d="M50 0.0L150 0.0L150 200.0L50 200.0z" class="chart-band series-1"></path>"#,
                r#"<path d="M50 100.0L150 100.0" class="chart-line chart-line-dashed series-1"></path>"#,
                r#"<path d="" class="chart-line series-1"></path>"#
            )
        );
    }
}
