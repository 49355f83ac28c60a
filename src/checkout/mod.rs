//! From a confirmed package to Tokens in the wallet: orders, payment providers, the webhook that fulfils.

pub mod page;
pub mod server_fns;
pub mod server_fns_events;
pub mod server_fns_receipt;
pub mod types;
pub mod types_events;
pub mod types_placing;
pub mod types_receipt;
pub mod types_refund;

pub mod cancelling;
pub mod event;
pub mod letters;
pub mod payments;
pub mod placing;
pub mod reconcile;
pub mod refunding;
pub mod sandbox;
pub mod store;
pub mod stripe;
pub mod webhook;
