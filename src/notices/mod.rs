//! What users are told by mail without asking, and what of it they want to be told.

pub mod page;
pub mod server_fns;
pub mod types;

pub mod letters;
pub mod store;
