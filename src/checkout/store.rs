//! All SQL of `checkout`.
