//! What a page reads from the server: a resource in the format of the server functions, so that the browser carries one JSON reader a
//! type, not two (Leptos' own codec reads strings, its server functions read bytes).

use leptos::prelude::*;
use leptos::server::codee::{Decoder, Encoder};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Carries a page's data from the server's rendering to the browser's.
pub struct Json;

impl<T: Serialize> Encoder<T> for Json {
    type Error = serde_json::Error;
    type Encoded = String;

    fn encode(value: &T) -> Result<String, Self::Error> {
        serde_json::to_string(value)
    }
}

impl<T: DeserializeOwned> Decoder<T> for Json {
    type Error = serde_json::Error;
    type Encoded = str;

    fn decode(text: &str) -> Result<T, Self::Error> {
        serde_json::from_slice(text.as_bytes())
    }
}

/// Fetches a page's data, again whenever `source` changes. Read it in a `Suspense` or `Transition` only.
pub fn page_data<S, T, Reply>(
    source: impl Fn() -> S + Send + Sync + 'static,
    fetch: impl Fn(S) -> Reply + Send + Sync + 'static,
) -> Resource<T, Json>
where
    S: PartialEq + Clone + Send + Sync + 'static,
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
    Reply: Future<Output = T> + Send + 'static,
{
    Resource::new_with_options(source, fetch, false)
}
