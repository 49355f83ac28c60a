//! The list of keys: what it can be asked for, its rows, and what is done to several of them at once.

use crate::ids::KeyId;
use crate::keys::page::{Expiration, Quota, StatusBadge, calls_of, last_used, supplier_name};
use crate::keys::page_forms::{DeleteDialog, StatusForm};
use crate::keys::server_fns_list::ChangeKeys;
use crate::keys::types::{ALL_SUPPLIERS, KeyStatus, KeyView};
use crate::keys::types_list::{KeyOrder, KeysChange};
use crate::suppliers::types::SupplierChoice;
use crate::t;
use crate::ui::control::{Choice, Select};
use crate::ui::overlay::Menu;
use crate::ui::page_data::{address_with, of_address};
use crate::ui::table::{CardTable, Head, Row};
use crate::ui::utc_time::UtcTime;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;

/// The form that the boxes of all rows belong to.
const CHOSEN: &str = "chosen-keys";

/// The parameters of the address, as they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    pub search: String,
    pub status: String,
    pub supplier: String,
    pub order: String,
    pub after: String,
}

impl Asked {
    pub fn of_address() -> Asked {
        Asked {
            search: of_address("search"),
            status: of_address("status"),
            supplier: of_address("supplier"),
            order: of_address("order"),
            after: of_address("after"),
        }
    }

    /// The same list from after this key on; from its beginning without one.
    fn address(&self, after: &str) -> String {
        let parameters = [("search", &self.search), ("status", &self.status), ("supplier", &self.supplier), ("order", &self.order)];
        let parameters = parameters.map(|(name, value)| (name, value.as_str())).into_iter();
        address_with("/keys", parameters.chain([("after", after)]))
    }

    /// The first page of the same list.
    pub fn first_page(self) -> Asked {
        Asked { after: String::new(), ..self }
    }

    /// What a form must send to lead back to the list as it is; empty where that is the whole list, to which it leads anyway.
    fn back(&self) -> String {
        if *self == Asked::default() { String::new() } else { self.address(&self.after) }
    }

    /// Whether some keys are left out.
    fn is_filtered(&self) -> bool {
        !(self.search.is_empty() && self.status.is_empty() && self.supplier.is_empty())
    }
}

fn order_words(order: KeyOrder) -> &'static str {
    match order {
        KeyOrder::Newest => t!("Newest first"),
        KeyOrder::Oldest => t!("Oldest first"),
        KeyOrder::Name => t!("Name, A to Z"),
        KeyOrder::Used => t!("Last used first"),
        KeyOrder::Unused => t!("Longest unused first"),
        KeyOrder::LeastLeft => t!("Least left of the quota first"),
        KeyOrder::MostLeft => t!("Most left of the quota first"),
    }
}

/// `suppliers`: those that keys are tied to.
#[component]
pub fn FilterForm(asked: Asked, suppliers: Vec<SupplierChoice>) -> impl IntoView {
    let all = |name: &'static str| Choice { value: String::new(), name: name.into() };
    let statuses = KeyStatus::ALL.map(|status| Choice { value: status.as_str().into(), name: status_words(status).into() });
    let statuses = std::iter::once(all(t!("Any"))).chain(statuses).collect();
    let suppliers = suppliers.into_iter().map(|supplier| Choice { value: supplier.supplier_id.to_string(), name: supplier.name });
    let to_all = Choice { value: ALL_SUPPLIERS.into(), name: t!("All suppliers").into() };
    let suppliers = [all(t!("Any")), to_all].into_iter().chain(suppliers).collect();
    let orders = KeyOrder::ALL.map(|order| Choice { value: order.as_str().into(), name: order_words(order).into() });
    let clear = asked.is_filtered().then(|| view! { <a class="button button-quiet" href="/keys">{t!("Show all")}</a> });
    view! {
        <form method="get" action="/keys">
            <div class="row filters">
                <div class="field">
                    <label for="filter-search">{t!("Search")}</label>
                    <input
                        id="filter-search"
                        name="search"
                        type="search"
                        maxlength="254"
                        autocomplete="off"
                        placeholder=t!("Name, or part of the key")
                        value=asked.search
                    />
                </div>
                <div class="field">
                    <label for="filter-status">{t!("State")}</label>
                    <Select id="filter-status" name="status" choices=statuses chosen=asked.status />
                </div>
                <div class="field">
                    <label for="filter-supplier">{t!("Tied to")}</label>
                    <Select id="filter-supplier" name="supplier" choices=suppliers chosen=asked.supplier />
                </div>
                <div class="field">
                    <label for="filter-order">{t!("Sorted by")}</label>
                    <Select id="filter-order" name="order" choices=orders.to_vec() chosen=asked.order />
                </div>
                <button class="button" type="submit">{t!("Filter")}</button>
                {clear}
            </div>
        </form>
    }
}

