//! The right to run the business, as a type.

use crate::accounts::rights::Reader;
use crate::ids::UserId;
use crate::operators::system_user;

/// Somebody who may change packages, suppliers, credits and accounts.
#[derive(Clone, Copy, Debug)]
pub struct Operator {
    who: Who,
    reason: Option<&'static str>,
}

/// Nobody does anything without a name.
#[derive(Clone, Copy, Debug)]
enum Who {
    /// A user of the console.
    User(UserId),
    /// A user of the machine that the command runs on.
    SystemUser(&'static str),
}

impl Operator {
    /// Whoever runs the `toki` command can reach the database, and so is an operator already.
    pub fn command_line() -> Operator {
        Operator { who: Who::SystemUser(system_user::name()), reason: None }
    }

    pub fn of(member: &Reader) -> Option<Operator> {
        member.is_operator().then(|| Operator { who: Who::User(member.user_id()), reason: None })
    }

    /// The same, by the name of whom `sudo` says that it made root: of one command, for as long as it runs.
    pub fn called_by(self, sudo_user: Option<String>) -> Operator {
        match system_user::name_before_sudo(sudo_user.as_deref()) {
            Some(name) => Operator { who: Who::SystemUser(name.leak()), ..self },
            None => self,
        }
    }

    /// The same, who says why: of one command, for as long as it runs.
    pub fn because(self, reason: Option<String>) -> Operator {
        Operator { reason: reason.map(|reason| &*reason.leak()), ..self }
    }

    /// Why they do what they do, where the deed itself does not ask.
    pub fn reason(self) -> Option<&'static str> {
        self.reason
    }

    /// None = whoever runs the command, who need not be a user.
    pub fn user_id(self) -> Option<UserId> {
        match self.who {
            Who::User(user_id) => Some(user_id),
            Who::SystemUser(_) => None,
        }
    }

    /// None = a user of the console.
    pub fn system_user_name(self) -> Option<&'static str> {
        match self.who {
            Who::User(_) => None,
            Who::SystemUser(name) => Some(name),
        }
    }
}
