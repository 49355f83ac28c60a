//! What crosses the wire of `wallet`.
