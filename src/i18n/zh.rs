//! Simplified Chinese, a table a domain.

mod checkout;
mod common;
mod errors;
mod frame;
mod home;
mod keys;
mod members;
mod two_factor;
mod usage;
mod wallet;

/// Every message: English, Chinese.
pub const TABLES: &[&[(&str, &str)]] = &[
    checkout::MESSAGES,
    common::MESSAGES,
    errors::MESSAGES,
    frame::MESSAGES,
    home::MESSAGES,
    keys::MESSAGES,
    members::MESSAGES,
    two_factor::MESSAGES,
    usage::MESSAGES,
    wallet::MESSAGES,
];
