//! What crosses the wire of `home`.
