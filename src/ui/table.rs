//! A table that becomes cards where it is narrow. Its heads are written once: a card names its lines with them.

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
    let head = heads.iter().map(|head| view! { <th scope="col" class=head.class>{head.name.clone()}</th> }).collect_view();
    let rows = rows.into_iter().map(|Row(cells)| {
        let mut cells = cells.into_iter().zip(&heads);
        let first = cells.next().map(|(cell, head)| view! { <th scope="row" class=head.class>{cell}</th> });
        let rest = cells.map(|(cell, head)| view! { <td data-label=head.name.to_string() class=head.class>{cell}</td> });
        let rest = rest.collect_view();
        view! { <tr>{first} {rest}</tr> }
    });
    let rows = rows.collect_view();
    view! {
        <div class="table-wrap">
            <table>
                <caption class="visually-hidden">{caption}</caption>
                <thead>
                    <tr>{head}</tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
}
