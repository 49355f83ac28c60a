//! Simplified Chinese, a table a domain.

mod accounts;
mod checkout;
mod docs;
mod errors;
mod everywhere;
mod frame;
mod home;
mod journal;
mod keys;
mod letters;
mod members;
mod notices;
mod operators;
mod ui;
mod usage;
mod wallet;

/// Every message: English, Chinese.
pub const TABLES: &[&[(&str, &str)]] = &[
    accounts::MESSAGES,
    checkout::MESSAGES,
    docs::MESSAGES,
    errors::MESSAGES,
    everywhere::MESSAGES,
    frame::MESSAGES,
    home::MESSAGES,
    journal::MESSAGES,
    keys::MESSAGES,
    letters::MESSAGES,
    members::MESSAGES,
    notices::MESSAGES,
    operators::MESSAGES,
    ui::MESSAGES,
    usage::MESSAGES,
    wallet::MESSAGES,
];
