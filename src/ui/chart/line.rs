//! A line: how a number went, and where it goes at this pace.

use crate::tokens::Tokens;
use crate::ui::chart::Bucket;
use crate::ui::chart::colour::Colour;
use crate::ui::chart::figure::{COLUMN, Entry, Figure, HEIGHT, plot_width};
use crate::ui::chart::label::{LABEL, Labels, STEP, Spot};
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

/// Between a line's end and its name, so that the name is not on the dot.
const BESIDE_DOT: i64 = 6;

/// The line's own name stands left of its end, on the side from which the line does not come. None where there is no room for it, at the
/// left edge.
fn own_place(values: &[Tokens], buckets: usize, scale: Scale) -> Option<(usize, i64)> {
    let [.., before, last] = values else { return None };
    let y = HEIGHT - scale.height(*last, HEIGHT);
    let (above, below) = (y - BESIDE_DOT - LABEL, y + BESIDE_DOT);
    let falls = before >= last && below + LABEL <= HEIGHT;
    let top = if falls || above < 0 { below } else { above };
    let column = values.len() - 1;
    (column * 6 >= buckets).then_some((column, top / STEP))
}

/// The forecast and the edges of its band are named at their ends, beside the chart.
fn labels(values: &[Tokens], forecast: &[Band], buckets: usize, scale: Scale) -> Labels {
    let x = x((values.len() + forecast.len()).saturating_sub(1));
    let ends = forecast.last().into_iter().flat_map(|end| [end.low, end.expected, end.high]);
    let spots: Vec<Spot> = ends.map(|value| Spot { x, y: HEIGHT - scale.height(value, HEIGHT), nothing: false }).collect();
    Labels { inside: own_place(values, buckets, scale), ..Labels::beside(&spots, plot_width(buckets), false) }
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
    let (shapes, labels) = (shapes(&values, &forecast, scale), labels(&values, &forecast, buckets.len(), scale));
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
        let swatch = |shape| Entry::swatch(Colour::Series(0), shape);
        entries.push(expected(t!("At least"), swatch("chart-swatch-band"), |band| band.low));
        entries.push(expected(t!("Forecast"), swatch("chart-swatch-dashed"), |band| band.expected));
        entries.push(expected(t!("At most"), swatch("chart-swatch-band"), |band| band.high));
    }
    view! { <Figure id label heading buckets entries scale all shapes labels /> }
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
    fn a_line_is_named_at_its_end_where_it_does_not_come_from() {
        let place = |values: &[i64], buckets| {
            own_place(&values.iter().copied().map(Tokens).collect::<Vec<_>>(), buckets, Scale::reaching(Tokens(100)))
        };
        assert_eq!(place(&[100, 70], 3), Some((1, 16)), "below a line that falls: it ends at 60");
        assert_eq!(place(&[20, 70], 3), Some((1, 8)), "above one that rises");
        assert_eq!(place(&[20, 10], 3), Some((1, 38)), "but not below the base");
        assert_eq!(place(&[20, 100], 3), Some((1, 1)), "nor above the top");
        assert_eq!(place(&[100, 70], 30), None, "no room");
        assert_eq!([place(&[70], 1), place(&[], 0)], [None, None]);
    }

    #[test]
    fn what_is_expected_is_named_at_its_ends_and_apart() {
        let band = |expected: i64, spread: i64| Band {
            expected: Tokens(expected),
            low: Tokens(expected - spread),
            high: Tokens(expected + spread),
        };
        let places = |band: Band| labels(&[Tokens(100)], &[band], 2, Scale::reaching(Tokens(100)));
        let wide = places(band(50, 30));
        assert_eq!((wide.places, wide.between.as_str()), (vec![38, 23, 8], ""));
        let narrow = places(band(50, 1));
        assert_eq!((narrow.places, narrow.within.as_str()), (vec![28, 23, 18], "M150 102.5H200M150 98.5H200"));
        assert_eq!(labels(&[Tokens(100)], &[], 1, Scale::reaching(Tokens(100))), Labels::default());
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
