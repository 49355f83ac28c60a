//! Codes that customers type: redemption codes are worth Tokens, promotion codes a part of a price. Who may make them is `operators`'
//! business, what a promotion code takes off an order is decided here and asked for by `checkout`.

pub mod page;
pub mod server_fns;
pub mod types;

pub mod store;
