//! Grants, balance, ledger. `ledger` is the only writer of the ledger, grant and hold tables; `store` reads them for pages.

pub mod page;
pub mod server_fns;
pub mod types;

#[cfg(feature = "ssr")]
pub mod audit;
#[cfg(feature = "ssr")]
pub mod ledger;
#[cfg(feature = "ssr")]
pub mod store;
