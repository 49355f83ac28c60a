//! What was spent, on what, and why: totals and the calls behind them. Reads only; records are written by settlements.

pub mod calls;
pub mod export;
pub mod filter;
pub mod page;
mod page_filter;
mod page_totals;
pub mod range;
pub mod server_fns;
pub mod types;
pub mod types_totals;

pub mod store;
