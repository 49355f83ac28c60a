//! All SQL of `keys`.
