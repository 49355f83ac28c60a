//! What crosses the wire of `suppliers`.
