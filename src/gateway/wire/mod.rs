//! What we must know of each protocol's requests and answers; all else stays raw JSON, byte for byte.

pub mod chat;
pub mod object;
