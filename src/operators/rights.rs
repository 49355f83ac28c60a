//! The right to run the business, as a type.

use crate::accounts::rights::Reader;
use crate::ids::UserId;

/// Somebody who may change packages, suppliers, credits and accounts.
#[derive(Clone, Copy, Debug)]
pub struct Operator {
    actor: Option<UserId>,
    reason: Option<&'static str>,
}

impl Operator {
    /// Whoever runs the `toki` command can reach the database, and so is an operator already.
    pub fn command_line() -> Operator {
        Operator { actor: None, reason: None }
    }

    pub fn of(member: &Reader) -> Option<Operator> {
        member.is_operator().then(|| Operator { actor: Some(member.user_id()), reason: None })
    }

    /// The same, who says why: of one command, for as long as it runs.
    pub fn because(self, reason: Option<String>) -> Operator {
        Operator { reason: reason.map(|reason| &*reason.leak()), ..self }
    }

    /// Why they do what they do, where the deed itself does not ask.
    pub fn reason(self) -> Option<&'static str> {
        self.reason
    }

    /// Empty = the command line.
    pub fn actor(self) -> Option<UserId> {
        self.actor
    }
}
