//! What pages are made of: their address, and data that they wait for.

use crate::i18n::{Language, language, speaking};
use crate::preferences::{in_zone, time_zone};
use crate::push;
use crate::ui::copy::with_copies;
use chrono_tz::Tz;
use futures::channel::oneshot;
use leptos::prelude::*;
use leptos::reactive::computed::ScopedFuture;
use leptos::tachys::html::InertElement;
use leptos_router::hooks::{use_params_map, use_query_map};
use std::cell::Cell;

/// The `:id` of the page's address.
pub fn id_of_address() -> String {
    use_params_map().read_untracked().get("id").unwrap_or_default()
}

/// A parameter of the page's address, empty if it has none.
pub fn of_address(name: &str) -> String {
    use_query_map().read_untracked().get(name).unwrap_or_default()
}

/// All values of a parameter that the page's address has several times.
pub fn all_of_address(name: &str) -> Vec<String> {
    use_query_map().read_untracked().get_all(name).unwrap_or_default()
}

/// The address of a page with these parameters; what is empty is left out.
pub fn address_with<'a>(path: &str, parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut address = String::with_capacity(path.len() + 64);
    push!(address, "{path}?");
    let start = address.len();
    let mut query = url::form_urlencoded::Serializer::for_suffix(address, start);
    query.extend_pairs(parameters.into_iter().filter(|(_, value)| !value.is_empty()));
    let mut address = query.finish();
    if address.len() == start {
        address.pop();
    }
    address
}

thread_local! {
    /// Whether a part of a page is being written out.
    static WRITING: Cell<bool> = const { Cell::new(false) };
}

/// Shows what `fetch` brings. The answer waits for it (`SsrMode::Async`), so there is nothing to show meanwhile. What `show` makes waits for
/// nothing more: all that a part needs is fetched before it, together.
///
/// It runs as a task: rendering looks at each part of a page once and then waits for them one after the other, so one that was looked at
/// would keep a database connection and not go on, while the one waited for waits for a connection.
pub fn with_data<T: Send + 'static>(
    fetch: impl Future<Output = T> + Send + 'static,
    show: impl FnOnce(T) -> AnyView + Send + 'static,
) -> impl IntoView {
    debug_assert!(!WRITING.get(), "a part that is being written out waits for nothing: fetch it with the part's own data");
    let (fetched, data) = oneshot::channel();
    // Nobody waits any more when the reader has left.
    leptos::task::spawn(ScopedFuture::new(async move { drop(fetched.send(fetch.await)) }));
    let (language, zone) = (language(), time_zone());
    Suspend::new(async move { data.await.map(|data| written_out(language, zone, || show(data))) })
}

/// A part that waits for nothing.
pub fn at_once(show: impl FnOnce() -> AnyView) -> impl IntoView {
    written_out(language(), time_zone(), show)
}

/// The view as text, in one piece. In a page that is written as it comes, each element would be several texts of their own.
fn written_out(language: Language, zone: Tz, view: impl FnOnce() -> AnyView) -> InertElement {
    WRITING.set(true);
    // The language is asked for with every message, the zone with every time, and both are found at once here.
    let html = speaking(language, || in_zone(zone, || with_copies(view().to_html())));
    WRITING.set(false);
    InertElement::new(html)
}
