//! What every chart has around its shapes: scale, columns with their values, key, table. Mostly text: there are thirty columns, each with
//! all its values.

use crate::html::{Escaped, link};
use crate::i18n::language;
use crate::tokens::Tokens;
use crate::ui::amount::counted;
use crate::ui::chart::Bucket;
use crate::ui::chart::colour::Colour;
use crate::ui::chart::scale::Scale;
use crate::ui::table::{Head, TextTable};
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
    pub says: Option<Tokens>,
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
    /// As SVG.
    shapes: String,
) -> impl IntoView {
    let width = i64::try_from(buckets.len().max(1)).unwrap_or(1) * COLUMN;
    let drawing = grid(scale, width) + &shapes;
    let table_id = format!("{id}-table");
    let (columns, table) = columns_and_table(heading, &buckets, &entries);
    view! {
        <figure class="chart" role="group" aria-label=label>
            <a class="chart-skip button" href=format!("#{table_id}")>{t!("Skip the chart")}</a>
            <div class="chart-body">
                <ol class="chart-scale" aria-hidden="true" inner_html=ticks(scale)></ol>
                <div class="chart-plot">
                    <svg
                        viewBox=format!("0 0 {width} {HEIGHT}")
                        preserveAspectRatio="none"
                        aria-hidden="true"
                        focusable="false"
                        inner_html=drawing
                    ></svg>
                    {(scale.steps() == 0).then(|| view! { <p class="chart-nothing" aria-hidden="true">{t!("Nothing in this time")}</p> })}
                    <ol class="chart-columns" inner_html=columns></ol>
                </div>
                <div class="chart-key">
                    <p aria-hidden="true">{all}</p>
                    <ul inner_html=key(&entries)></ul>
                </div>
            </div>
            <details class="chart-table" id=table_id>
                <summary>{t!("As a table")}</summary>
                {table.view(label.clone())}
            </details>
        </figure>
    }
}

fn ticks(scale: Scale) -> String {
    let mut html = String::new();
    for tick in scale.ticks() {
        push!(html, "<li>{}</li>", tick.short_in(language()));
    }
    html
}

fn grid(scale: Scale, width: i64) -> String {
    let mut svg = String::from(r#"<path d=""#);
    for n in 1..=scale.steps() {
        push!(svg, "M0 {}H{width}", HEIGHT - HEIGHT * n / scale.steps());
    }
    push!(svg, r#"" class="chart-grid"></path><path d="M0 {HEIGHT}H{width}" class="chart-base"></path>"#);
    svg
}

fn key(entries: &[Entry]) -> String {
    let mut html = String::new();
    for Entry { name, swatch, says, .. } in entries {
        push!(html, r#"<li><span class="{swatch}"></span><span class="chart-name">{}</span><b>"#, Escaped(name));
        if let Some(tokens) = says {
            push!(html, "{}", tokens.short_in(language()));
        }
        html.push_str("</b></li>");
    }
    html
}

/// About what a column takes, and each entry in it.
const COLUMN_HTML: usize = 360;
const ENTRY_HTML: usize = 56;

/// An entry in the column that is being written. Its value is written once, for the three places where it stands.
struct Said<'a> {
    entry: &'a Entry,
    value: Option<Tokens>,
    text: String,
}

impl Said<'_> {
    fn move_to(&mut self, place: usize) {
        self.value = self.entry.values.get(place).copied().flatten();
        self.text.clear();
        match self.value {
            Some(value) => push!(self.text, "{}", value.grouped()),
            None => self.text.push('–'),
        }
    }
}

fn columns_and_table(heading: &'static str, buckets: &[Bucket], entries: &[Entry]) -> (String, TextTable) {
    let heads = std::iter::once(Head::text(heading)).chain(entries.iter().map(|entry| Head::number(entry.name.clone()))).collect();
    let mut table = TextTable::new(heads, buckets.len());
    let mut columns = String::with_capacity(buckets.len() * (COLUMN_HTML + entries.len() * ENTRY_HTML));
    let mut said: Vec<Said> = entries.iter().map(|entry| Said { entry, value: None, text: String::new() }).collect();
    for (place, (bucket, date)) in buckets.iter().zip(dates(buckets.len())).enumerate() {
        said.iter_mut().for_each(|said| said.move_to(place));
        push_column(&mut columns, bucket, date, &said);
        let values = said.iter().map(|said| &said.text);
        match &bucket.href {
            Some(href) => table.row(link(href, &bucket.name), values),
            None => table.row(Escaped(&bucket.name), values),
        }
    }
    (columns, table)
}

fn push_column(html: &mut String, bucket: &Bucket, date: Option<&str>, said: &[Said]) {
    let role = if bucket.href.is_some() { "group" } else { "img" };
    push!(html, r#"<li><span class="chart-column" tabindex="0" role="{role}" aria-label=""#);
    push_spoken(html, bucket, said);
    html.push_str(r#"">"#);
    // A link under a finger opens with the second tap, since the first shows the values. Most columns are too narrow to be a target
    // of their own (WCAG 2.5.8); the table has every link in full size.
    if let Some(href) = &bucket.href {
        let label = t!("Open {name}", name = Escaped(&bucket.name));
        push!(html, r#"<a class="chart-open" href="{}" aria-label="{label}"></a>"#, Escaped(href));
    }
    push!(html, r#"<span class="chart-readout" aria-hidden="true"><span>{}</span>"#, Escaped(&bucket.name));
    for Said { text, .. } in said {
        push!(html, "<b>{text}</b>");
    }
    html.push_str("</span></span>");
    if let Some(class) = date {
        push!(html, r#"<span class="{class}" aria-hidden="true">{}</span>"#, Escaped(&bucket.short));
    }
    html.push_str("</li>");
}

/// `24 Dec 2026: 1,234 Tokens; alpha 1,000; beta 234`
fn push_spoken(html: &mut String, bucket: &Bucket, said: &[Said]) {
    let (colon, semicolon) = language().choose((": ", "; "), ("：", "；"));
    push!(html, "{}", Escaped(&bucket.name));
    let mut separator = colon;
    for (rank, Said { entry, value, text }) in said.iter().enumerate() {
        match value {
            Some(value) if rank == 0 => push!(html, "{separator}{}", counted(*value)),
            None | Some(Tokens(0)) => continue,
            Some(_) => push!(html, "{separator}{} {text}", Escaped(&entry.name)),
        }
        separator = semicolon;
    }
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
