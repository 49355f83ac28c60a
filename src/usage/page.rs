//! The usage page: what a stretch of time came to, by what, and the calls behind it. What it shows is in its address.

use crate::accounts::page_rights::who_makes_keys;
use crate::error::ConsoleError;
use crate::preferences::time_zone;
use crate::t;
use crate::ui::failure::Failure;
use crate::ui::form::FormError;
use crate::ui::page_data::{address_with, of_address, with_data};
use crate::ui::pages::Pages;
use crate::usage::calls::CallsTable;
use crate::usage::page_filter::{FilterForm, RangeTabs};
use crate::usage::page_totals::Totals;
use crate::usage::range::{Range, kept_moments};
use crate::usage::server_fns::show_usage;
use crate::usage::types::{CallPage, Choices, UsageView};
use crate::usage::types_totals::Group;
use leptos::prelude::*;
use leptos_meta::Title;

/// The parameters of the address, as they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    pub range: String,
    pub from: String,
    pub to: String,
    pub group: String,
    pub key: String,
    pub model: String,
    pub member: String,
    pub supplier: String,
    pub outcome: String,
    pub call: String,
    pub before: String,
}

impl Asked {
    fn of_address() -> Asked {
        let days = (of_address("from"), of_address("to"));
        let (from, to) = kept_moments(days, (of_address("since"), of_address("until")), time_zone());
        Asked {
            range: of_address("range"),
            from,
            to,
            group: of_address("group"),
            key: of_address("key"),
            model: of_address("model"),
            member: of_address("member"),
            supplier: of_address("supplier"),
            outcome: of_address("outcome"),
            call: of_address("call"),
            before: of_address("before"),
        }
    }

    /// The newest calls of the same stretch and filter: what links start from.
    pub fn newest(&self) -> Asked {
        Asked { call: String::new(), before: String::new(), ..self.clone() }
    }

    pub fn address(&self) -> String {
        self.address_at("/usage")
    }

    fn address_at(&self, path: &str) -> String {
        let parameters = [
            ("range", &self.range),
            ("from", &self.from),
            ("to", &self.to),
            ("group", &self.group),
            ("key", &self.key),
            ("model", &self.model),
            ("member", &self.member),
            ("supplier", &self.supplier),
            ("outcome", &self.outcome),
            ("call", &self.call),
            ("before", &self.before),
        ];
        address_with(path, parameters.map(|(name, value)| (name, value.as_str())))
    }

    /// The list that a call was looked up from, there where it was.
    fn around_call(&self) -> Asked {
        Asked { call: String::new(), ..self.clone() }
    }

    /// Whether anything but the stretch of time narrows what is shown.
    pub fn is_filtered(&self) -> bool {
        let parameters = [&self.key, &self.model, &self.member, &self.supplier, &self.outcome, &self.call, &self.before];
        parameters.iter().any(|parameter| !parameter.is_empty())
    }
}

#[component]
pub fn UsagePage() -> impl IntoView {
    let asked = Asked::of_address();
    let is_range = Range::is_one(&asked.range, &asked.from, &asked.to, time_zone());
    let Asked { range, from, to, group, key, model, member, supplier, outcome, call, before } = asked.clone();
    let usage = show_usage(range, from, to, group, key, model, member, supplier, outcome, call, before);
    let of_call = is_range && !asked.call.is_empty();
    let title = if of_call { t!("Call") } else { t!("Usage") };
    let export = (is_range && !of_call).then(|| {
        let href = Asked { group: String::new(), ..asked.newest() }.address_at("/api/usage/export");
        view! {
            <a class="button" href=href rel="external" download="usage.csv">
                {t!("Download as CSV")}
            </a>
        }
    });
    view! {
        <Title text=title />
        <div class="page-head">
            <h1>{title}</h1>
            {export}
        </div>
        {with_data(usage, |usage| body(usage, asked))}
    }
    .into_any()
}

fn body(usage: Result<UsageView, ConsoleError>, asked: Asked) -> AnyView {
    let usage = match usage {
        Ok(usage) => usage,
        Err(error @ (ConsoleError::Invalid { .. } | ConsoleError::NotFound)) => {
            return view! {
                <Failure error />
                <a class="button" href="/usage">{t!("Show all")}</a>
            }
            .into_any();
        }
        Err(error) => return view! { <Failure error /> }.into_any(),
    };
    if usage.wrong.is_some() {
        let UsageView { range, group, choices, wrong, .. } = usage;
        return view! {
            <RangeTabs range=range.clone() asked=asked.clone() />
            <FormError error=wrong />
            <FilterForm range group choices asked error=wrong />
        }
        .into_any();
    }
    if !asked.call.is_empty() {
        return view! { <Call page=usage.page asked /> }.into_any();
    }
    if !usage.ever {
        let empty = no_call_yet(&usage);
        let UsageView { range, group, choices, .. } = usage;
        return view! {
            // Not seen before there is a call, like the button of the file (`style/usage.css`); then they come with the totals.
            <AskedFor range group choices asked />
            <div class="sections" data-live="totals">
                <div class="empty">{empty}</div>
            </div>
            // Empty, to be filled with the first call.
            <div class="sections" data-live="calls"></div>
        }
        .into_any();
    }
    let UsageView { range, group, parts, page, choices, of_group, .. } = usage;
    view! {
        <AskedFor range=range.clone() group choices asked=asked.clone() />
        <div class="sections" data-live="totals">
            <Totals range group parts of_group asked=asked.clone() />
        </div>
        <Calls page asked />
    }
    .into_any()
}