fn status_words(status: KeyStatus) -> &'static str {
    match status {
        KeyStatus::Enabled => t!("Enabled"),
        KeyStatus::Disabled => t!("Disabled"),
        KeyStatus::Expired => t!("Expired"),
    }
}

/// The keys; above them what can be done to those that are chosen.
#[component]
pub fn KeyTable(keys: Vec<KeyView>, asked: Asked) -> impl IntoView {
    if keys.is_empty() {
        return view! {
            <div class="empty">
                <p>{t!("No key is like this.")}</p>
                <a class="button" href="/keys">{t!("All keys")}</a>
            </div>
        }
        .into_any();
    }
    let heads = vec![
        Head::text(t!("Name")),
        Head::text(t!("Supplier")),
        Head::text(t!("Key")),
        Head::text(t!("Status")),
        Head::text(t!("Quota")),
        Head::text(t!("Expires")),
        Head::text(t!("Last used")),
        Head::text(t!("Created")),
        Head::text(t!("Change")),
    ];
    let back = asked.back();
    let chosen = keys.iter().any(|key| key.editable).then(|| view! { <ChosenForm back=back.clone() /> });
    let rows = keys.into_iter().map(|key| key_row(key, &back)).collect();
    view! {
        {chosen}
        <CardTable caption=t!("API keys") heads rows />
    }
    .into_any()
}

/// The boxes of the rows belong to it, wherever they stand. To delete, it first leads to a page that names the keys. `back`: as
/// [`Asked::back`] has it.
#[component]
fn ChosenForm(back: String) -> impl IntoView {
    let back = (!back.is_empty()).then(|| view! { <input type="hidden" name="back" value=back /> });
    let (all, none) = (t!("Tick all on this page"), t!("Tick none"));
    view! {
        <form id=CHOSEN class="row" method="post" action=ChangeKeys::PATH>
            {back}
            // Shown where a script ticks them (`islands::ticks`).
            <button class="button button-quiet" type="button" hidden data-ticks=CHOSEN data-all=all data-none=none>
                <span aria-live="polite">{all}</span>
            </button>
            <span class="muted">{t!("The keys that are ticked:")}</span>
            <button class="button button-quiet" type="submit" name="change" value=KeysChange::Enable.as_str()>
                {t!("Enable")}
            </button>
            <button class="button button-quiet" type="submit" name="change" value=KeysChange::Disable.as_str()>
                {t!("Disable")}
            </button>
            <button class="button button-quiet" type="submit" formmethod="get" formaction="/keys/delete">
                {t!("Delete…")}
            </button>
        </form>
    }
}

