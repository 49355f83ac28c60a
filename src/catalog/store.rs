//! All SQL of `catalog`.
