//! Finds pages, keys, orders and models by what is typed: a page of its own, and what the palette (`islands::palette`) shows of it.

pub mod page;
pub mod palette;
pub mod server_fns;
pub mod store;
pub mod types;
