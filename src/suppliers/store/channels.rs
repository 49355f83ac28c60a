//! All SQL that changes or lists channels, and the shape of a base URL. Secrets go in sealed and never come out in clear.

use super::{Status, SupplierError, json};
use crate::ids::{ChannelId, SupplierId};
use crate::operators::audit::{Action, insert_action_in};
use crate::operators::rights::Operator;
use crate::suppliers::address;
use crate::suppliers::sealed::SealingKey;
use ipnet::IpNet;
use secrecy::SecretString;
use serde::Serialize;
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use url::Url;

/// What a channel speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    Openai,
    Anthropic,
}

impl Protocol {
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Openai => "openai",
            Protocol::Anthropic => "anthropic",
        }
    }

    pub fn of_column(text: &str) -> Protocol {
        if text == "anthropic" { Protocol::Anthropic } else { Protocol::Openai }
    }
}

pub struct NewChannel<'a> {
    pub supplier_id: SupplierId,
    pub base_url: &'a str,
    pub protocol: Protocol,
    pub weight: i32,
    /// Channels of the highest priority are tried first, by weight among themselves.
    pub priority: i32,
    pub secret: Option<SecretString>,
}

#[derive(Clone, Debug, Serialize)]
pub struct ChannelRow {
    pub channel_id: ChannelId,
    pub supplier: String,
    pub base_url: String,
    pub protocol: Protocol,
    pub weight: i32,
    pub priority: i32,
    pub status: Status,
    pub has_secret: bool,
    #[serde(skip)]
    pub secret_sealed: Option<Vec<u8>>,
}

/// What to change; none = leave it.
#[derive(Default)]
pub struct ChannelEdit {
    pub base_url: Option<String>,
    pub weight: Option<i32>,
    pub priority: Option<i32>,
    pub status: Option<Status>,
    /// Some(None) takes the secret away.
    pub secret: Option<Option<SecretString>>,
}

/// A base URL as it is stored: no trailing slash, so that paths are appended in one way only.
fn normalised(text: &str, allowed: &[IpNet]) -> Result<String, SupplierError> {
    let url = Url::parse(text.trim()).map_err(|_| SupplierError::BaseUrlMalformed)?;
    let bare = url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() || !bare {
        return Err(SupplierError::BaseUrlMalformed);
    }
    address::check(&url, allowed)?;
    Ok(url.as_str().trim_end_matches('/').to_string())
}

pub async fn insert_channel(
    db: &PgPool,
    operator: Operator,
    sealing_key: &SealingKey,
    allowed: &[IpNet],
    new: NewChannel<'_>,
) -> Result<ChannelId, SupplierError> {
    let channel_id = ChannelId::generate();
    let base_url = normalised(new.base_url, allowed)?;
    let sealed = new.secret.as_ref().map(|secret| sealing_key.seal(channel_id, secret)).transpose()?;
    let mut tx = db.begin().await?;
    sqlx::query!(
        "INSERT INTO channels (channel_id, supplier_id, base_url, protocol, secret_sealed, weight, priority)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        channel_id.0,
        new.supplier_id.0,
        base_url,
        new.protocol.as_str(),
        sealed,
        new.weight,
        new.priority
    )
    .execute(&mut *tx)
    .await?;
    let after = row_in(&mut tx, channel_id).await?;
    let action = Action { action: "channel.add", subject_id: channel_id.to_string(), after: json(&after), ..Action::default() };
    insert_action_in(&mut tx, operator, action).await?;
    tx.commit().await?;
    Ok(channel_id)
}

pub async fn all_channels(db: &PgPool) -> Result<Vec<ChannelRow>, SupplierError> {
    let rows = sqlx::query!(
        "SELECT c.channel_id, s.slug, c.base_url, c.protocol, c.weight, c.priority, c.status, c.secret_sealed
           FROM channels c JOIN suppliers s USING (supplier_id) ORDER BY s.slug, c.created_at, c.channel_id"
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| ChannelRow {
            channel_id: ChannelId(row.channel_id),
            supplier: row.slug,
            base_url: row.base_url,
            protocol: Protocol::of_column(&row.protocol),
            weight: row.weight,
            priority: row.priority,
            status: Status::of_column(&row.status),
            has_secret: row.secret_sealed.is_some(),
            secret_sealed: row.secret_sealed,
        })
        .collect())
}

