//! What people are told by mail about accounts that they share. An account's name is its owner's to choose, so it stands in the text and
//! never in a subject.

use crate::accounts::mail_token::MailToken;
use crate::accounts::store::invitations::LIVES_FOR;
use crate::accounts::types::Email;
use crate::mail::letter::{Letter, Part};
use crate::mail::outbox::Outbox;
use crate::t;
use chrono::TimeDelta;

const NOTICE: TimeDelta = TimeDelta::days(3);

/// To an address that is to join an account.
pub fn invitation(outbox: &Outbox, account: &str, invited_by: &Email, token: &MailToken) -> Letter {
    Letter {
        kind: "invitation",
        subject: t!("You are invited to an account"),
        parts: vec![
            Part::Text(t!("{who} invites you to the account {account} at TOKI Token Plan.", who = invited_by, account = account)),
            Part::Link { label: t!("Look at the invitation"), url: outbox.address(&format!("/invitation?token={}", token.expose())) },
            Part::Text(t!("The link works for 7 days, for you alone. If you do not know them, do nothing.").into()),
        ],
        useful_for: LIVES_FOR,
    }
}

/// To somebody who belongs to an account no longer.
pub fn removed(account: &str) -> Letter {
    Letter {
        kind: "member_removed",
        subject: t!("You belong to an account no longer"),
        parts: vec![
            Part::Text(t!(
                "You were removed from the account {account} at TOKI Token Plan. You can still sign in to your own.",
                account = account
            )),
            Part::Text(t!("If you did not expect it, ask the account's owner.").into()),
        ],
        useful_for: NOTICE,
    }
}

/// To whoever owns an account from now on.
pub fn now_owner(outbox: &Outbox, account: &str) -> Letter {
    Letter {
        kind: "owner_now",
        subject: t!("You own an account now"),
        parts: vec![
            Part::Text(t!("The account {account} at TOKI Token Plan was handed over to you.", account = account)),
            Part::Link { label: t!("Its members"), url: outbox.address("/settings/members") },
        ],
        useful_for: NOTICE,
    }
}

/// To whoever owned it until now.
pub fn no_longer_owner(outbox: &Outbox, account: &str, to: &Email) -> Letter {
    Letter {
        kind: "owner_no_longer",
        subject: t!("You handed an account over"),
        parts: vec![
            Part::Text(t!("The account {account} at TOKI Token Plan is now {to}'s. You are an admin of it.", account = account, to = to)),
            Part::Text(t!("If it was not you, set a new password at once, and tell support.").into()),
            Part::Link { label: t!("Set a new password"), url: outbox.address("/forgot-password") },
        ],
        useful_for: NOTICE,
    }
}
