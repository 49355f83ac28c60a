//! What crosses the wire of `keys`.
