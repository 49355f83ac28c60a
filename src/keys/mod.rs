//! API keys: their secrets, settings and page. The decision whether a key may call is made in `wallet::ledger`, in the database.

pub mod page;
mod page_create;
mod page_delete;
mod page_forms;
mod page_key;
mod page_lasting;
mod page_limits;
mod page_list;
mod page_rotation;
mod page_snippets;
mod page_try;
pub mod server_fns;
pub mod server_fns_list;
pub mod server_fns_rotation;
pub mod server_fns_try;
pub mod types;
pub mod types_limits;
pub mod types_list;
pub mod types_try;

pub mod expiration;
pub mod secret;
pub mod store;
pub mod trial;
