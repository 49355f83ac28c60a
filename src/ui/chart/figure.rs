//! What every chart has around its shapes: scale, columns with their values, key, table.

use crate::html::Escaped;
use crate::i18n::language;
use crate::tokens::Tokens;
use crate::ui::amount::counted;
use crate::ui::chart::Bucket;
use crate::ui::chart::colour::Colour;
use crate::ui::chart::scale::Scale;
use crate::ui::table::{Head, TextRow, TextTable};
use crate::{push, t};
use leptos::prelude::*;

/// Width of a column in the shapes' own units; their height is that of the plot in `style/chart.css`.
pub(super) const COLUMN: i64 = 100;
pub(super) const HEIGHT: i64 = 200;

/// The dates below a chart, at most: where it is wide, where it is narrow.
const MOST_DATES: usize = 8;
const MOST_DATES_NARROW: usize = 3;

/// A line of the key, of each column's values, and a column of the table.
pub(super) struct Entry {
    pub name: String,
    /// Empty for what has no shape of its own: a sum, the edges of a band.
    pub swatch: String,
    /// What the key says while no column is looked at.
    pub says: Option<String>,
    /// For each bucket; `None` where it has no value.
    pub values: Vec<Option<Tokens>>,
}

impl Entry {
    pub fn swatch(colour: Colour, shape: &str) -> String {
        format!("chart-swatch {} {shape}", colour.class())
    }
}

/// `id`: of this chart among all of the page. `label`: the chart in a sentence. `heading`: what buckets are, as a table's head.
#[component]
pub(super) fn Figure(
    id: String,
    label: String,
    heading: &'static str,
    buckets: Vec<Bucket>,
    entries: Vec<Entry>,
    scale: Scale,
    /// What the key's first line says while no column is looked at.
    all: String,
    shapes: AnyView,
) -> impl IntoView {
    let view_box = format!("0 0 {} {HEIGHT}", i64::try_from(buckets.len().max(1)).unwrap_or(1) * COLUMN);
    let table_id = format!("{id}-table");
    let key = entries.iter().map(|entry| {
        let (swatch, name, says) = (entry.swatch.clone(), entry.name.clone(), entry.says.clone());
        view! { <li><span class=swatch></span> <span class="chart-name">{name}</span> <b>{says}</b></li> }
    });
    let key = key.collect_view();
    view! {
        <figure class="chart" role="group" aria-label=label>
            <a class="chart-skip button" href=format!("#{table_id}")>{t!("Skip the chart")}</a>
            <div class="chart-body">
                <ol class="chart-scale" aria-hidden="true">{ticks(scale)}</ol>
                <div class="chart-plot">
                    <svg viewBox=view_box preserveAspectRatio="none" aria-hidden="true" focusable="false">
                        {grid(scale, buckets.len())}
                        {shapes}
                    </svg>
                    {(scale.steps() == 0).then(|| view! { <p class="chart-nothing" aria-hidden="true">{t!("Nothing in this time")}</p> })}
                    <ol class="chart-columns" inner_html=columns(&buckets, &entries)></ol>
                </div>
                <div class="chart-key">
                    <p aria-hidden="true">{all}</p>
                    <ul>{key}</ul>
                </div>
            </div>
            <details class="chart-table" id=table_id>
                <summary>{t!("As a table")}</summary>
                <Twin heading buckets entries caption=label.clone() />
            </details>
        </figure>
    }
}

fn ticks(scale: Scale) -> impl IntoView {
    scale.ticks().map(|tick| view! { <li>{tick.short_in(language()).to_string()}</li> }).collect_view()
}

fn grid(scale: Scale, buckets: usize) -> impl IntoView {
    let width = i64::try_from(buckets.max(1)).unwrap_or(1) * COLUMN;
    let lines = (1..=scale.steps()).map(|n| HEIGHT - HEIGHT * n / scale.steps());
    let path: String = lines.map(|y| format!("M0 {y}H{width}")).collect();
    view! {
        <path class="chart-grid" d=path />
        <path class="chart-base" d=format!("M0 {HEIGHT}H{width}") />
    }
}

