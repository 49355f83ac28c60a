//! All SQL of `home`.
