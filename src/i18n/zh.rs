//! Simplified Chinese, a table a domain.

mod frame;

/// Every message: English, Chinese.
pub const TABLES: &[&[(&str, &str)]] = &[frame::MESSAGES];
