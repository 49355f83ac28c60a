//! What the pages about two-factor sign-in show, and what their forms take.

use crate::utc::UtcTime;
use serde::{Deserialize, Serialize};

/// The page where a user sets it up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TwoFactorView {
    pub standing: Standing,
    /// New recovery codes, the one time they are shown.
    pub new_codes: Vec<String>,
    /// What a form of the page has just done.
    pub done: Option<TwoFactorDone>,
    /// Whether the user may do nothing else before.
    pub required: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    Off,
    /// The authenticator is to learn the seed; until its first code is typed nothing has changed.
    Begun {
        secret: String,
        qr: Option<QrSquare>,
    },
    On {
        since: UtcTime,
        recovery_codes_left: i64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TwoFactorDone {
    TurnedOn,
    CodesRenewed,
    TurnedOff,
}

/// A QR code as an SVG path over a white square of this side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QrSquare {
    pub side: u32,
    pub path: String,
}
