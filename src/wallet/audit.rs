//! `toki audit`.
