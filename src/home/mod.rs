//! The first page of visitors and the dashboard of customers. Puts together what other domains' pages show in full.

pub mod page;
mod page_burn_down;
mod page_dashboard;
pub mod page_next;
pub mod server_fns;
pub mod types;

pub mod burn_down;
pub mod store;
