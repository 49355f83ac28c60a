//! What the page of the account log calls what happened and who did it. The file that people take home says it in English, by
//! `journal::types`.

use crate::accounts::page_words::{device_words, role_word};
use crate::accounts::types_members::Role;
use crate::journal::types::{Group, Kind, Who};
use crate::t;

pub fn kind_words(kind: Kind) -> &'static str {
    match kind {
        Kind::SignedIn => t!("Signed in"),
        Kind::SignedOut => t!("Signed out"),
        Kind::PasswordRefused => t!("Sign-in refused: wrong password"),
        Kind::CodeRefused => t!("Second factor refused after the right password"),
        Kind::SessionEnded => t!("Ended another session"),
        Kind::OtherSessionsEnded => t!("Ended all other sessions"),
        Kind::PasswordChanged => t!("Password changed"),
        Kind::PasswordReset => t!("Forgotten password replaced"),
        Kind::EmailAsked => t!("New address asked for"),
        Kind::EmailChanged => t!("Address changed"),
        Kind::EmailConfirmed => t!("Address confirmed"),
        Kind::TwoFactorOn => t!("Two-factor turned on"),
        Kind::TwoFactorOff => t!("Two-factor turned off"),
        Kind::TwoFactorReset => t!("Two-factor taken away"),
        Kind::RecoveryCodesRenewed => t!("New recovery codes made"),
        Kind::RecoveryCodeUsed => t!("Recovery code used"),
        Kind::NoticesChanged => t!("Notices by mail changed"),
        Kind::UserSuspended => t!("User suspended"),
        Kind::UserResumed => t!("User may sign in again"),
        Kind::KeyCreated => t!("Key created"),
        Kind::KeyEdited => t!("Key edited"),
        Kind::KeyEnabled => t!("Key enabled"),
        Kind::KeyDisabled => t!("Key disabled"),
        Kind::KeyLimited => t!("Limits of a key changed"),
        Kind::KeyHandedOver => t!("Key handed over"),
        Kind::KeyRotated => t!("Key given a new secret"),
        Kind::KeyOldSecretsEnded => t!("Old secrets of a key ended"),
        Kind::KeyDeleted => t!("Key deleted"),
        Kind::OrderPlaced => t!("Order placed"),
        Kind::OrderFulfilled => t!("Order paid, Tokens added"),
        Kind::OrderClosed => t!("Order closed unpaid"),
        Kind::RefundAsked => t!("Refund asked for"),
        Kind::OrderRefunded => t!("Refunded"),
        Kind::OrderPartlyRefunded => t!("Partly refunded"),
        Kind::OrderDisputed => t!("Payment disputed, Tokens frozen"),
        Kind::OrderRestored => t!("Refund or dispute undone"),
        Kind::BillingSaved => t!("Billing details saved"),
        Kind::CodeRedeemed => t!("Code redeemed"),
        Kind::TokensCredited => t!("Tokens credited"),
        Kind::TokensTakenBack => t!("Tokens taken back"),
        Kind::TokensGiven => t!("Tokens moved to another account"),
        Kind::TokensReceived => t!("Tokens moved here from another account"),
        Kind::AccountCreated => t!("Account created"),
        Kind::MemberInvited => t!("Somebody invited"),
        Kind::InvitationRevoked => t!("Invitation taken back"),
        Kind::MemberJoined => t!("Joined the account"),
        Kind::RoleChanged => t!("Role changed"),
        Kind::MemberLimited => t!("Limits of a member changed"),
        Kind::MemberRemoved => t!("Member removed"),
        Kind::MemberLeft => t!("Left the account"),
        Kind::OwnerChanged => t!("Account handed over"),
        Kind::AccountLimited => t!("Limits of the account changed"),
        Kind::AccountDeleted => t!("Account deleted"),
        Kind::AccountSuspended => t!("Account suspended"),
        Kind::AccountResumed => t!("Account resumed"),
    }
}

pub fn group_words(group: Group) -> &'static str {
    match group {
        Group::Access => t!("Sign-in and security"),
        Group::Keys => t!("API keys"),
        Group::Orders => t!("Orders and refunds"),
        Group::Tokens => t!("Tokens"),
        Group::Members => t!("Members"),
        Group::Account => t!("Account"),
    }
}

