//! Stacked bars: how much there was of each, one bar a bucket.

use crate::tokens::Tokens;
use crate::ui::chart::Bucket;
use crate::ui::chart::colour::{Colour, Colours};
use crate::ui::chart::figure::{COLUMN, Entry, Figure, HEIGHT, plot_width};
use crate::ui::chart::label::{Labels, Spot};
use crate::ui::chart::scale::Scale;
use crate::{push, t};
use leptos::prelude::*;

/// What one key, one model, one member has in each bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    pub name: String,
    pub values: Vec<Tokens>,
}

impl Series {
    fn total(&self) -> Tokens {
        Tokens(self.values.iter().fold(0, |sum, value| sum.saturating_add(value.0)))
    }

    fn at(&self, place: usize) -> Tokens {
        self.values.get(place).copied().unwrap_or_default()
    }
}

/// More than these, and "other", no eye tells apart.
const MOST_SERIES: usize = 4;

/// The largest, largest first, each in its colour, and the rest as one.
fn ranked(mut series: Vec<Series>, buckets: usize, colours: &Colours) -> Vec<(Series, Colour)> {
    // Equal ones by name, so that two renderings of one thing are one.
    series.sort_by(|a, b| b.total().cmp(&a.total()).then_with(|| a.name.cmp(&b.name)));
    let rest = if series.len() > MOST_SERIES { series.split_off(MOST_SERIES) } else { Vec::new() };
    let apart = colours.apart(&series.iter().map(|series| series.name.as_str()).collect::<Vec<_>>());
    let mut ranked: Vec<_> = series.into_iter().zip(apart).collect();
    if !rest.is_empty() {
        let values = (0..buckets).map(|place| sum(&rest, place)).collect();
        ranked.push((Series { name: t!("Other").into(), values }, Colour::Other));
    }
    ranked
}

/// `1 Dec 2026 – 31 Dec 2026`
fn span(buckets: &[Bucket]) -> String {
    match buckets {
        [] => String::new(),
        [only] => only.name.clone(),
        [first, .., last] => format!("{} – {}", first.name, last.name),
    }
}

fn sum<'a>(series: impl IntoIterator<Item = &'a Series>, place: usize) -> Tokens {
    Tokens(series.into_iter().fold(0, |sum, series| sum.saturating_add(series.at(place).0.max(0))))
}

/// The parts of one bar from the base up: y and height of each. A part that is more than nothing can be seen, and between two parts is a
/// gap where there is room for it.
fn parts(values: &[Tokens], scale: Scale) -> Vec<(i64, i64)> {
    let (mut below, mut top, mut parts) = (0_i64, 0, Vec::with_capacity(values.len()));
    let last = values.iter().rposition(|value| value.0 > 0);
    for (place, value) in values.iter().enumerate() {
        below = below.saturating_add(value.0.max(0));
        let end = scale.height(Tokens(below), HEIGHT).max(if value.0 > 0 { top + 1 } else { top }).min(HEIGHT);
        let gap = i64::from(Some(place) != last && end - top > 3);
        parts.push((HEIGHT - end + gap, end - top - gap));
        top = end;
    }
    parts
}

/// Columns are as wide as the chart allows, bars not wider than a twelfth of it.
fn bar_width(buckets: usize) -> i64 {
    (i64::try_from(buckets).unwrap_or(COLUMN) * COLUMN / 12).clamp(1, COLUMN * 7 / 10)
}

/// The bar of one bucket: its parts, as [`parts`] has them, and where it begins, of bars that are `width` wide.
fn bar(ranked: &[(Series, Colour)], place: usize, width: i64, scale: Scale) -> (Vec<(i64, i64)>, i64) {
    let values: Vec<Tokens> = ranked.iter().map(|(series, _)| series.at(place)).collect();
    let column = i64::try_from(place).unwrap_or_default();
    (parts(&values, scale), column * COLUMN + (COLUMN - width) / 2)
}

