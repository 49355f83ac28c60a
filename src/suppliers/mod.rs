//! Suppliers, their channels and models. Which of them a call may use is decided in `wallet::ledger`, in the database.

pub mod page;
pub mod server_fns;
pub mod types;

pub mod address;
pub mod callable;
pub mod directory;
pub mod resolver;
pub mod sandbox;
pub mod sealed;
pub mod store;