pub fn who_words(who: Who) -> String {
    match who {
        Who::User(email) => email,
        Who::Operator => t!("Operator").to_string(),
        Who::System => t!("The system").to_string(),
    }
}

/// The name of what an entry is about: somebody chose it, but a device's.
pub fn subject_words(kind: Kind, name: String) -> String {
    match kind {
        Kind::SessionEnded => device_words(&name),
        _ => name,
    }
}

/// What an entry says beside, as it was written down. Amounts stay what they are, and so does what is not known here.
pub fn detail_words(kind: Kind, detail: &str) -> String {
    match kind {
        Kind::SignedIn if detail == "with a second factor" => t!("with a second factor").to_string(),
        Kind::KeyEdited | Kind::KeyEnabled | Kind::KeyDisabled | Kind::KeyLimited => {
            detail.split(", ").map(setting_word).collect::<Vec<_>>().join(t!(", "))
        }
        Kind::MemberInvited | Kind::MemberJoined | Kind::RoleChanged => {
            let role = |role: &str| Role::ALL.into_iter().find(|each| each.words() == role).map(role_word);
            let (before, after) = detail.split_once(" to ").map_or((None, role(detail)), |(before, after)| (role(before), role(after)));
            match (before, after) {
                (Some(before), Some(after)) => t!("{before} to {after}", before = before, after = after),
                (None, Some(role)) => role.to_string(),
                (_, None) => detail.to_string(),
            }
        }
        Kind::MemberLimited => match detail.strip_suffix(" in all").and_then(|detail| detail.split_once(" a month, ")) {
            Some((month, ever)) => {
                let limit = |limit| if limit == "no limit" { t!("no limit") } else { limit };
                t!("{month} a month, {ever} in all", month = limit(month), ever = limit(ever))
            }
            None => detail.to_string(),
        },
        Kind::RefundAsked => match detail.strip_suffix(" Tokens").and_then(|detail| detail.split_once(" for ")) {
            Some((amount, tokens)) => t!("{amount} for {tokens} Tokens", amount = amount, tokens = tokens),
            None => detail.to_string(),
        },
        _ => detail.to_string(),
    }
}

/// A setting of a key, by its name in the store.
fn setting_word(name: &str) -> &str {
    match name {
        "name" => t!("name"),
        "quota" => t!("quota"),
        "expires at" => t!("expiry"),
        "supplier id" => t!("supplier"),
        "enabled" => t!("status"),
        "requests per minute" => t!("calls a minute"),
        "tokens per minute" => t!("Tokens a minute"),
        "concurrent calls" => t!("calls at once"),
        "models" => t!("models"),
        "networks" => t!("networks"),
        "period" => t!("quota of a period"),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_english_the_page_says_what_the_file_says() {
        for kind in Kind::ALL {
            assert_eq!(kind_words(*kind), kind.words());
        }
        for group in Group::ALL {
            assert_eq!(group_words(group), group.words());
        }
    }

    #[test]
    fn details_are_in_the_readers_words_where_they_are_ours() {
        for (kind, detail, words) in [
            (Kind::SignedIn, "with a second factor", "with a second factor"),
            (Kind::KeyEdited, "name, expires at, supplier id", "name, expiry, supplier"),
            (Kind::KeyLimited, "requests per minute, something new", "calls a minute, something new"),
            (Kind::RefundAsked, "EUR 5.00 for 1,000 Tokens", "EUR 5.00 for 1,000 Tokens"),
            (Kind::RefundAsked, "EUR 5.00", "EUR 5.00"),
            (Kind::MemberInvited, "Read-only", "Read-only"),
            (Kind::RoleChanged, "Member to Admin", "Member to Admin"),
            (Kind::MemberLimited, "5,000 a month, no limit in all", "5,000 a month, no limit in all"),
            (Kind::TokensCredited, "1,234", "1,234"),
        ] {
            assert_eq!(detail_words(kind, detail), words);
        }
        assert_eq!(subject_words(Kind::KeyCreated, "bot on call".into()), "bot on call");
    }
}
