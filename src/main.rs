//! The `toki` program. Everything it does is in the library.

fn main() {}
