//! Simplified Chinese, a table a domain.

mod checkout;
mod errors;
mod everywhere;
mod frame;
mod home;
mod keys;
mod members;
mod usage;
mod wallet;

/// Every message: English, Chinese.
pub const TABLES: &[&[(&str, &str)]] = &[
    checkout::MESSAGES,
    errors::MESSAGES,
    everywhere::MESSAGES,
    frame::MESSAGES,
    home::MESSAGES,
    keys::MESSAGES,
    members::MESSAGES,
    usage::MESSAGES,
    wallet::MESSAGES,
];
