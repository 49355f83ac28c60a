//! The `toki` command line.
