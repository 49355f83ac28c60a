//! Pages that wait for their data.

use leptos::prelude::*;
use leptos_router::hooks::{use_params_map, use_query_map};

/// The `:id` of the page's address.
pub fn id_of_address() -> String {
    use_params_map().read_untracked().get("id").unwrap_or_default()
}

/// A parameter of the page's address, empty if it has none.
pub fn of_address(name: &str) -> String {
    use_query_map().read_untracked().get(name).unwrap_or_default()
}

/// Shows what `fetch` brings. The answer waits for it (`SsrMode::Async`), so there is nothing to show meanwhile.
pub fn with_data<T: Send + 'static>(
    fetch: impl Future<Output = T> + Send + 'static,
    show: impl FnOnce(T) -> AnyView + Send + 'static,
) -> impl IntoView {
    Suspend::new(async move { show(fetch.await) })
}
