//! From a confirmed package to Tokens in the wallet: orders, payment providers, the webhook that fulfils.

pub mod page;
pub mod server_fns;
pub mod server_fns_receipt;
pub mod types;
pub mod types_placing;
pub mod types_receipt;
pub mod types_refund;

#[cfg(feature = "ssr")]
pub mod event;
#[cfg(feature = "ssr")]
pub mod payments;
#[cfg(feature = "ssr")]
pub mod placing;
#[cfg(feature = "ssr")]
pub mod reconcile;
#[cfg(feature = "ssr")]
pub mod refunding;
#[cfg(feature = "ssr")]
pub mod sandbox;
#[cfg(feature = "ssr")]
pub mod store;
#[cfg(feature = "ssr")]
pub mod stripe;
#[cfg(feature = "ssr")]
pub mod webhook;
