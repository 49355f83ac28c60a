//! What crosses the wire about the members of an account: their roles, and who is invited.

use crate::accounts::types::Email;
use crate::error::{ConsoleError, Field, Problem};
use crate::ids::{AccountId, InvitationId, UserId};
use crate::tokens::Tokens;
use crate::utc::UtcTime;
use serde::{Deserialize, Serialize};

/// What somebody may do in an account, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Role {
    /// Sees everything and changes nothing.
    ReadOnly,
    /// Makes keys and edits their own.
    Member,
    /// Edits all keys, buys, and looks after the members.
    Admin,
    /// Admin, and may give the account away. Each account has one.
    Owner,
}

impl Role {
    pub const ALL: [Role; 4] = [Role::ReadOnly, Role::Member, Role::Admin, Role::Owner];

    /// What an admin can make somebody.
    pub const GIVEN: [Role; 3] = [Role::Member, Role::ReadOnly, Role::Admin];

    /// As the database writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::ReadOnly => "read_only",
            Role::Member => "member",
            Role::Admin => "admin",
            Role::Owner => "owner",
        }
    }

    /// For the account log, which is in English.
    pub fn words(self) -> &'static str {
        match self {
            Role::ReadOnly => "Read-only",
            Role::Member => "Member",
            Role::Admin => "Admin",
            Role::Owner => "Owner",
        }
    }

    pub fn parse(text: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.as_str() == text)
    }

    /// A role that is not the owner's: that is handed over.
    pub fn parse_given(text: &str) -> Result<Role, ConsoleError> {
        let given = Role::parse(text).filter(|role| *role != Role::Owner);
        given.ok_or(ConsoleError::invalid(Field::Role, Problem::Unknown))
    }
}

/// What becomes of the keys that somebody made, when they leave the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeysLeft {
    /// Programs that call with them stop at once.
    Disabled,
    /// They go on, as those of whoever removes their maker, or of the owner when their maker goes.
    HandedOver,
}

impl KeysLeft {
    pub fn parse(text: &str) -> Result<KeysLeft, ConsoleError> {
        match text {
            "disable" => Ok(KeysLeft::Disabled),
            "hand_over" => Ok(KeysLeft::HandedOver),
            _ => Err(ConsoleError::BadRequest),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberView {
    pub user_id: UserId,
    pub email: String,
    pub role: Role,
    pub since: UtcTime,
    /// Whether they sign in with a second factor. For whoever looks after the members: who has none is nobody else's business.
    pub two_factor: Option<bool>,
    /// Keys of this account that they made, deleted ones left out.
    pub keys: i64,
    pub usage: MemberUse,
    /// Who looks at the page.
    pub you: bool,
}

/// What a member may spend with their keys, in Tokens; none = as much as the wallet has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberLimits {
    pub quota: Option<Tokens>,
    /// In a calendar month, UTC.
    pub month_quota: Option<Tokens>,
}

/// What the keys of a member have spent and hold, deleted ones too, beside what they may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberUse {
    pub used: Tokens,
    pub used_this_month: Tokens,
    pub limits: MemberLimits,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitationView {
    pub invitation_id: InvitationId,
    pub email: String,
    pub role: Role,
    pub invited_by: String,
    pub expires_at: UtcTime,
}

/// The members page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembersView {
    /// Of whoever looks at it.
    pub role: Role,
    pub members: Vec<MemberView>,
    pub invitations: Vec<InvitationView>,
}

/// What the page behind an invitation's link shows to whoever has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenInvitation {
    pub account: String,
    pub email: Email,
    pub role: Role,
    pub invited_by: String,
    /// Who has opened it.
    pub reader: Invited,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Invited {
    /// Signed in with the address that was invited.
    Themselves,
    /// Signed in with another one.
    SomebodyElse(Email),
    /// Not signed in; the address has a user, who is to sign in.
    ToSignIn,
    /// Not signed in; nobody has the address yet.
    ToSignUp,
}

/// An account that a user belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountChoice {
    pub account_id: AccountId,
    pub name: String,
    /// Whether the session acts for it.
    pub current: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_ordered_and_the_owners_is_not_given() {
        assert!(Role::ALL.is_sorted());
        for role in Role::ALL {
            assert_eq!(Role::parse(role.as_str()), Some(role));
            assert_eq!(Role::parse_given(role.as_str()).is_ok(), role != Role::Owner);
        }
        assert!(Role::parse_given("boss").is_err() && KeysLeft::parse("").is_err());
    }
}
