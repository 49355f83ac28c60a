//! Tells open pages that something of their account changed, on whichever replica it did. A hint and no more: pages ask again, and nothing
//! is decided by it. Changes travel as notifications of Postgres.

mod heard;
pub mod hub;
pub mod store;
