//! Grants, balance, ledger. `ledger` is the only writer of the ledger, grant and hold tables; `store` reads them for pages.

pub mod page;
mod page_statement;
pub mod server_fns;
pub mod types;

#[cfg(feature = "ssr")]
pub mod audit;
#[cfg(test)]
#[cfg(feature = "ssr")]
pub mod fixtures;
#[cfg(feature = "ssr")]
pub mod ledger;
#[cfg(feature = "ssr")]
pub mod store;
