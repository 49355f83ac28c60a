//! Mail to people: how a letter looks, an outbox that loses nothing, and its delivery. Knows nothing of who writes, or why.

pub mod delivery;
pub mod letter;
pub mod outbox;
pub mod sending;
