//! All SQL of `wallet`.
