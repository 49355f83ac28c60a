//! What crosses the wire of `checkout`.