/// One path a series: a third of what a rectangle a value would weigh.
fn shapes(ranked: &[(Series, Colour)], buckets: usize, scale: Scale) -> String {
    let width = bar_width(buckets);
    let mut paths = vec![String::new(); ranked.len()];
    for place in 0..buckets {
        let (parts, x) = bar(ranked, place, width, scale);
        for (path, (y, height)) in paths.iter_mut().zip(parts).filter(|(_, (_, height))| *height > 0) {
            push!(path, "M{x} {y}h{width}v{height}h-{width}z");
        }
    }
    let mut svg = String::new();
    for (path, (_, colour)) in paths.iter().zip(ranked) {
        push!(svg, r#"<path d="{path}" class="chart-fill {}"></path>"#, colour.class());
    }
    svg
}

/// A part that is lower than this does not show which one it is.
const SEEN: i64 = 3;

/// A bar is close to the names beside it where there are so many.
const CLOSE: usize = 5;

/// Which bar is named by its parts: of the last few the latest in which most parts can be seen, for a day that has just begun has next to
/// nothing of any. What is still to come is not one of them.
fn named_bar(ranked: &[(Series, Colour)], buckets: usize, scale: Scale) -> usize {
    let seen = |place: &usize| bar(ranked, *place, 1, scale).0.iter().filter(|(_, height)| *height >= SEEN).count();
    let last = (0..buckets).rev().find(|place| ranked.iter().any(|(series, _)| series.at(*place).0 > 0));
    let last = last.unwrap_or(buckets.saturating_sub(1));
    ((last + 1).saturating_sub(few(buckets))..=last).max_by_key(seen).unwrap_or(last)
}

/// The last few of so many bars.
fn few(buckets: usize) -> usize {
    buckets.div_ceil(12).clamp(2, 4)
}

fn labels(ranked: &[(Series, Colour)], buckets: usize, scale: Scale) -> Labels {
    let place = named_bar(ranked, buckets, scale);
    let (bar_width, plot_width) = (bar_width(buckets), plot_width(buckets));
    let (parts, x) = bar(ranked, place, bar_width, scale);
    // Before much that is still to come, hairlines would look like lines that are drawn.
    let after = buckets.saturating_sub(place + 1);
    let x = if after > few(buckets) { plot_width } else { x + bar_width };
    let spots: Vec<Spot> = parts.into_iter().map(|(y, height)| Spot { x, y: y + height / 2, nothing: height == 0 }).collect();
    Labels::beside(&spots, plot_width, after > 0 || buckets < CLOSE)
}

/// `colours` of all names that other charts of the account show; `heading` is what buckets are, as a table's head.
#[component]
pub fn StackedBars(
    #[prop(into)] id: String,
    #[prop(into)] label: String,
    heading: &'static str,
    buckets: Vec<Bucket>,
    series: Vec<Series>,
    #[prop(optional)] colours: Colours,
) -> impl IntoView {
    let sums: Vec<Tokens> = (0..buckets.len()).map(|place| sum(&series, place)).collect();
    let scale = Scale::reaching(sums.iter().copied().max().unwrap_or_default());
    let ranked = ranked(series, buckets.len(), &colours);
    let (shapes, labels) = (shapes(&ranked, buckets.len(), scale), labels(&ranked, buckets.len(), scale));
    let total = sums.iter().fold(0_i64, |sum, tokens| sum.saturating_add(tokens.0));
    let sum_entry = Entry {
        name: t!("Total").into(),
        swatch: "chart-swatch".into(),
        says: Some(Tokens(total)),
        values: sums.into_iter().map(Some).collect(),
    };
    let parts = ranked.into_iter().map(|(series, colour)| Entry {
        swatch: Entry::swatch(colour, "chart-swatch-area"),
        says: Some(series.total()),
        values: (0..buckets.len()).map(|place| Some(series.at(place))).collect(),
        name: series.name,
    });
    let entries = std::iter::once(sum_entry).chain(parts).collect();
    let all = span(&buckets);
    view! { <Figure id label heading buckets entries scale all shapes labels /> }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, values: &[i64]) -> Series {
        Series { name: name.into(), values: values.iter().copied().map(Tokens).collect() }
    }

    #[test]
    fn four_are_named_and_the_rest_is_one() {
        let all = ["a", "b", "c", "d", "e", "f"].iter().zip([1_i64, 6, 2, 5, 3, 4]).map(|(name, n)| series(name, &[n, 10 * n])).collect();
        let ranked = ranked(all, 2, &Colours::default());
        let names: Vec<_> = ranked.iter().map(|(series, _)| series.name.as_str()).collect();
        assert_eq!(names, ["b", "d", "f", "e", "Other"]);
        assert_eq!(ranked[4], (series("Other", &[3, 30]), Colour::Other));
    }

    #[test]
    fn parts_stand_on_one_another_and_none_disappears() {
        let scale = Scale::reaching(Tokens(100));
        assert_eq!(parts(&[50, 30, 20].map(Tokens), scale), [(101, 99), (41, 59), (0, 40)]);
        assert_eq!(parts(&[0, 0].map(Tokens), scale), [(200, 0), (200, 0)]);
        let scale = Scale::reaching(Tokens(1_000_000));
        assert_eq!(parts(&[1, 0, 1].map(Tokens), scale), [(199, 1), (199, 0), (198, 1)]);
    }

    #[test]
    fn the_most_there_can_be_is_drawn() {
        let scale = Scale::reaching(Tokens(i64::MAX));
        for (y, height) in parts(&[i64::MAX, i64::MAX].map(Tokens), scale) {
            assert!(y >= 0 && height >= 0 && y + height <= HEIGHT, "{y} {height}");
        }
    }

    /// A hundred high: two of the shapes' units a Token.
    fn ranked_of(series: Vec<Series>, buckets: usize) -> (Vec<(Series, Colour)>, Scale) {
        (ranked(series, buckets, &Colours::default()), Scale::reaching(Tokens(100)))
    }

    #[test]
    fn the_bar_that_is_named_is_the_latest_that_shows_its_parts() {
        let named = |a: &[i64], b: &[i64]| {
            let (ranked, scale) = ranked_of(vec![series("a", a), series("b", b)], a.len());
            named_bar(&ranked, a.len(), scale)
        };
        assert_eq!(named(&[50, 50, 50], &[40, 40, 40]), 2);
        assert_eq!(named(&[50, 50, 1], &[40, 40, 0]), 1, "a day has just begun");
        assert_eq!(named(&[50, 50, 50], &[40, 0, 0]), 2, "not for a part that is long gone");
        assert_eq!(named(&[50, 50, 50, 0, 0, 0], &[40, 40, 0, 0, 0, 0]), 1, "hours are to come");
        assert_eq!(named(&[0, 0, 0], &[0, 0, 0]), 2);
        assert_eq!(named(&[], &[]), 0);
    }

    #[test]
    fn names_stand_at_the_middle_of_what_they_name() {
        let sevens = |last: i64| [40, 40, 40, 40, 40, 40, last];
        let (ranked, scale) = ranked_of(vec![series("a", &sevens(60)), series("b", &sevens(30))], 7);
        // From 200 up to 80, and on to 20.
        assert_eq!(labels(&ranked, 7, scale), Labels { places: vec![33, 10], ..Labels::default() });
        let (ranked, scale) = ranked_of(vec![series("a", &sevens(4)), series("b", &sevens(2))], 7);
        let close = labels(&ranked, 7, scale);
        assert_eq!(close.places, [45, 40]);
        assert!(close.within.starts_with("M679 ") && close.within.ends_with("H700"), "{close:?}");
    }

    #[test]
    fn one_bar_alone_has_its_hairlines_and_hours_to_come_have_none() {
        let (one, scale) = ranked_of(vec![series("a", &[60]), series("b", &[30])], 1);
        assert!(labels(&one, 1, scale).within.starts_with("M54 140.5H100"));
        let morning = |n: i64| (0..24).map(|hour| if hour < 6 { n } else { 0 }).collect::<Vec<_>>();
        let (day, scale) = ranked_of(vec![series("a", &morning(60)), series("b", &morning(30))], 24);
        let labels = labels(&day, 24, scale);
        assert!(labels.within.is_empty() && labels.between.starts_with("M0 140.5L"), "{labels:?}");
    }

    #[test]
    fn few_bars_are_not_walls() {
        assert_eq!([1, 7, 31, 90].map(bar_width), [8, 58, 70, 70]);
    }
}
