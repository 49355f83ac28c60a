//! What was spent, on what, and why: totals and the calls behind them. Reads only; records are written by settlements.

pub mod calls;
pub mod page;
pub mod server_fns;
pub mod types;

pub mod store;
