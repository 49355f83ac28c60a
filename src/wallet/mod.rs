//! Grants, balance, ledger. `ledger` is the only writer of the ledger, grant and hold tables; `store` reads them for pages.

pub mod page;
pub mod page_banner;
pub mod page_forecast;
mod page_grants;
mod page_statement;
pub mod server_fns;
pub mod types;

pub mod audit;
pub mod export;
pub mod filter;
#[cfg(test)]
pub mod fixtures;
pub mod forecast;
pub mod ledger;
pub mod store;
