//! What tests over HTTP share: a running replica, customers with Tokens, keys, and clients that speak to it.

pub mod app;
pub mod browser;
pub mod client;
pub mod fake_stripe;
pub mod toki;
