//! The letters of notices. Each says what is so, what comes of it, and where it is changed.

use crate::accounts::rights::Origin;
use crate::mail::letter::{Letter, Part};
use crate::mail::outbox::Outbox;
use crate::notices::store::What;
use crate::utc::UtcTime;
use chrono::{DateTime, TimeDelta, Utc};

/// Notices are worth reading for longer than links.
const NOTICE: TimeDelta = TimeDelta::days(14);

fn text(paragraph: impl Into<String>) -> Part {
    Part::Text(paragraph.into())
}

/// Where each of them is turned off.
fn settings(outbox: &Outbox) -> Part {
    Part::Link { label: "Choose what you are told", url: outbox.address("/settings#notices") }
}

/// To a user who signed in from a browser that they had not signed in from before.
pub fn new_device(outbox: &Outbox, origin: &Origin, at: DateTime<Utc>) -> Letter {
    let device = if origin.device.is_empty() { "an unknown device" } else { &origin.device };
    let address = origin.address.map(|address| format!(", from {address}")).unwrap_or_default();
    let at = UtcTime::from(at).minute();
    Letter {
        kind: "new_device",
        subject: "A new browser signed in",
        parts: vec![
            text(format!(
                "Your account at TOKI Token Plan was signed in to from a browser that it had not been signed in to from before: {device}{address}, on {at}."
            )),
            text("If it was not you, set a new password at once. That ends all your sessions."),
            Part::Link { label: "Set a new password", url: outbox.address("/forgot-password") },
            settings(outbox),
        ],
        useful_for: NOTICE,
    }
}

/// To an owner or admin of an account, about what is coming to its end there.
pub fn notice(outbox: &Outbox, account: &str, what: &What) -> Letter {
    let (subject, says, link) = match what {
        What::Balance { left, below } => (
            "Your balance is low",
            vec![format!(
                "The wallet of {account} at TOKI Token Plan has {} Tokens left, and you wanted to know when it has less than {}.",
                left.exact(),
                below.exact()
            )],
            ("Buy Tokens", "/products"),
        ),
        What::Expires { left, at, soon } => (
            if *soon { "Tokens expire within a day" } else { "Tokens expire within a week" },
            vec![
                format!("{} Tokens in the wallet of {account} at TOKI Token Plan expire on {}.", left.exact(), UtcTime::from(*at).minute()),
                "Until then calls spend them before others that last longer. What is left then is gone.".into(),
            ],
            ("Open the wallet", "/wallet"),
        ),
        What::Quota { key, left, quota, period } => (
            "A key is near its quota",
            vec![
                format!(
                    "The API key \"{key}\" of {account} at TOKI Token Plan has {} of the {} Tokens of its quota{} left.",
                    left.exact(),
                    quota.exact(),
                    if *period { " of the present period" } else { "" }
                ),
                "Calls with it are refused when nothing is left, whatever the wallet holds.".into(),
            ],
            ("Open the keys", "/keys"),
        ),
    };
    let mut parts: Vec<Part> = says.into_iter().map(text).collect();
    parts.push(Part::Link { label: link.0, url: outbox.address(link.1) });
    parts.push(settings(outbox));
    Letter { kind: what.kind(), subject, parts, useful_for: NOTICE }
}
