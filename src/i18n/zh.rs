//! Simplified Chinese, a table a domain.

mod checkout;
mod docs;
mod errors;
mod everywhere;
mod frame;
mod home;
mod keys;
mod ui;
mod usage;
mod wallet;

/// Every message: English, Chinese.
pub const TABLES: &[&[(&str, &str)]] = &[
    checkout::MESSAGES,
    docs::MESSAGES,
    errors::MESSAGES,
    everywhere::MESSAGES,
    frame::MESSAGES,
    home::MESSAGES,
    keys::MESSAGES,
    ui::MESSAGES,
    usage::MESSAGES,
    wallet::MESSAGES,
];
