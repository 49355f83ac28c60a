//! Makes the sandbox supplier callable: supplier, channel and models, written once and kept.

use crate::ids::{ChannelId, SupplierId};
use crate::suppliers::sandbox::quirk::Quirk;
use crate::suppliers::sandbox::{CHANNELS, SECRET};
use crate::suppliers::sealed::{SealingKey, UnsealError};
use sqlx::PgPool;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    #[error(transparent)]
    Seal(#[from] UnsealError),
    #[error("database failed")]
    Db(#[from] sqlx::Error),
}

/// Adds what is missing of the sandbox supplier, with its channels to this replica. Several replicas may do it at once, and each
/// becomes channels; one that is gone is passed over like any channel that cannot be reached.
pub async fn register(db: &PgPool, sealing_key: &SealingKey, addr: SocketAddr) -> Result<(), RegisterError> {
    let mut tx = db.begin().await?;
    sqlx::query!(
        "INSERT INTO suppliers (supplier_id, slug, name) VALUES ($1, 'sandbox', 'Sandbox') ON CONFLICT DO NOTHING",
        SupplierId::generate().0
    )
    .execute(&mut *tx)
    .await?;
    let supplier_id =
        sqlx::query_scalar!("SELECT supplier_id FROM suppliers WHERE slug = 'sandbox' FOR UPDATE").fetch_one(&mut *tx).await?;
    for (protocol, path) in CHANNELS {
        let base_url = format!("http://{}{path}", reachable(addr));
        let channel =
            sqlx::query_scalar!("SELECT channel_id FROM channels WHERE supplier_id = $1 AND base_url = $2", supplier_id, base_url)
                .fetch_optional(&mut *tx)
                .await?;
        // Sealed anew at each start: the secret key may have changed since.
        let channel_id = channel.map_or_else(ChannelId::generate, ChannelId);
        let sealed = sealing_key.seal(channel_id, &SECRET.into())?;
        sqlx::query!(
            "INSERT INTO channels (channel_id, supplier_id, base_url, protocol, secret_sealed) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT ON CONSTRAINT channels_pkey DO UPDATE SET secret_sealed = excluded.secret_sealed",
            channel_id.0,
            supplier_id,
            base_url,
            protocol.as_str(),
            sealed
        )
        .execute(&mut *tx)
        .await?;
    }
    for quirk in Quirk::ALL {
        let model_id = format!("sandbox/{}", quirk.name());
        let added = sqlx::query!(
            "INSERT INTO models (model_id, supplier_id, upstream_id, context_tokens, max_output_tokens) VALUES ($1, $2, $3, 128000, 4096)
             ON CONFLICT DO NOTHING",
            model_id,
            supplier_id,
            quirk.name()
        )
        .execute(&mut *tx)
        .await?
        .rows_affected();
        if added > 0 {
            sqlx::query!(
                "INSERT INTO model_prices (model_id, version, input_ppm, cached_ppm, output_ppm) VALUES ($1, 1, 1000000, 1000000, 1000000)",
                model_id
            )
            .execute(&mut *tx)
            .await?;
        }
    }
    tx.commit().await?;
    Ok(())
}

/// Where this replica reaches its own listener. "All addresses" is one to listen on and none to call.
fn reachable(bound: SocketAddr) -> SocketAddr {
    let ip = match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, bound.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_all_addresses_is_reached_by_loopback() {
        for (bound, reached) in [
            ("0.0.0.0:3000", "127.0.0.1:3000"),
            ("[::]:3000", "[::1]:3000"),
            ("127.0.0.1:3000", "127.0.0.1:3000"),
            ("192.0.2.7:80", "192.0.2.7:80"),
            ("[2001:db8::7]:80", "[2001:db8::7]:80"),
        ] {
            assert_eq!(reachable(bound.parse().expect("an address")).to_string(), reached);
        }
    }
}
