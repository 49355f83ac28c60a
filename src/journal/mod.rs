//! The account log: what happened in an account, who did it, from where. Every domain writes its entries in its own transactions.

pub mod export;
pub mod filter;
pub mod page;
pub mod page_words;
pub mod record;
pub mod server_fns;
pub mod store;
pub mod types;
