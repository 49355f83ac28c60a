//! What crosses the wire of `catalog`.