/// What the page can be asked for. It is not read anew, so what is typed stays.
#[component]
fn AskedFor(range: Range, group: Group, choices: Choices, asked: Asked) -> impl IntoView {
    view! {
        <div class="sections usage-asked">
            <RangeTabs range=range.clone() asked=asked.clone() />
            <FilterForm range group choices asked error=None />
        </div>
    }
}

/// What comes before the first call, for whoever can do it.
fn no_call_yet(usage: &UsageView) -> AnyView {
    let has_key = usage.choices.keys.iter().any(|key| !key.deleted);
    if !usage.may_create {
        return view! {
            <p>{t!("No call yet. Every call of this account appears here with what it cost and why.")}</p>
            {(!has_key).then(|| view! { <p>{who_makes_keys()}</p> })}
        }
        .into_any();
    }
    if has_key {
        return view! {
            <p>{t!("No call yet. Put a key into your client, and every call appears here with what it cost and why.")}</p>
            <a class="button button-primary" href="/docs/quickstart">{t!("See the first steps")}</a>
        }
        .into_any();
    }
    view! {
        <p>{t!("No call yet. Create a key, put it into your client, and every call appears here with what it cost and why.")}</p>
        <a class="button button-primary" href="/keys">{t!("Create a key")}</a>
    }
    .into_any()
}

/// One call, with why it was charged what it was, and the way back to the list that it stands in.
#[component]
fn Call(page: CallPage, asked: Asked) -> impl IntoView {
    let call = if page.calls.is_empty() {
        view! { <p class="muted">{t!("No call here.")}</p> }.into_any()
    } else {
        view! { <CallsTable calls=page.calls explained=true /> }.into_any()
    };
    view! {
        <div class="sections" data-live="calls">
            {call}
            <div class="row">
                <a class="button" href=asked.around_call().address()>{t!("Back to the calls")}</a>
            </div>
        </div>
    }
}

/// The calls, headed where they stand below their totals: on a page that opened without any, heading and list come together.
#[component]
fn Calls(page: CallPage, asked: Asked) -> impl IntoView {
    let only_failed = (!asked.outcome.is_empty())
        .then(|| view! { <p class="muted">{t!("Only calls that failed are listed here. The totals above are those of all calls.")}</p> });
    let calls = if page.calls.is_empty() {
        view! {
            <div class="empty">
                <p>{t!("No call here.")}</p>
                <a class="button" href="/usage">{t!("Show all calls")}</a>
            </div>
        }
        .into_any()
    } else {
        view! { <CallsTable calls=page.calls asked=asked.clone() /> }.into_any()
    };
    let cut_short = page.cut_short.then(|| {
        let words = t!("Only so many calls are looked through at once. There may be more further back: see the older ones.");
        view! { <p class="muted">{words}</p> }
    });
    let older = page.older.map(|before| Asked { before: before.to_string(), ..asked.clone() }.address());
    let newest = (!asked.before.is_empty()).then(|| asked.newest().address());
    view! {
        <div class="sections" data-live="calls">
            <h2>{t!("Calls")}</h2>
            {only_failed}
            {calls}
            {cut_short}
            <Pages label=t!("Pages of calls") newest newer=None older />
        </div>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_what_is_shown_and_nothing_else() {
        assert_eq!(Asked::default().address(), "/usage");
        let asked = Asked { range: "7d".into(), model: "a/b c".into(), before: "x".into(), ..Asked::default() };
        assert_eq!(asked.address(), "/usage?range=7d&model=a%2Fb+c&before=x");
        assert_eq!(asked.newest().address(), "/usage?range=7d&model=a%2Fb+c");
        let failed = Asked { outcome: "failed".into(), before: "x".into(), ..Asked::default() };
        assert_eq!(failed.newest().address(), "/usage?outcome=failed");
        let call = Asked { call: "y".into(), ..asked.clone() };
        assert_eq!(call.around_call(), asked, "the same page of the same list");
        assert!(asked.newest().is_filtered() && failed.newest().is_filtered());
        assert!(!Asked { range: "7d".into(), ..Asked::default() }.is_filtered());
        let of_member = Asked { member: "u".into(), supplier: "alpha".into(), outcome: "failed".into(), ..Asked::default() };
        assert_eq!(of_member.address(), "/usage?member=u&supplier=alpha&outcome=failed");
        assert!(of_member.is_filtered() && Asked { supplier: "alpha".into(), ..Asked::default() }.is_filtered());
    }
}
