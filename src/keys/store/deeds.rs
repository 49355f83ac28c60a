//! What was done to keys, written down: for the account in its log, and what operators did in theirs too.

use super::{KeyError, KeyOwner, Settings};
use crate::ids::{AccountId, KeyId};
use crate::journal::record::{Actor, Entry, record_in};
use crate::journal::types::Kind;
use crate::operators::audit::{self, Action};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;

/// What happened to a key: in the account log, and for an operator's deed in the audit log too.
pub(super) struct Deed<'a, T> {
    /// As the audit log names it.
    pub(super) action: &'static str,
    pub(super) kind: Kind,
    pub(super) account_id: AccountId,
    pub(super) key_id: KeyId,
    pub(super) name: &'a str,
    pub(super) before: Option<&'a T>,
    pub(super) after: Option<&'a T>,
}

impl<'a> Deed<'a, Settings> {
    pub(super) fn created(account_id: AccountId, key_id: KeyId, settings: &'a Settings) -> Self {
        let name = &settings.name;
        Deed { action: "key.create", kind: Kind::KeyCreated, account_id, key_id, name, before: None, after: Some(settings) }
    }
}

/// Writes a deed down, in the transaction that does it.
pub(super) async fn write_down_in<T: Serialize>(tx: &mut PgConnection, owner: KeyOwner<'_>, deed: Deed<'_, T>) -> Result<(), KeyError> {
    let json = |state: &T| serde_json::to_value(state).map_err(|error| KeyError::Db(sqlx::Error::Encode(error.into())));
    let (before, after) = (deed.before.map(json).transpose()?, deed.after.map(json).transpose()?);
    let entry = Entry::of(deed.kind).about(deed.key_id.0, deed.name);
    let entry = match (&before, &after) {
        (Some(before), Some(after)) if deed.kind != Kind::KeyRotated => entry.saying(changed(before, after)),
        _ => entry,
    };
    let actor: Actor<'_> = match owner {
        KeyOwner::Member(member) => Actor::of(member),
        KeyOwner::Operator(operator) => operator.into(),
    };
    record_in(tx, deed.account_id, actor, entry).await?;
    if let KeyOwner::Operator(operator) = owner {
        let action = Action { action: deed.action, subject_id: deed.key_id.to_string(), before, after, ..Action::default() };
        audit::insert_action_in(tx, operator, action).await?;
    }
    Ok(())
}

/// The names of the settings that differ. What they are is on the key's page, and who may call from where is nobody else's business.
fn changed(before: &Value, after: &Value) -> String {
    let settings = after.as_object().into_iter().flatten().filter(|(name, value)| before.get(name.as_str()) != Some(value));
    settings.map(|(name, _)| name.replace('_', " ")).collect::<Vec<_>>().join(", ")
}