/// Reads one channel and locks it, so that the row before an edit is the row that is edited.
async fn row_in(tx: &mut PgConnection, channel_id: ChannelId) -> Result<ChannelRow, SupplierError> {
    let row = sqlx::query!(
        "SELECT s.slug, c.base_url, c.protocol, c.weight, c.priority, c.status, c.secret_sealed
           FROM channels c JOIN suppliers s USING (supplier_id) WHERE c.channel_id = $1 FOR UPDATE OF c",
        channel_id.0
    )
    .fetch_optional(tx)
    .await?
    .ok_or(SupplierError::UnknownChannel)?;
    Ok(ChannelRow {
        channel_id,
        supplier: row.slug,
        base_url: row.base_url,
        protocol: Protocol::of_column(&row.protocol),
        weight: row.weight,
        priority: row.priority,
        status: Status::of_column(&row.status),
        has_secret: row.secret_sealed.is_some(),
        secret_sealed: row.secret_sealed,
    })
}

pub async fn update_channel(
    db: &PgPool,
    operator: Operator,
    sealing_key: &SealingKey,
    allowed: &[IpNet],
    channel_id: ChannelId,
    edit: ChannelEdit,
) -> Result<(), SupplierError> {
    let base_url = edit.base_url.map(|text| normalised(&text, allowed)).transpose()?;
    let secret_changes = edit.secret.is_some();
    let mut tx = db.begin().await?;
    let before = row_in(&mut tx, channel_id).await?;
    let mut after = before.clone();
    after.base_url = base_url.unwrap_or(after.base_url);
    after.weight = edit.weight.unwrap_or(after.weight);
    after.priority = edit.priority.unwrap_or(after.priority);
    after.status = edit.status.unwrap_or(after.status);
    if let Some(secret) = edit.secret {
        after.secret_sealed = secret.map(|secret| sealing_key.seal(channel_id, &secret)).transpose()?;
        after.has_secret = after.secret_sealed.is_some();
    }
    sqlx::query!(
        "UPDATE channels SET base_url = $2, weight = $3, status = $4, secret_sealed = $5, priority = $6 WHERE channel_id = $1",
        channel_id.0,
        after.base_url,
        after.weight,
        after.status.as_str(),
        after.secret_sealed,
        after.priority
    )
    .execute(&mut *tx)
    .await?;
    let mut action = super::edited("channel.edit", channel_id, &before, &after);
    if let (true, Some(Value::Object(after))) = (secret_changes, &mut action.after) {
        after.insert("secret_replaced".into(), true.into());
    }
    insert_action_in(&mut tx, operator, action).await?;
    tx.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalised_keeps_one_form() {
        for (text, stored) in [
            ("https://api.example.com/v1/", "https://api.example.com/v1"),
            (" HTTPS://API.Example.com:443 ", "https://api.example.com"),
            ("http://8.8.8.8:8000//", "http://8.8.8.8:8000"),
        ] {
            assert_eq!(normalised(text, &[]).ok().as_deref(), Some(stored));
        }
    }

    #[test]
    fn normalised_refuses_what_is_no_base_url() {
        for text in [
            "",
            "api.example.com/v1",
            "ftp://api.example.com",
            "file:///etc/passwd",
            "https://user@api.example.com",
            "https://user:pass@api.example.com",
            "https://api.example.com?key=1",
            "https://api.example.com/#a",
        ] {
            assert!(matches!(normalised(text, &[]), Err(SupplierError::BaseUrlMalformed)), "{text:?}");
        }
        assert!(matches!(normalised("http://127.0.0.1:9000", &[]), Err(SupplierError::Address(_))));
    }
}
