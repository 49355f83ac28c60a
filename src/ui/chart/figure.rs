//! What every chart has around its shapes: scale, columns with their values, names, table. Mostly text: there are thirty columns, each with
//! all its values.

use crate::html::{Escaped, escaped, link, push_all};
use crate::i18n::language;
use crate::tokens::Tokens;
use crate::ui::amount::{amount_html, counted};
use crate::ui::chart::Bucket;
use crate::ui::chart::colour::Colour;
use crate::ui::chart::label::{BETWEEN, Labels};
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

/// The width of all columns, in the shapes' units.
pub(super) fn plot_width(buckets: usize) -> i64 {
    i64::try_from(buckets.max(1)).unwrap_or(1) * COLUMN
}

/// What is named: above the chart or at its shape, one of each column's values, and a column of the table.
pub(super) struct Entry {
    pub name: String,
    /// Empty for what has no shape of its own: a sum.
    pub swatch: String,
    /// What stands at its name while no column is looked at.
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
    /// The first stands above the chart, the others at their shapes, from the base up.
    entries: Vec<Entry>,
    scale: Scale,
    /// What stands above the chart while no column is looked at.
    all: String,
    /// As SVG.
    shapes: String,
    /// Where the names of all but the first stand.
    labels: Labels,
) -> impl IntoView {
    let width = plot_width(buckets.len());
    let mut drawing = grid(scale, width) + &shapes;
    push_lead(&mut drawing, &labels.within);
    let table_id = format!("{id}-table");
    let (columns, table) = columns_and_table(heading, &buckets, &entries, &labels);
    let names = (entries.len() > 1).then(|| names(&entries, &labels));
    view! {
        <figure class="chart" role="group" aria-label=label>
            <a class="chart-skip button" href=format!("#{table_id}")>{t!("Skip the chart")}</a>
            <div class="chart-body">
                <div class="chart-head" inner_html=head(&all, &entries)></div>
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
                {names.map(|names| view! { <div class="chart-names" inner_html=names></div> })}
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

fn push_lead(svg: &mut String, path: &str) {
    if !path.is_empty() {
        push!(svg, r#"<path d="{path}" class="chart-lead"></path>"#);
    }
}

/// What the chart is about, and the first entry.
fn head(all: &str, entries: &[Entry]) -> String {
    let mut html = String::new();
    push!(html, r#"<span aria-hidden="true">{}</span>"#, Escaped(all));
    if let Some(first) = entries.first() {
        html.push_str(r#"<div class="chart-label">"#);
        push_label(&mut html, first);
        html.push_str("</div>");
    }
    html
}

/// The other entries from the top down, as their shapes stand, and the hairlines to them.
fn names(entries: &[Entry], labels: &Labels) -> String {
    let mut html = String::new();
    push!(html, r#"<svg viewBox="0 0 {BETWEEN} {HEIGHT}" preserveAspectRatio="none" aria-hidden="true" focusable="false">"#);
    push_lead(&mut html, &labels.between);
    html.push_str("</svg><ul>");
    for (entry, place) in entries.iter().skip(1).zip(&labels.places).rev() {
        push!(html, r#"<li class="chart-label at-{place}">"#);
        push_label(&mut html, entry);
        html.push_str("</li>");
    }
    html.push_str("</ul>");
    html
}

/// Where there is too little room, the name is cut; its tooltip has all of it, and that of the value every digit.
fn push_label(html: &mut String, Entry { name, swatch, says, .. }: &Entry) {
    let name = Escaped(name);
    push!(html, r#"<span class="{swatch}"></span><span class="chart-name" title="{name}">{name}</span><b>"#);
    if let Some(tokens) = says {
        push!(html, "{}", amount_html(*tokens));
    }
    html.push_str("</b>");
}

/// About what a column takes, and each entry in it.
const COLUMN_HTML: usize = 360;
const ENTRY_HTML: usize = 72;

/// An entry in the column that is being written. Its value is written once, for the three places where it stands.
struct Said<'a> {
    entry: &'a Entry,
    escaped_name: String,
    value: Option<Tokens>,
    text: String,
}

impl Said<'_> {
    fn of(entry: &Entry) -> Said<'_> {
        Said { entry, escaped_name: escaped(&entry.name), value: None, text: String::new() }
    }

    fn move_to(&mut self, place: usize) {
        self.value = self.entry.values.get(place).copied().flatten();
        self.text.clear();
        match self.value {
            Some(value) => push!(self.text, "{}", value.grouped()),
            None => self.text.push('–'),
        }
    }
}

fn columns_and_table(heading: &'static str, buckets: &[Bucket], entries: &[Entry], labels: &Labels) -> (String, TextTable) {
    let heads = std::iter::once(Head::text(heading)).chain(entries.iter().map(|entry| Head::number(entry.name.clone()))).collect();
    let mut table = TextTable::new(heads, buckets.len());
    let mut columns = String::with_capacity(buckets.len() * (COLUMN_HTML + entries.len() * ENTRY_HTML));
    let places: Vec<String> = labels.places.iter().map(|place| format!("at-{place}")).collect();
    let mut said: Vec<Said> = entries.iter().map(Said::of).collect();
    for (place, (bucket, date)) in buckets.iter().zip(dates(buckets.len())).enumerate() {
        said.iter_mut().for_each(|said| said.move_to(place));
        columns.push_str("<li>");
        if let Some((first, (_, top))) = entries.first().zip(labels.inside.filter(|(column, _)| *column == place)) {
            push!(columns, r#"<span class="chart-end at-{top}" aria-hidden="true">{}</span>"#, Escaped(&first.name));
        }
        push_column(&mut columns, bucket, &said, &places);
        if let Some(class) = date {
            push!(columns, r#"<span class="{class}" aria-hidden="true">{}</span>"#, Escaped(&bucket.short));
        }
        columns.push_str("</li>");
        let values = said.iter().map(|said| said.text.as_str());
        match &bucket.href {
            Some(href) => table.row(link(href, &bucket.name), values),
            None => table.row(Escaped(&bucket.name), values),
        }
    }
    (columns, table)
}

/// `places`: the classes of all that is said but the first, which has its own.
fn push_column(html: &mut String, bucket: &Bucket, said: &[Said], places: &[String]) {
    let role = if bucket.href.is_some() { "group" } else { "img" };
    push_all(html, &[r#"<span class="chart-column" tabindex="0" role=""#, role, r#"" aria-label=""#]);
    push_spoken(html, bucket, said);
    html.push_str(r#"">"#);
    let name = escaped(&bucket.name);
    // A link under a finger opens with the second tap, since the first shows the values. Most columns are too narrow to be a target
    // of their own (WCAG 2.5.8); the table has every link in full size.
    if let Some(href) = &bucket.href {
        push!(html, r#"<a class="chart-open" href="{}" aria-label="{}"></a>"#, Escaped(href), t!("Open {name}", name = name));
    }
    push_all(html, &[r#"<span class="chart-readout" aria-hidden="true"><span>"#, &name, "</span>"]);
    if let Some(Said { text, .. }) = said.first() {
        push_all(html, &["<b>", text, "</b>"]);
    }
    for (Said { text, .. }, place) in said.iter().skip(1).zip(places).rev() {
        push_all(html, &[r#"<b class=""#, place, r#"">"#, text, "</b>"]);
    }
    html.push_str("</span></span>");
}

/// `24 Dec 2026: 1,234 Tokens; alpha 1,000; beta 234`
fn push_spoken(html: &mut String, bucket: &Bucket, said: &[Said]) {
    let (colon, semicolon) = language().choose((": ", "; "), ("：", "；"));
    push!(html, "{}", Escaped(&bucket.name));
    let mut separator = colon;
    for (rank, Said { escaped_name, value, text, .. }) in said.iter().enumerate() {
        match value {
            Some(value) if rank == 0 => push!(html, "{separator}{}", counted(*value)),
            None | Some(Tokens(0)) => continue,
            Some(_) => push_all(html, &[separator, escaped_name, " ", text]),
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
