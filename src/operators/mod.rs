//! Operator rights, deeds and the audit log. Every operator write leaves a row in the same transaction.

pub mod accounts;
pub mod audit;
pub mod credit;
pub mod moves;
pub mod rights;
pub mod store_limits;
pub mod system_user;
