//! What crosses the wire of `usage`.
