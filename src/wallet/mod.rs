//! Grants, balance, ledger. `ledger` is the only writer of the ledger, grant and hold tables; `store` reads them for pages.

pub mod page;
mod page_statement;
pub mod server_fns;
pub mod types;

pub mod audit;
#[cfg(test)]
pub mod fixtures;
pub mod ledger;
pub mod store;
