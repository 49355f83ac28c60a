//! Rights as types: a function that needs one takes it as a parameter, and only a live row can make it.

use crate::accounts::types::Email;
use crate::accounts::types_members::Role;
use crate::ids::{AccountId, UserId};
use std::net::IpAddr;
use std::ops::Deref;

/// From where somebody acts, for the account log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    pub address: Option<IpAddr>,
    /// `Firefox on Linux`; empty = not known.
    pub device: String,
}

/// A signed-in user and one of the accounts that they belong to, which they may look at. Made by `accounts::store` from a live row, never
/// from a request.
#[derive(Clone, Debug)]
pub struct Reader {
    pub(super) user_id: UserId,
    pub(super) account_id: AccountId,
    pub(super) role: Role,
    pub(super) email: Email,
    pub(super) verified: bool,
    pub(super) operator: bool,
    pub(super) two_factor: bool,
    pub(super) several_accounts: bool,
    pub(super) origin: Origin,
}

/// A reader who may also make keys, and edit those that they made.
#[derive(Clone, Debug)]
pub struct Member(Reader);

/// A member who may also edit everybody's keys, spend money and look after the members.
#[derive(Clone, Debug)]
pub struct Admin(Member);

/// An admin whose account it is.
#[derive(Clone, Debug)]
pub struct Owner(Admin);

impl Reader {
    pub fn user_id(&self) -> UserId {
        self.user_id
    }

    pub fn account_id(&self) -> AccountId {
        self.account_id
    }

    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether they belong to others beside this one.
    pub fn has_several_accounts(&self) -> bool {
        self.several_accounts
    }

    pub fn is_admin(&self) -> bool {
        self.role >= Role::Admin
    }

    pub fn email(&self) -> &Email {
        &self.email
    }

    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The same user, acting from there.
    pub fn from(self, origin: Origin) -> Reader {
        Reader { origin, ..self }
    }

    /// Whether mail has reached the user at their address.
    pub fn is_verified(&self) -> bool {
        self.verified
    }

    /// Whether they sign in with a second factor.
    pub fn has_two_factor(&self) -> bool {
        self.two_factor
    }

    /// Whether this user also runs the business.
    pub fn is_operator(&self) -> bool {
        self.operator
    }

    /// None for whoever may only look.
    pub fn into_member(self) -> Option<Member> {
        (self.role >= Role::Member).then_some(Member(self))
    }

    pub fn into_admin(self) -> Option<Admin> {
        (self.role >= Role::Admin).then_some(Admin(Member(self)))
    }

    pub fn into_owner(self) -> Option<Owner> {
        (self.role >= Role::Owner).then_some(Owner(Admin(Member(self))))
    }
}

impl Deref for Member {
    type Target = Reader;

    fn deref(&self) -> &Reader {
        &self.0
    }
}

impl Deref for Admin {
    type Target = Member;

    fn deref(&self) -> &Member {
        &self.0
    }
}

impl Deref for Owner {
    type Target = Admin;

    fn deref(&self) -> &Admin {
        &self.0
    }
}
