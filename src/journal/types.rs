//! What crosses the wire about the account log: what happened, who did it, from where.

use crate::ids::JournalEntryId;
use crate::utc::UtcTime;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Each kind of entry: its name in code, as it is stored (its group, then what), and as people read it.
macro_rules! kinds {
    ($($kind:ident = $text:literal, $words:literal;)+) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Kind {
            $($kind),+
        }

        impl Kind {
            pub const ALL: &'static [Kind] = &[$(Kind::$kind),+];

            pub fn as_str(self) -> &'static str {
                match self {
                    $(Kind::$kind => $text),+
                }
            }

            pub fn words(self) -> &'static str {
                match self {
                    $(Kind::$kind => $words),+
                }
            }
        }
    };
}

kinds! {
    SignedIn = "access.signed_in", "Signed in";
    SignedOut = "access.signed_out", "Signed out";
    PasswordRefused = "access.password_refused", "Sign-in refused: wrong password";
    CodeRefused = "access.code_refused", "Second factor refused after the right password";
    SessionEnded = "access.session_ended", "Ended another session";
    OtherSessionsEnded = "access.other_sessions_ended", "Ended all other sessions";
    PasswordChanged = "access.password_changed", "Password changed";
    PasswordReset = "access.password_reset", "Forgotten password replaced";
    EmailAsked = "access.email_asked", "New address asked for";
    EmailChanged = "access.email_changed", "Address changed";
    EmailConfirmed = "access.email_confirmed", "Address confirmed";
    TwoFactorOn = "access.two_factor_on", "Two-factor turned on";
    TwoFactorOff = "access.two_factor_off", "Two-factor turned off";
    TwoFactorReset = "access.two_factor_reset", "Two-factor taken away";
    RecoveryCodesRenewed = "access.recovery_codes_renewed", "New recovery codes made";
    RecoveryCodeUsed = "access.recovery_code_used", "Recovery code used";
    NoticesChanged = "access.notices_changed", "Notices by mail changed";
    UserSuspended = "access.user_suspended", "User suspended";
    UserResumed = "access.user_resumed", "User may sign in again";
    KeyCreated = "key.created", "Key created";
    KeyEdited = "key.edited", "Key edited";
    KeyEnabled = "key.enabled", "Key enabled";
    KeyDisabled = "key.disabled", "Key disabled";
    KeyLimited = "key.limited", "Limits of a key changed";
    KeyHandedOver = "key.handed_over", "Key handed over";
    KeyRotated = "key.rotated", "Key given a new secret";
    KeyOldSecretsEnded = "key.old_secrets_ended", "Old secrets of a key ended";
    KeyDeleted = "key.deleted", "Key deleted";
    OrderPlaced = "order.placed", "Order placed";
    OrderFulfilled = "order.fulfilled", "Order paid, Tokens added";
    OrderClosed = "order.closed", "Order closed unpaid";
    RefundAsked = "order.refund_asked", "Refund asked for";
    OrderRefunded = "order.refunded", "Refunded";
    OrderPartlyRefunded = "order.partly_refunded", "Partly refunded";
    OrderDisputed = "order.disputed", "Payment disputed, Tokens frozen";
    OrderRestored = "order.restored", "Refund or dispute undone";
    BillingSaved = "order.billing_saved", "Billing details saved";
    CodeRedeemed = "tokens.code_redeemed", "Code redeemed";
    TokensCredited = "tokens.credited", "Tokens credited";
    TokensTakenBack = "tokens.taken_back", "Tokens taken back";
    TokensGiven = "tokens.given", "Tokens moved to another account";
    TokensReceived = "tokens.received", "Tokens moved here from another account";
    AccountCreated = "account.created", "Account created";
    MemberInvited = "member.invited", "Somebody invited";
    InvitationRevoked = "member.invitation_revoked", "Invitation taken back";
    MemberJoined = "member.joined", "Joined the account";
    RoleChanged = "member.role_changed", "Role changed";
    MemberLimited = "member.limited", "Limits of a member changed";
    MemberRemoved = "member.removed", "Member removed";
    MemberLeft = "member.left", "Left the account";
    OwnerChanged = "member.owner_changed", "Account handed over";
    AccountLimited = "account.limited", "Limits of the account changed";
    AccountDeleted = "account.deleted", "Account deleted";
    AccountSuspended = "account.suspended", "Account suspended";
    AccountResumed = "account.resumed", "Account resumed";
}

impl Kind {
    pub fn parse(text: &str) -> Option<Kind> {
        Kind::ALL.iter().copied().find(|kind| kind.as_str() == text)
    }

    pub fn group(self) -> Option<Group> {
        Group::parse(self.as_str().split('.').next().unwrap_or_default())
    }
}

/// What the log can be narrowed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Group {
    Access,
    Keys,
    Orders,
    Tokens,
    Members,
    Account,
}

impl Group {
    pub const ALL: [Group; 6] = [Group::Access, Group::Keys, Group::Orders, Group::Tokens, Group::Members, Group::Account];

    pub fn as_str(self) -> &'static str {
        match self {
            Group::Access => "access",
            Group::Keys => "key",
            Group::Orders => "order",
            Group::Tokens => "tokens",
            Group::Members => "member",
            Group::Account => "account",
        }
    }

    pub fn words(self) -> &'static str {
        match self {
            Group::Access => "Sign-in and security",
            Group::Keys => "API keys",
            Group::Orders => "Orders and refunds",
            Group::Tokens => "Tokens",
            Group::Members => "Members",
            Group::Account => "Account",
        }
    }

    pub fn parse(text: &str) -> Option<Group> {
        Group::ALL.into_iter().find(|group| group.as_str() == text)
    }
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Who {
    /// By the address that they have now.
    User(String),
    Operator,
    System,
}

impl Who {
    pub fn words(&self) -> &str {
        match self {
            Who::User(email) => email,
            Who::Operator => "Operator",
            Who::System => "System",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryView {
    pub entry_id: JournalEntryId,
    pub at: UtcTime,
    pub kind: Kind,
    pub who: Who,
    pub address: Option<String>,
    /// `Firefox on Linux`
    pub device: Option<String>,
    /// The key, order or user that it is about, and its name at that time; of a user, the address that they have now.
    pub subject_id: Option<Uuid>,
    pub name: Option<String>,
    /// In our own words: which settings, how much.
    pub detail: Option<String>,
}

impl EntryView {
    /// The page of what it is about.
    pub fn page(&self) -> Option<String> {
        let subject_id = self.subject_id?;
        match self.kind.group()? {
            Group::Keys if self.kind != Kind::KeyDeleted => Some(format!("/keys/{subject_id}")),
            Group::Orders => Some(format!("/orders/{subject_id}")),
            _ => None,
        }
    }
}

/// A page of the log, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalPage {
    pub entries: Vec<EntryView>,
    /// The last entry of this page, if there are older ones.
    pub older: Option<JournalEntryId>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_kind_has_a_name_a_group_and_words_of_its_own() {
        let names: BTreeSet<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
        let words: BTreeSet<&str> = Kind::ALL.iter().map(|kind| kind.words()).collect();
        assert_eq!((names.len(), words.len()), (Kind::ALL.len(), Kind::ALL.len()));
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Some(*kind));
            assert!(kind.group().is_some(), "{kind:?}");
        }
        assert_eq!((Kind::parse(""), Group::parse("keys")), (None, None));
    }
}
