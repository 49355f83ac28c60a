//! The right to run the business, as a type.

use crate::accounts::rights::Reader;
use crate::ids::UserId;

/// Somebody who may change packages, suppliers, credits and accounts.
#[derive(Clone, Copy, Debug)]
pub struct Operator {
    actor: Option<UserId>,
}

impl Operator {
    /// Whoever runs the `toki` command can reach the database, and so is an operator already.
    pub fn command_line() -> Operator {
        Operator { actor: None }
    }

    pub fn of(member: &Reader) -> Option<Operator> {
        member.is_operator().then(|| Operator { actor: Some(member.user_id()) })
    }

    /// Empty = the command line.
    pub fn actor(self) -> Option<UserId> {
        self.actor
    }
}
