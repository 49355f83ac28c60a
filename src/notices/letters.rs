//! The letters of notices. Each says what is so, what comes of it, and where it is changed.

use crate::accounts::page_words::device_words;
use crate::accounts::rights::Origin;
use crate::i18n::language;
use crate::mail::letter::{Letter, Part};
use crate::mail::outbox::Outbox;
use crate::notices::store::What;
use crate::t;
use crate::utc::UtcTime;
use chrono::{DateTime, TimeDelta, Utc};

/// Notices are worth reading for longer than links.
const NOTICE: TimeDelta = TimeDelta::days(14);

fn text(paragraph: impl Into<String>) -> Part {
    Part::Text(paragraph.into())
}

fn minute(at: DateTime<Utc>) -> String {
    UtcTime::from(at).minute(language())
}

/// Where each of them is turned off.
fn settings(outbox: &Outbox) -> Part {
    Part::Link { label: t!("Choose what you are told"), url: outbox.address("/settings#notices") }
}

/// To a user who signed in from a browser that they had not signed in from before.
pub fn new_device(outbox: &Outbox, origin: &Origin, at: DateTime<Utc>) -> Letter {
    let device = device_words(&origin.device);
    let at = minute(at);
    let first = t!("Your account at TOKI Token Plan was signed in to from a browser that it had not been signed in to from before.");
    let which = match origin.address {
        Some(address) => t!("It was {device}, from {address}, on {at}.", device = device, address = address, at = at),
        None => t!("It was {device}, on {at}.", device = device, at = at),
    };
    Letter {
        kind: "new_device",
        subject: t!("A new browser signed in"),
        parts: vec![
            text(first),
            text(which),
            text(t!("If it was not you, set a new password at once. That ends all your sessions.")),
            Part::Link { label: t!("Set a new password"), url: outbox.address("/forgot-password") },
            settings(outbox),
        ],
        useful_for: NOTICE,
    }
}

/// To an owner or admin of an account, about what is coming to its end there.
pub fn notice(outbox: &Outbox, account: &str, what: &What) -> Letter {
    let (subject, says, link) = match what {
        What::Balance { left, below } => (
            t!("Your balance is low"),
            vec![t!(
                "The wallet of {account} at TOKI Token Plan has {left} Tokens left, and you wanted to know when it has less than {below}.",
                account = account,
                left = left.exact(),
                below = below.exact()
            )],
            (t!("Buy Tokens"), "/products"),
        ),
        What::Expires { left, at, soon } => (
            if *soon { t!("Tokens expire within a day") } else { t!("Tokens expire within a week") },
            vec![
                t!(
                    "{left} Tokens in the wallet of {account} at TOKI Token Plan expire on {at}.",
                    left = left.exact(),
                    account = account,
                    at = minute(*at)
                ),
                t!("Until then calls spend them before others that last longer. What is left then is gone.").into(),
            ],
            (t!("Open the wallet"), "/wallet"),
        ),
        What::Quota { key, left, quota, period } => {
            let (left, quota) = (left.exact(), quota.exact());
            let says = if *period {
                t!(
                    "The API key \"{key}\" of {account} at TOKI Token Plan has {left} of the {quota} Tokens of its quota of the present period left.",
                    key = key,
                    account = account,
                    left = left,
                    quota = quota
                )
            } else {
                t!(
                    "The API key \"{key}\" of {account} at TOKI Token Plan has {left} of the {quota} Tokens of its quota left.",
                    key = key,
                    account = account,
                    left = left,
                    quota = quota
                )
            };
            let refused = t!("Calls with it are refused when nothing is left, whatever the wallet holds.");
            (t!("A key is near its quota"), vec![says, refused.into()], (t!("Open the keys"), "/keys"))
        }
    };
    let mut parts: Vec<Part> = says.into_iter().map(text).collect();
    parts.push(Part::Link { label: link.0, url: outbox.address(link.1) });
    parts.push(settings(outbox));
    Letter { kind: what.kind(), subject, parts, useful_for: NOTICE }
}
