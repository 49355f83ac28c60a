//! What users are told by mail, in our own words. A letter that somebody did not ask for says what happened, and what to do about it.

use crate::accounts::mail_token::{MailToken, Purpose};
use crate::accounts::types::Email;
use crate::mail::letter::{Letter, Part};
use crate::mail::outbox::Outbox;
use crate::t;
use chrono::TimeDelta;

/// Notices are worth reading for longer than links.
const NOTICE: TimeDelta = TimeDelta::days(30);

fn text(paragraph: impl Into<String>) -> Part {
    Part::Text(paragraph.into())
}

fn link(outbox: &Outbox, label: &'static str, path: &str, token: &MailToken) -> Part {
    Part::Link { label, url: outbox.address(&format!("{path}?token={}", token.expose())) }
}

/// To whoever signed up: the account is made by following the link.
pub fn confirm_sign_up(outbox: &Outbox, token: &MailToken) -> Letter {
    Letter {
        kind: "confirm_sign_up",
        subject: t!("Confirm your address to finish signing up"),
        parts: vec![
            text(t!("Somebody, you we hope, signed up for TOKI Token Plan with this address.")),
            link(outbox, t!("Finish signing up"), "/verify-email", token),
            text(t!("The link works once, for 24 hours. If it was not you, do nothing: without the link there is no account.")),
        ],
        useful_for: Purpose::SignUp.lives_for(),
    }
}

/// To whoever deleted their account.
pub fn deleted() -> Letter {
    Letter {
        kind: "account_deleted",
        subject: t!("Your account is deleted"),
        parts: vec![
            text(t!("Your account at TOKI Token Plan is deleted: address, password, keys and billing details are gone.")),
            text(t!(
                "Orders, receipts, the ledger and the account log are kept, as the law and honest books ask for. Nobody can sign in to them."
            )),
            text(t!(
                "An address that was written into them stays, as in an invitation. That this letter was sent is forgotten in 30 days."
            )),
            text(t!("If it was not you, write to support at once. With this address you can sign up again, for a new account.")),
        ],
        useful_for: NOTICE,
    }
}

/// To whoever has an account, when somebody signs up with its address.
pub fn account_exists(outbox: &Outbox) -> Letter {
    Letter {
        kind: "account_exists",
        subject: t!("You have an account already"),
        parts: vec![
            text(t!("Somebody, perhaps you, tried to sign up for TOKI Token Plan with this address. It has an account already.")),
            Part::Link { label: t!("Sign in"), url: outbox.address("/sign-in") },
            Part::Link { label: t!("Forgotten the password? Set a new one"), url: outbox.address("/forgot-password") },
            text(t!("If it was not you, do nothing: nothing was changed, and nobody was told that you have an account.")),
        ],
        useful_for: NOTICE,
    }
}

/// To a user, at the address that they have.
pub fn confirm_address(outbox: &Outbox, token: &MailToken) -> Letter {
    Letter {
        kind: "confirm_address",
        subject: t!("Confirm your address"),
        parts: vec![
            text(t!("Confirm that this address is yours, so that a forgotten password can be replaced by mail.")),
            link(outbox, t!("Confirm the address"), "/verify-email", token),
            text(t!("The link works once, for 24 hours. If you have no account at TOKI Token Plan, do not use it.")),
        ],
        useful_for: Purpose::Verify.lives_for(),
    }
}

/// To a user's next address.
pub fn confirm_new_address(outbox: &Outbox, token: &MailToken) -> Letter {
    Letter {
        kind: "confirm_new_address",
        subject: t!("Confirm your new address"),
        parts: vec![
            text(t!("A user of TOKI Token Plan wants to sign in with this address from now on.")),
            link(outbox, t!("Use this address"), "/verify-email", token),
            text(t!("The link works once, for 24 hours. If it was not you, do nothing: the user keeps the old address.")),
        ],
        useful_for: Purpose::ChangeEmail.lives_for(),
    }
}

/// To the present address, when another was asked for.
pub fn address_change_asked(outbox: &Outbox) -> Letter {
    Letter {
        kind: "address_change_asked",
        subject: t!("Your address is about to change"),
        parts: vec![
            text(t!(
                "You, or somebody who knows your password, asked to replace this address of your account at TOKI Token Plan by another one."
            )),
            text(t!("If it was not you, set a new password at once. That also makes the link to the other address worthless.")),
            Part::Link { label: t!("Set a new password"), url: outbox.address("/forgot-password") },
        ],
        useful_for: NOTICE,
    }
}

