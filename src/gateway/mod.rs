//! `/v1`: OpenAI-compatible, metered, exact. Has never heard of Leptos, sessions or pages.

use axum::Router;

pub fn router() -> Router {
    Router::new()
}
