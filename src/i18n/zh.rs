//! Simplified Chinese, a table a domain.

mod checkout;
mod common;
mod frame;
mod keys;
mod usage;

/// Every message: English, Chinese.
pub const TABLES: &[&[(&str, &str)]] = &[checkout::MESSAGES, common::MESSAGES, frame::MESSAGES, keys::MESSAGES, usage::MESSAGES];
