//! Operator rights and the audit log. Every operator write leaves a row in the same transaction.

pub mod audit;
pub mod rights;
