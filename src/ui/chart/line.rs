//! A line: how a number went, and where it goes at this pace.

use crate::i18n::language;
use crate::t;
use crate::tokens::Tokens;
use crate::ui::chart::Bucket;
use crate::ui::chart::colour::Colour;
use crate::ui::chart::figure::{COLUMN, Entry, Figure, HEIGHT};
use crate::ui::chart::scale::Scale;
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

fn y(value: Tokens, scale: Scale) -> String {
    let tenths = HEIGHT * 10 - scale.height(value, HEIGHT * 10);
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// A line through values, the first of which stands in column `from`.
fn line(values: &[Tokens], from: usize, scale: Scale) -> String {
    let points = values.iter().enumerate().map(|(n, value)| {
        let command = if n == 0 { 'M' } else { 'L' };
        format!("{command}{} {}", x(from + n), y(*value, scale))
    });
    points.collect()
}

/// The line of what was, the dashed one of what is expected, and the band around it, which begins where the first ends.
fn shapes(values: &[Tokens], forecast: &[Band], scale: Scale) -> AnyView {
    let from = values.len().saturating_sub(1);
    let last = values.last().copied();
    let joined = |part: fn(&Band) -> Tokens| last.into_iter().chain(forecast.iter().map(part)).collect::<Vec<_>>();
    let start = if last.is_some() { from } else { 0 };
    let (low, high) = (joined(|band| band.low), joined(|band| band.high));
    let back: String = low.iter().enumerate().rev().map(|(n, value)| format!("L{} {}", x(start + n), y(*value, scale))).collect();
    let band = (!forecast.is_empty()).then(|| {
        view! {
            <path class="chart-band series-1" d=format!("{}{back}z", line(&high, start, scale)) />
            <path class="chart-line chart-line-dashed series-1" d=line(&joined(|band| band.expected), start, scale) />
        }
    });
    // A line of no length with round ends is a dot, whatever the chart's proportions.
    let dot = last.map(|value| view! { <path class="chart-dot series-1" d=format!("M{} {}h0", x(from), y(value, scale)) /> });
    view! {
        {band}
        <path class="chart-line series-1" d=line(values, 0, scale) />
        {dot}
    }
    .into_any()
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
        says: values.last().map(|value| value.short_in(language()).to_string()),
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
        let scale = Scale::reaching(Tokens(100));
        assert_eq!(line(&[0, 50, 100].map(Tokens), 0, scale), "M50 200.0L150 100.0L250 0.0");
        assert_eq!(line(&[33].map(Tokens), 4, scale), "M450 134.0");
        assert_eq!(line(&[], 0, scale), "");
    }
}
