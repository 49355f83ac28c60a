//! Users, accounts and members: sign-up, sign-in, sessions, who may do what. Knows nothing of Tokens.

pub mod page;
pub mod server_fns;
pub mod types;

#[cfg(feature = "ssr")]
pub mod password;
#[cfg(feature = "ssr")]
pub mod rights;
#[cfg(feature = "ssr")]
pub mod session_store;
#[cfg(feature = "ssr")]
pub mod store;

#[cfg(test)]
#[cfg(feature = "ssr")]
mod store_tests;
