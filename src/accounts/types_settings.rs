//! What the settings page shows.

use crate::accounts::types::Email;
use crate::accounts::types_members::Role;
use crate::utc::UtcTime;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    pub email: Email,
    pub verified: bool,
    pub membership: Membership,
    /// Whether signing in takes a second factor.
    pub two_factor: bool,
    /// What a form of this page has just done.
    pub done: Option<Done>,
    pub sessions: Vec<SessionView>,
}

/// What the reader is in the account that they act for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    pub account_name: String,
    pub role: Role,
    pub since: UtcTime,
}

/// What a form of the settings page did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Done {
    PasswordChanged,
    AddressAsked,
    SessionEnded,
    OthersEnded,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionView {
    pub session_id: String,
    /// `Firefox on Linux`
    pub device: String,
    pub signed_in: UtcTime,
    pub last_seen: UtcTime,
    /// The one that looks at the page.
    pub current: bool,
}
