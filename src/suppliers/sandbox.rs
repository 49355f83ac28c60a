//! The sandbox supplier.