fn key_row(key: KeyView, back: &str) -> Row {
    let href = format!("/keys/{}", key.key_id);
    let tick = key.editable.then(|| {
        let label = t!("Choose {name}", name = key.name);
        view! {
            <label class="key-tick">
                <input type="checkbox" name="chosen[]" value=key.key_id.to_string() form=CHOSEN aria-label=label />
            </label>
        }
    });
    let name = view! { <span class="row key-name">{tick} <a href=href.clone()>{key.name.clone()}</a></span> };
    let whose = match key.handed_over_at {
        None => key.created_by.clone(),
        Some(_) => t!("belongs to {person}", person = key.created_by),
    };
    let created = view! {
        <UtcTime time=key.created_at />
        <p class="muted key-maker">{whose}</p>
    };
    Row(vec![
        name.into_any(),
        supplier_name(&key).into_any(),
        view! { <span class="mono">{key.hint.clone()}</span> }.into_any(),
        status(&key),
        view! { <div class="key-quota"><Quota quota=key.quota spent=key.spent held=key.held /></div> }.into_any(),
        view! { <Expiration key=key.clone() /> }.into_any(),
        last_used(&key),
        created.into_any(),
        menu(key, href, back.to_string()),
    ])
}

/// The switch, for whoever may turn it. That a key is past its time is no state of the switch.
fn status(key: &KeyView) -> AnyView {
    let badge = (!key.editable || key.status == KeyStatus::Expired).then(|| view! { <StatusBadge status=key.status /> });
    let switch = key.editable.then(|| view! { <StatusForm key_id=key.key_id name=key.name.clone() status=key.status /> });
    view! { <div class="row">{switch} {badge}</div> }.into_any()
}

/// All that a key is good for beside its switch. Who may not edit it is led to where it can be looked at.
fn menu(key: KeyView, href: String, back: String) -> AnyView {
    let KeyView { key_id, name, editable, .. } = key;
    let rotation = format!("{href}#rotation");
    let first = if editable { format!("{href}#settings") } else { href };
    let changes = editable.then(|| {
        view! {
            <li><a href=rotation>{t!("Make a new secret")}</a></li>
            <li><DeleteDialog key_id name=name.clone() class="menu-danger" back /></li>
        }
    });
    view! {
        <div class="row">
            <Menu id=format!("menu-{key_id}") label=t!("More for {name}", name = name)>
                <li><a href=first>{if editable { t!("Edit") } else { t!("Look") }}</a></li>
                <li><a href=calls_of(key_id, false)>{t!("All calls of this key")}</a></li>
                <li><a href=calls_of(key_id, true)>{t!("Failed calls of this key")}</a></li>
                {changes}
            </Menu>
        </div>
    }
    .into_any()
}

/// The way on, and back to the beginning.
#[component]
pub fn MorePages(asked: Asked, more_after: Option<KeyId>) -> impl IntoView {
    if asked.after.is_empty() && more_after.is_none() {
        return ().into_any();
    }
    let first = (!asked.after.is_empty()).then(|| view! { <a class="button" href=asked.address("")>{t!("First page")}</a> });
    let next = more_after.map(|key_id| {
        let href = asked.address(&key_id.to_string());
        view! { <a class="button" href=href rel="next">{t!("Next page")}</a> }
    });
    view! { <nav class="row pages" aria-label=t!("Pages of keys")>{first} {next}</nav> }.into_any()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::types_list::back_to_list;

    #[test]
    fn an_address_says_what_is_shown_and_nothing_else() {
        assert_eq!(Asked::default().address(""), "/keys");
        let asked = Asked { search: "a b".into(), order: "name".into(), after: "x".into(), ..Asked::default() };
        assert_eq!(asked.address("y"), "/keys?search=a+b&order=name&after=y");
        assert_eq!(asked.back(), "/keys?search=a+b&order=name&after=x");
        assert_eq!((back_to_list(&asked.back()), Asked::default().back()), (asked.back().as_str(), String::new()));
        assert_eq!(asked.clone().first_page().back(), "/keys?search=a+b&order=name");
        assert!(asked.is_filtered() && !Asked { order: "name".into(), ..Asked::default() }.is_filtered());
    }
}
