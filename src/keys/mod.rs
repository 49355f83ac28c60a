//! API keys: their secrets, settings and page. The decision whether a key may call is made in `wallet::ledger`, in the database.

pub mod page;
pub mod server_fns;
pub mod types;

#[cfg(feature = "ssr")]
pub mod secret;
#[cfg(feature = "ssr")]
pub mod store;
