//! All SQL of `usage`.
