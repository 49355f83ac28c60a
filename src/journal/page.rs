//! The page of the account log. What it shows is in its address.

use crate::accounts::page_words::device_words;
use crate::error::ConsoleError;
use crate::journal::page_words::{detail_words, group_words, kind_words, subject_words, who_words};
use crate::journal::server_fns::show_journal;
use crate::journal::types::{EntryView, Group, JournalPage};
use crate::preferences::time_zone;
use crate::t;
use crate::ui::empty_state::EmptyState;
use crate::ui::failure::Failure;
use crate::ui::page_data::{address_with, of_address, with_data};
use crate::ui::utc_time::UtcTime;
use leptos::prelude::*;
use leptos_meta::Title;

/// The parameters of the address, as they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Asked {
    group: String,
    since: String,
    until: String,
    search: String,
    before: String,
}

impl Asked {
    /// An address under the same filter.
    fn address(&self, path: &str, before: Option<String>) -> String {
        let before = before.unwrap_or_default();
        let parameters =
            [("group", &self.group), ("since", &self.since), ("until", &self.until), ("search", &self.search), ("before", &before)];
        address_with(path, parameters.map(|(name, value)| (name, value.as_str())))
    }
}

#[component]
pub fn LogPage() -> impl IntoView {
    let asked = Asked {
        group: of_address("group"),
        since: of_address("since"),
        until: of_address("until"),
        search: of_address("search"),
        before: of_address("before"),
    };
    let Asked { group, since, until, search, before } = asked.clone();
    let page = show_journal(group, since, until, search, before);
    view! {
        <Title text=t!("Account log") />
        <div class="page-head">
            <h1>{t!("Account log")}</h1>
            <a class="button" href=asked.address("/api/journal/export", None) rel="external" download="account-log.csv">
                {t!("Download as CSV")}
            </a>
        </div>
        <p class="muted">{t!("Who did what in this account, when and from where. Nobody can change it.")}</p>
        {with_data(page, |page| body(page, asked))}
    }
    .into_any()
}

fn body(page: Result<JournalPage, ConsoleError>, asked: Asked) -> AnyView {
    let page = match page {
        Ok(page) => page,
        Err(error) => {
            return view! {
                <FilterForm asked />
                <Failure error />
            }
            .into_any();
        }
    };
    let older = page.older.map(|before| {
        let href = asked.address("/settings/log", Some(before.to_string()));
        view! { <a class="button" href=href>{t!("Older entries")}</a> }
    });
    let newest = (!asked.before.is_empty()).then(|| {
        view! { <a class="button" href=asked.address("/settings/log", None)>{t!("Newest entries")}</a> }
    });
    let entries = if page.entries.is_empty() { nothing(&asked) } else { view! { <EntriesTable entries=page.entries /> }.into_any() };
    view! {
        <FilterForm asked=asked.clone() />
        {entries}
        <div class="row">{newest} {older}</div>
    }
    .into_any()
}

/// What stands in the place of entries where there are none. Whoever does not look after the account sees only what they did.
fn nothing(asked: &Asked) -> AnyView {
    if *asked == Asked::default() {
        return view! {
            <EmptyState
                title=t!("Nothing was written down yet")
                text=t!("What you do in this account appears here.")
                action_href="/dashboard"
                action_label=t!("Go to the dashboard")
            />
        }
        .into_any();
    }
    view! {
        <EmptyState
            title=t!("Nothing was written down that fits.")
            text=t!("Other days, something else or fewer words may find more.")
            action_href="/settings/log"
            action_label=t!("Show all")
        />
    }
    .into_any()
}

#[component]
fn FilterForm(asked: Asked) -> impl IntoView {
    let zone = time_zone().name();
    let clear = (asked != Asked::default()).then(|| view! { <a class="button button-quiet" href="/settings/log">{t!("Show all")}</a> });
    let groups = Group::ALL
        .into_iter()
        .map(|group| view! { <option value=group.as_str() selected=group.as_str() == asked.group>{group_words(group)}</option> })
        .collect_view();
    view! {
        <form method="get" action="/settings/log">
            <div class="row filters">
                <div class="field">
                    <label for="filter-group">{t!("About")}</label>
                    <select id="filter-group" name="group">
                        <option value="" selected=asked.group.is_empty()>{t!("Everything")}</option>
                        {groups}
                    </select>
                </div>
                <div class="field">
                    <label for="filter-since">{t!("From ({zone})", zone = zone)}</label>
                    <input id="filter-since" name="since" type="date" value=asked.since />
                </div>
                <div class="field">
                    <label for="filter-until">{t!("Until ({zone})", zone = zone)}</label>
                    <input id="filter-until" name="until" type="date" value=asked.until />
                </div>
                <div class="field">
                    <label for="filter-search">{t!("Search")}</label>
                    <input id="filter-search" name="search" type="search" maxlength="254" value=asked.search />
                </div>
                <button class="button" type="submit">{t!("Filter")}</button>
                {clear}
            </div>
        </form>
    }
}

#[component]
fn EntriesTable(entries: Vec<EntryView>) -> impl IntoView {
    view! {
        <div class="table-wrap">
            <table>
                <thead>
                    <tr>
                        <th scope="col">{t!("Time")}</th>
                        <th scope="col">{t!("What")}</th>
                        <th scope="col">{t!("Who")}</th>
                        <th scope="col">{t!("From")}</th>
                    </tr>
                </thead>
                <tbody>{entries.into_iter().map(|entry| view! { <EntryRow entry /> }.into_any()).collect_view()}</tbody>
            </table>
        </div>
    }
}

#[component]
fn EntryRow(entry: EntryView) -> impl IntoView {
    let page = entry.page();
    let EntryView { at, kind, who, address, device, name, detail, .. } = entry;
    let subject = name.map(|name| subject_words(kind, name)).map(|name| match page {
        Some(href) => view! { <a href=href>{name}</a> }.into_any(),
        None => view! { <span>{name}</span> }.into_any(),
    });
    // Not an empty text where there is neither: that is written as a space, and a card then has a label for it.
    let from = match (device.as_deref().map(device_words), address) {
        (Some(device), Some(address)) => Some(t!("{device}, {address}", device = device, address = address)),
        (device, address) => device.or(address),
    };
    view! {
        <tr>
            <td data-label=t!("Time")><UtcTime time=at /></td>
            <td data-label=t!("What")>
                {kind_words(kind)}
                {subject.map(|subject| view! { {t!(": ")} {subject} })}
                {detail.map(|detail| view! { <span class="muted">{t!(" ({detail})", detail = detail_words(kind, &detail))}</span> })}
            </td>
            <td data-label=t!("Who") class="address">{who_words(who)}</td>
            <td data-label=t!("From")>{from}</td>
        </tr>
    }
}
