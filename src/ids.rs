//! One id type a thing, so that an order's id is never taken for a key's. Opaque strings outside, UUIDs inside.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// A string that is not an id of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id")]
pub struct IdError;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id; later ones sort after earlier ones (UUIDv7, RFC 9562).
            pub fn generate() -> $name {
                $name(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<$name, IdError> {
                Uuid::try_parse(text.trim()).map($name).map_err(|_| IdError)
            }
        }
    )+};
}

ids! {
    UserId,
    AccountId,
    /// An entry of the account log.
    JournalEntryId,
    InvitationId,
    PackageId,
    OrderId,
    /// An account at its payment provider; also the key under which the provider is asked to make it.
    CustomerId,
    /// One refund of ours; also the key under which the provider is asked for it.
    RefundId,
    GrantId,
    KeyId,
    CodeId,
    /// One use of a code by one account.
    RedemptionId,
    SupplierId,
    ChannelId,
    /// One call to `/v1`; also its hold, its settlement and its usage record.
    RequestId,
    /// One mail to somebody; also its Message-ID.
    MailId,
    /// One operator action in the audit log.
    ActionId,
    /// One running `toki serve`.
    ReplicaId,
}
