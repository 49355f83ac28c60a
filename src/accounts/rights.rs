//! Rights as types: a function that needs one takes it as a parameter, and only the guard can make it.

use crate::accounts::types::Email;
use crate::ids::{AccountId, UserId};
use std::net::IpAddr;

/// From where somebody acts, for the account log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    pub address: Option<IpAddr>,
    /// `Firefox on Linux`; empty = not known.
    pub device: String,
}

/// A signed-in user acting for an account they belong to. Made by `accounts::store` from a live row, never from a request.
#[derive(Clone, Debug)]
pub struct Member {
    pub(super) user_id: UserId,
    pub(super) account_id: AccountId,
    pub(super) email: Email,
    pub(super) verified: bool,
    pub(super) operator: bool,
    pub(super) two_factor: bool,
    pub(super) origin: Origin,
}

impl Member {
    pub fn user_id(&self) -> UserId {
        self.user_id
    }

    pub fn account_id(&self) -> AccountId {
        self.account_id
    }

    pub fn email(&self) -> &Email {
        &self.email
    }

    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The same member, acting from there.
    pub fn from(self, origin: Origin) -> Member {
        Member { origin, ..self }
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
}