/// As text, like the table: there are thirty of them, each with all its values.
fn columns(buckets: &[Bucket], entries: &[Entry]) -> String {
    let mut html = String::new();
    for (place, (bucket, date)) in buckets.iter().zip(dates(buckets.len())).enumerate() {
        let role = if bucket.href.is_some() { "group" } else { "img" };
        let spoken = spoken(bucket, place, entries);
        push!(html, r#"<li><span class="chart-column" tabindex="0" role="{role}" aria-label="{}">"#, Escaped(&spoken));
        // A link under a finger opens with the second tap, since the first shows the values. Most columns are too narrow to be a target
        // of their own (WCAG 2.5.8); the table has every link in full size.
        if let Some(href) = &bucket.href {
            let label = t!("Open {name}", name = bucket.name);
            push!(html, r#"<a class="chart-open" href="{}" aria-label="{}"></a>"#, Escaped(href), Escaped(&label));
        }
        push!(html, r#"<span class="chart-readout" aria-hidden="true"><span>{}</span>"#, Escaped(&bucket.name));
        for entry in entries {
            push!(html, "<b>{}</b>", said(entry, place));
        }
        push!(html, "</span></span>");
        if let Some(class) = date {
            push!(html, r#"<span class="{class}" aria-hidden="true">{}</span>"#, Escaped(&bucket.short));
        }
        push!(html, "</li>");
    }
    html
}

/// An entry's value in a column, if it has one.
fn said(entry: &Entry, place: usize) -> String {
    entry.values.get(place).copied().flatten().map_or("–".to_string(), Tokens::exact)
}

/// `24 Dec 2026: 1,234 Tokens; alpha 1,000; beta 234`
fn spoken(bucket: &Bucket, place: usize, entries: &[Entry]) -> String {
    let (colon, semicolon) = language().choose((": ", "; "), ("：", "；"));
    let (mut spoken, mut separator) = (bucket.name.clone(), colon);
    for (rank, entry) in entries.iter().enumerate() {
        match entry.values.get(place).copied().flatten() {
            Some(value) if rank == 0 => push!(spoken, "{separator}{}", counted(value)),
            None | Some(Tokens(0)) => continue,
            Some(value) => push!(spoken, "{separator}{} {}", entry.name, value.exact()),
        }
        separator = semicolon;
    }
    spoken
}

/// Which columns say their date, as the class of it: so many as fit, counted from the last, which is now.
fn dates(buckets: usize) -> Vec<Option<&'static str>> {
    let every = buckets.div_ceil(MOST_DATES).max(1);
    let every_narrow = every * buckets.div_ceil(every).div_ceil(MOST_DATES_NARROW).max(1);
    let date = |place: usize| match buckets - 1 - place {
        back if back.is_multiple_of(every_narrow) => Some("chart-date"),
        back if back.is_multiple_of(every) => Some("chart-date chart-date-wide"),
        _ => None,
    };
    (0..buckets).map(date).collect()
}

#[component]
fn Twin(heading: &'static str, buckets: Vec<Bucket>, entries: Vec<Entry>, caption: String) -> impl IntoView {
    let heads = std::iter::once(Head::text(heading)).chain(entries.iter().map(|entry| Head::number(entry.name.clone()))).collect();
    let rows = buckets.into_iter().enumerate().map(|(place, bucket)| TextRow {
        name: bucket.name,
        href: bucket.href,
        values: entries.iter().map(|entry| said(entry, place)).collect(),
    });
    view! { <TextTable caption heads rows=rows.collect() /> }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_as_many_as_fit_and_the_last_is_one() {
        for buckets in [1, 2, 7, 8, 9, 24, 31, 90, 365] {
            let dates = dates(buckets);
            let wide = dates.iter().flatten().count();
            let narrow = dates.iter().flatten().filter(|class| !class.contains("wide")).count();
            assert!((1..=MOST_DATES).contains(&wide) && (1..=MOST_DATES_NARROW).contains(&narrow), "{buckets}: {wide}, {narrow}");
            assert_eq!(dates.last(), Some(&Some("chart-date")), "{buckets}");
        }
        assert!(dates(0).is_empty());
    }
}
