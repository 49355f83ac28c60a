//! What crosses the wire about deleting an account.

use crate::accounts::types::Email;
use crate::error::Blocker;
use crate::tokens::Tokens;
use serde::{Deserialize, Serialize};

/// The page that deletes an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletionView {
    pub email: Email,
    /// What the wallet loses.
    pub tokens: Tokens,
    /// Keys that stop.
    pub keys: i64,
    /// In accounts of others.
    pub memberships: i64,
    pub blockers: Vec<Blocker>,
}
