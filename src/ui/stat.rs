//! One number and what it counts. The number is the child; a note may say more, a change how it was before.

use crate::html::Escaped;
use crate::t;
use crate::tokens::Tokens;
use crate::ui::icon::{Icon, IconView};
use leptos::prelude::*;
use std::fmt::{self, Display};

#[component]
pub fn Stat(
    label: &'static str,
    #[prop(optional_no_strip)] note: Option<AnyView>,
    #[prop(optional)] change: Option<Change>,
    children: Children,
) -> impl IntoView {
    view! {
        <div class="stat">
            <span>{label}</span>
            <span>{children()}</span>
            {change.map(|change| view! { <ChangeNote change /> })}
            {note.map(|note| view! { <span>{note}</span> })}
        </div>
    }
}

/// [`Stat`] on a card, without a change, as text. What is `value` and `note` is HTML.
pub fn stat_card_html(label: &str, value: impl Display, note: impl Display) -> impl Display {
    fmt::from_fn(move |out| {
        let label = Escaped(label);
        write!(out, r#"<div class="card"><div class="stat"><span>{label}</span><span>{value}</span><span>{note}</span></div></div>"#)
    })
}

/// How a number has moved. More is neither good nor bad: it is said with an arrow and in words, and has no colour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub now: Tokens,
    pub before: Tokens,
    /// Since when: `yesterday`, `the 7 days before`.
    pub since: &'static str,
}

impl Change {
    /// In whole per cent, rounded towards none; nothing when there was nothing before.
    fn percent(&self) -> Option<i128> {
        let before = i128::from(self.before.0);
        (before > 0).then(|| (i128::from(self.now.0) - before) * 100 / before)
    }
}

#[component]
fn ChangeNote(change: Change) -> impl IntoView {
    let since = change.since;
    let (icon, words) = match (change.percent(), change.now.cmp(&change.before)) {
        (_, std::cmp::Ordering::Equal) => (None, t!("As much as {since}", since = since)),
        (None, _) => (Some(Icon::Up), t!("Nothing {since}", since = since)),
        (Some(percent), std::cmp::Ordering::Greater) => {
            (Some(Icon::Up), t!("{percent} % more than {since}", percent = at_least_one(percent), since = since))
        }
        (Some(percent), std::cmp::Ordering::Less) => {
            (Some(Icon::Down), t!("{percent} % less than {since}", percent = at_least_one(percent), since = since))
        }
    };
    view! {
        <span class="stat-change">
            {icon.map(|icon| view! { <IconView icon /> })}
            {words}
        </span>
    }
}

/// A change too small for a whole per cent is one all the same; one beyond a thousand is no number to read.
fn at_least_one(percent: i128) -> String {
    match percent.unsigned_abs() {
        0 => "< 1".into(),
        1_000.. => "> 999".into(),
        percent => percent.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_whole_per_cent_of_what_was() {
        let percent = |now, before| Change { now: Tokens(now), before: Tokens(before), since: "yesterday" }.percent();
        assert_eq!(percent(112, 100), Some(12));
        assert_eq!(percent(50, 100), Some(-50));
        assert_eq!(percent(5, 0), None);
        assert_eq!(percent(i64::MAX, 1), Some((i128::from(i64::MAX) - 1) * 100));
        assert_eq!([0, -1, 12, -999, 1_000].map(at_least_one), ["< 1", "1", "12", "999", "> 999"]);
    }

    #[test]
    fn as_text_it_is_what_it_is_as_a_view() {
        let view = || view! { <div class="card"><Stat label="Today" note=Some("of 7".into_any())>"3"</Stat></div> };
        // What may be absent leaves a mark in a view.
        assert_eq!(stat_card_html("Today", 3, "of 7").to_string(), Owner::new().with(|| view().to_html()).replace("<!>", ""));
        assert!(stat_card_html("<", "<b>3</b>", "").to_string().contains("<span>&lt;</span><span><b>3</b></span>"));
    }
}
