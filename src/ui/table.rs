//! A table that becomes cards where it is narrow. Its heads are written once: a card names its lines with them.

use crate::html::Escaped;
use crate::push;
use leptos::prelude::*;

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

/// A row of [`TextTable`]: its name, where that leads to, and its other cells.
pub struct TextRow {
    pub name: String,
    pub href: Option<String>,
    pub values: Vec<String>,
}

/// The same for many cells of nothing but text. They are written as text, which takes a fraction of what views take: a page
/// with charts was mostly that.
#[component]
pub fn TextTable(#[prop(into)] caption: String, heads: Vec<Head>, rows: Vec<TextRow>) -> impl IntoView {
    let class = |head: Option<&Head>| head.and_then(|head| head.class).map(|class| format!(r#" class="{class}""#)).unwrap_or_default();
    let cells: Vec<String> =
        heads.iter().map(|head| format!(r#"<td data-label="{}"{}>"#, Escaped(&head.name), class(Some(head)))).collect();
    let (first, mut body) = (class(heads.first()), String::new());
    for TextRow { name, href, values } in rows {
        push!(body, r#"<tr><th scope="row"{first}>"#);
        match href {
            Some(href) => push!(body, r#"<a href="{}">{}</a>"#, Escaped(&href), Escaped(&name)),
            None => push!(body, "{}", Escaped(&name)),
        }
        push!(body, "</th>");
        for (cell, value) in cells.iter().skip(1).zip(&values) {
            push!(body, "{cell}{}</td>", Escaped(value));
        }
        push!(body, "</tr>");
    }
    table(caption, &heads, view! { <tbody inner_html=body></tbody> })
}
