//! Users, accounts and members: sign-up, sign-in, sessions, who may do what. Knows nothing of wallets and prices.

pub mod membership;
pub mod page;
pub mod page_deletion;
pub mod page_invitation;
pub mod page_mail;
mod page_member_limits;
mod page_member_menu;
pub mod page_members;
pub mod page_rights;
pub mod page_settings;
pub mod page_two_factor;
pub mod page_words;
pub mod server_fns;
pub mod server_fns_deletion;
pub mod server_fns_mail;
pub mod server_fns_members;
pub mod server_fns_settings;
pub mod server_fns_two_factor;
pub mod types;
pub mod types_deletion;
pub mod types_members;
pub mod types_settings;
pub mod types_two_factor;

pub mod device;
pub mod letters;
pub mod letters_members;
pub mod mail_token;
pub mod password;
pub mod rights;
pub mod second_factor;
pub mod session_store;
pub mod store;

#[cfg(test)]
mod store_tests;
