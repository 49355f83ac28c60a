//! Users, accounts and members: sign-up, sign-in, sessions, who may do what. Knows nothing of Tokens.

pub mod page;
pub mod page_mail;
pub mod page_settings;
pub mod page_two_factor;
pub mod server_fns;
pub mod server_fns_mail;
pub mod server_fns_settings;
pub mod server_fns_two_factor;
pub mod types;
pub mod types_settings;
pub mod types_two_factor;

#[cfg(feature = "ssr")]
pub mod device;
#[cfg(feature = "ssr")]
pub mod letters;
#[cfg(feature = "ssr")]
pub mod mail_token;
#[cfg(feature = "ssr")]
pub mod password;
#[cfg(feature = "ssr")]
pub mod rights;
#[cfg(feature = "ssr")]
pub mod second_factor;
#[cfg(feature = "ssr")]
pub mod session_store;
#[cfg(feature = "ssr")]
pub mod store;

#[cfg(test)]
#[cfg(feature = "ssr")]
mod store_tests;
