//! What tests over HTTP share: a running replica, customers with Tokens, keys, and clients that speak to it;
//! and installations of real processes that a test may break.

pub mod app;
pub mod browser;
pub mod client;
pub mod cluster;
pub mod edge;
pub mod endpoints;
pub mod fake_stripe;
pub mod fingerprint;
pub mod installation;
pub mod matrix;
pub mod raw;
pub mod routes;
pub mod scripted;
pub mod silent_proxy;
pub mod supplier;
pub mod tenant;
pub mod toki;
pub mod visit;
