//! All SQL of `suppliers`.
