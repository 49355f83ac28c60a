//! From a confirmed package to Tokens in the wallet: orders, payment providers, the webhook that fulfils.

pub mod page;
pub mod server_fns;
pub mod types;

#[cfg(feature = "ssr")]
pub mod payments;
#[cfg(feature = "ssr")]
pub mod store;
