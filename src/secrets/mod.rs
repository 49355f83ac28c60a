//! Secrets at rest as a whole: the key that hashes are made with, and the move of everything that is sealed to another key.

pub mod hash_key;
pub mod rotation;
pub mod store;
