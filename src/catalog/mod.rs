//! Product Center: the packages on sale.

pub mod page;
pub mod server_fns;
pub mod types;

pub mod store;