/// To the address that was replaced.
pub fn address_changed(now: &Email) -> Letter {
    Letter {
        kind: "address_changed",
        subject: t!("Your address has changed"),
        parts: vec![
            text(t!("Your account at TOKI Token Plan is no longer signed in to with this address, but with {now}.", now = now)),
            text(t!("If it was not you, tell support at once.")),
        ],
        useful_for: NOTICE,
    }
}

/// To a user who forgot the password.
pub fn reset_password(outbox: &Outbox, token: &MailToken) -> Letter {
    Letter {
        kind: "reset_password",
        subject: t!("Set a new password"),
        parts: vec![
            text(t!("Somebody, you we hope, asked to set a new password for your account at TOKI Token Plan.")),
            link(outbox, t!("Set a new password"), "/reset-password", token),
            text(t!("The link works once, for 30 minutes. If it was not you, do nothing: your password stays as it is.")),
        ],
        useful_for: Purpose::Reset.lives_for(),
    }
}

/// To a user whose password is another one now.
pub fn password_changed(outbox: &Outbox) -> Letter {
    Letter {
        kind: "password_changed",
        subject: t!("Your password was changed"),
        parts: vec![
            text(t!("The password of your account at TOKI Token Plan was changed, and all its other sessions have ended.")),
            text(t!("If it was not you, set a new one at once.")),
            Part::Link { label: t!("Set a new password"), url: outbox.address("/forgot-password") },
        ],
        useful_for: NOTICE,
    }
}

/// To a user who signs in with a second factor from now on.
pub fn two_factor_on(outbox: &Outbox) -> Letter {
    Letter {
        kind: "two_factor_on",
        subject: t!("Two-factor is on"),
        parts: vec![
            text(t!(
                "From now on, signing in to your account at TOKI Token Plan takes a code of your authenticator beside the password. Keep the recovery codes where you find them without it."
            )),
            text(t!("If it was not you, set a new password at once, and look at your sessions.")),
            Part::Link { label: t!("Set a new password"), url: outbox.address("/forgot-password") },
        ],
        useful_for: NOTICE,
    }
}

/// To a user whose password alone is enough again.
pub fn two_factor_off(outbox: &Outbox) -> Letter {
    Letter {
        kind: "two_factor_off",
        subject: t!("Two-factor is off"),
        parts: vec![
            text(t!("Signing in to your account at TOKI Token Plan takes the password alone again.")),
            text(t!("If it was not you, set a new password at once, and turn two-factor on again.")),
            Part::Link { label: t!("Set a new password"), url: outbox.address("/forgot-password") },
        ],
        useful_for: NOTICE,
    }
}

/// To a user who has new recovery codes.
pub fn recovery_codes_renewed(outbox: &Outbox) -> Letter {
    Letter {
        kind: "recovery_codes_renewed",
        subject: t!("You have new recovery codes"),
        parts: vec![
            text(t!("New recovery codes were made for your account at TOKI Token Plan. The ones before work no longer.")),
            text(t!("If it was not you, set a new password at once, and look at your sessions.")),
            Part::Link { label: t!("Set a new password"), url: outbox.address("/forgot-password") },
        ],
        useful_for: NOTICE,
    }
}

/// To a user whose recovery code was used.
pub fn recovery_code_used(outbox: &Outbox) -> Letter {
    Letter {
        kind: "recovery_code_used",
        subject: t!("A recovery code was used"),
        parts: vec![
            text(t!("A recovery code of your account at TOKI Token Plan was used in place of your authenticator. It does not work again.")),
            text(t!("If it was not you, set a new password at once, and look at your sessions.")),
            Part::Link { label: t!("Set a new password"), url: outbox.address("/forgot-password") },
        ],
        useful_for: NOTICE,
    }
}

/// To a user whose second factor an operator took away, at their wish one hopes.
pub fn two_factor_reset(outbox: &Outbox) -> Letter {
    Letter {
        kind: "two_factor_reset",
        subject: t!("Two-factor was taken away"),
        parts: vec![
            text(t!(
                "Support has turned two-factor off for your account at TOKI Token Plan, and ended all your sessions. Sign in with your password and set it up anew."
            )),
            text(t!("If you did not ask for it, tell support at once.")),
            Part::Link { label: t!("Sign in"), url: outbox.address("/sign-in") },
        ],
        useful_for: NOTICE,
    }
}
