//! A table that becomes cards where it is narrow. Its heads are written once: a card names its lines with them.

use crate::html::{Escaped, push_all};
use crate::push;
use leptos::prelude::*;
use std::fmt::Display;

/// A column's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    name: Oco<'static, str>,
    class: Option<&'static str>,
}

impl Head {
    pub fn text(name: impl Into<Oco<'static, str>>) -> Head {
        Head { name: name.into(), class: None }
    }

    /// Of a column of numbers, which stand on the right.
    pub fn number(name: impl Into<Oco<'static, str>>) -> Head {
        Head { name: name.into(), class: Some("number") }
    }

    /// Of the numbers that count: in a card they stand under its title. Where no head is this, the first number does, if they are few.
    pub fn figure(name: impl Into<Oco<'static, str>>) -> Head {
        Head { name: name.into(), class: Some("number figure") }
    }
}

/// A cell a head. The first is the row's name, and the title of its card.
pub struct Row(pub Vec<AnyView>);

/// `caption` says what the table lists, to whoever cannot see where it stands.
#[component]
pub fn CardTable(#[prop(into)] caption: String, heads: Vec<Head>, rows: Vec<Row>) -> impl IntoView {
    let rows = rows.into_iter().map(|Row(cells)| {
        let mut cells = cells.into_iter().zip(&heads);
        let first = cells.next().map(|(cell, head)| view! { <th scope="row" class=head.class>{cell}</th> });
        let rest = cells.map(|(cell, head)| view! { <td data-label=head.name.to_string() class=head.class>{cell}</td> });
        let rest = rest.collect_view();
        view! { <tr>{first} {rest}</tr> }
    });
    let rows = rows.collect_view();
    table(caption, &heads, view! { <tbody>{rows}</tbody> })
}

fn table(caption: String, heads: &[Head], body: impl IntoView + 'static) -> AnyView {
    let head = heads.iter().map(|head| view! { <th scope="col" class=head.class>{head.name.clone()}</th> }).collect_view();
    view! {
        <div class="table-wrap">
            <table>
                <caption class="visually-hidden">{caption}</caption>
                <thead>
                    <tr>{head}</tr>
                </thead>
                {body}
            </table>
        </div>
    }
    .into_any()
}

/// The same for many rows. They are written as text, which takes a fraction of what views take: a page with charts was mostly that.
pub struct TextTable {
    heads: Vec<Head>,
    /// How a row begins, and each cell after its first.
    begin: String,
    cells: Vec<String>,
    body: String,
}

/// What a row has beside what its cells begin with, about, and what a cell has.
const ROW_HTML: usize = 120;
const CELL_HTML: usize = 16;

impl TextTable {
    pub fn new(heads: Vec<Head>, rows: usize) -> TextTable {
        let class = |head: &Head| head.class.map(|class| format!(r#" class="{class}""#)).unwrap_or_default();
        let begin = format!(r#"<tr><th scope="row"{}>"#, heads.first().map(class).unwrap_or_default());
        let cell = |head: &Head| format!(r#"<td data-label="{}"{}>"#, Escaped(&head.name), class(head));
        let cells: Vec<String> = heads.iter().skip(1).map(cell).collect();
        let room = cells.iter().map(|cell| cell.len() + CELL_HTML).sum::<usize>() + ROW_HTML;
        TextTable { heads, begin, cells, body: String::with_capacity(rows * room) }
    }

    /// The row's name and its other cells, as HTML: what is text is escaped by whoever gives it.
    pub fn row<'a>(&mut self, name: impl Display, values: impl IntoIterator<Item = &'a str>) {
        push!(self.body, "{}{name}</th>", self.begin);
        for (cell, value) in self.cells.iter().zip(values) {
            push_all(&mut self.body, &[cell, value, "</td>"]);
        }
        self.body.push_str("</tr>");
    }

    pub fn view(self, caption: String) -> AnyView {
        let body = self.body;
        table(caption, &self.heads, view! { <tbody inner_html=body></tbody> })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::link;

    #[test]
    fn rows_of_text_have_the_names_of_their_heads() {
        let mut table = TextTable::new(vec![Head::text("Day"), Head::number("\"a\" & b"), Head::figure("Sum")], 2);
        table.row(link("/1?a&b", "<1>"), ["2", "3"]);
        table.row("4", ["5", "6"]);
        let row = |name: &str, a: &str, sum: &str| {
            let a = format!(r#"<td data-label="&quot;a&quot; &amp; b" class="number">{a}</td>"#);
            format!(r#"<tr><th scope="row">{name}</th>{a}<td data-label="Sum" class="number figure">{sum}</td></tr>"#)
        };
        let first = row(r#"<a href="/1?a&amp;b">&lt;1&gt;</a>"#, "2", "3");
        assert_eq!(table.body, first + &row("4", "5", "6"));
    }
}
