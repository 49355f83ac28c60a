//! Tests of `rotation` and `hash_key`: everything that is sealed moves, whatever is in the way, and hashes stay what they were.

use super::*;
use crate::accounts::second_factor::Seed;
use crate::accounts::types::Email;
use crate::mail::letter::{Letter, Part};
use crate::secrets::hash_key::{HashKey, HashKeyError};
use crate::suppliers::store::{NewChannel, Protocol, insert_channel, insert_supplier};
use crate::wallet::fixtures;
use chrono::TimeDelta;
use secrecy::ExposeSecret;

const OLD: [u8; 32] = [1; 32];
const NEW: [u8; 32] = [2; 32];

/// What one replica or command holds.
struct Keyring<'a> {
    keys: SecretKeys<'a>,
    channels: SealingKey,
    two_factors: Vault,
    mails: Outbox,
}

impl Keyring<'_> {
    fn of<'a>(keys: impl Into<SecretKeys<'a>>) -> Keyring<'a> {
        let keys = keys.into();
        Keyring {
            keys,
            channels: SealingKey::derive(keys),
            two_factors: Vault::derive(keys, &[9; 32]),
            mails: Outbox::new(keys, &"https://toki.example/".parse().expect("URL")),
        }
    }

    async fn rotate(&self, db: &PgPool, dry_run: bool) -> Vec<Rotated> {
        let Keyring { keys, channels, two_factors, mails } = self;
        rotate(db, Operator::command_line(), &Sealers { keys: *keys, channels, two_factors, mails }, dry_run).await.expect("rotated")
    }
}

const BOTH: SecretKeys<'static> = SecretKeys { current: &NEW, old: Some(&OLD) };

fn resealed(rotated: &[Rotated]) -> Vec<u64> {
    rotated.iter().map(|of| of.resealed).collect()
}

fn unopened(rotated: &[Rotated]) -> usize {
    rotated.iter().map(|of| of.unopened.len()).sum()
}

/// Two channels, a second factor and three letters, sealed with the old key; the ids of a channel, the user and a letter.
async fn world(db: &PgPool) -> (ChannelId, UserId, MailId) {
    let old = Keyring::of(&OLD);
    HashKey::of(db, old.keys).await.expect("a hash key");
    let supplier_id = insert_supplier(db, Operator::command_line(), "acme", "Acme").await.expect("supplier");
    let mut channel_id = ChannelId::generate();
    for base_url in ["https://api.example.com/v1", "https://api.example.com/v2"] {
        let new =
            NewChannel { supplier_id, base_url, protocol: Protocol::Openai, weight: 1, priority: 0, secret: Some("sk-upstream".into()) };
        channel_id = insert_channel(db, Operator::command_line(), &old.channels, &[], new).await.expect("channel");
    }
    let user_id = fixtures::member(db, "ada").await.user_id();
    let seed = old.two_factors.seal(user_id, &Seed::generate()).expect("sealed");
    sqlx::query!("INSERT INTO two_factors (user_id, seed_sealed) VALUES ($1, $2)", user_id.0, seed).execute(db).await.expect("two-factor");
    let letter = Letter { kind: "test", subject: "Hello", parts: vec![Part::Text("Hello".into())], useful_for: TimeDelta::hours(1) };
    let mut mail_id = MailId::generate();
    for _ in 0..3 {
        let mut tx = db.begin().await.expect("begin");
        mail_id =
            old.mails.post_in(&mut tx, &Email::parse("ada@example.com").expect("an address"), || letter.clone()).await.expect("posted");
        tx.commit().await.expect("commit");
    }
    (channel_id, user_id, mail_id)
}

async fn sealed_of(db: &PgPool, channel_id: ChannelId) -> Vec<u8> {
    let sealed = sqlx::query_scalar!(r#"SELECT secret_sealed AS "sealed!" FROM channels WHERE channel_id = $1"#, channel_id.0);
    sealed.fetch_one(db).await.expect("sealed")
}

#[sqlx::test]
async fn every_column_that_is_sealed_is_moved(db: PgPool) {
    let columns = sqlx::query_scalar!(
        r#"SELECT table_name || '.' || column_name AS "name!" FROM information_schema.columns
            WHERE table_schema = 'public' AND column_name LIKE '%\_sealed' AND data_type = 'bytea'"#
    );
    let mut columns = columns.fetch_all(&db).await.expect("columns");
    let mut listed: Vec<_> = SealedColumn::ALL.iter().map(|column| column.name().to_string()).collect();
    columns.sort();
    listed.sort();
    assert_eq!(columns, listed);
}

#[sqlx::test]
async fn everything_moves_once_and_opens_as_before(db: PgPool) {
    let (channel_id, user_id, _) = world(&db).await;
    let before = sealed_of(&db, channel_id).await;
    let both = Keyring::of(BOTH);
    let dry = both.rotate(&db, true).await;
    assert_eq!((resealed(&dry), unopened(&dry)), (vec![1, 2, 1, 3], 0));
    assert_eq!(sealed_of(&db, channel_id).await, before, "a dry run changes nothing");
    assert_eq!(resealed(&both.rotate(&db, false).await), [1, 2, 1, 3]);
    assert_eq!(resealed(&both.rotate(&db, false).await), [0; 4], "there is nothing left to do");
    let noted = sqlx::query_scalar!(r#"SELECT count(*) AS "n!" FROM operator_actions WHERE action = 'secrets.rotate'"#);
    assert_eq!(noted.fetch_one(&db).await.expect("actions"), 1, "and nothing to note");

    let new = Keyring::of(&NEW);
    let sealed = sealed_of(&db, channel_id).await;
    assert_eq!(new.channels.open(channel_id, &sealed).expect("opens").expose_secret(), "sk-upstream");
    assert!(Keyring::of(&OLD).channels.open(channel_id, &sealed).is_err());
    let seed = sqlx::query_scalar!("SELECT seed_sealed FROM two_factors WHERE user_id = $1", user_id.0).fetch_one(&db).await;
    assert!(new.two_factors.open(user_id, &seed.expect("a seed")).is_ok());
    assert!(new.mails.take(&db).await.expect("take").expect("due").body.is_some());
}

#[sqlx::test]
async fn what_opens_with_no_key_stays_as_it_is_and_is_told(db: PgPool) {
    let (channel_id, ..) = world(&db).await;
    let before = sealed_of(&db, channel_id).await;
    let wrong = Keyring::of(SecretKeys { current: &NEW, old: Some(&[3; 32]) }).rotate(&db, false).await;
    assert_eq!((resealed(&wrong), unopened(&wrong)), (vec![0; 4], 7));
    assert!(wrong[1].unopened.contains(&channel_id.0));
    assert_eq!(sealed_of(&db, channel_id).await, before);
    let rows = waiting(&db, Mark::of(&NEW)).await.expect("waiting");
    assert_eq!(rows.iter().map(|(_, rows)| rows).sum::<i64>(), 7);
    // One that is damaged does not keep the others.
    sqlx::query!("UPDATE channels SET secret_sealed = '\\x00' WHERE channel_id = $1", channel_id.0).execute(&db).await.expect("damaged");
    let rotated = Keyring::of(BOTH).rotate(&db, false).await;
    assert_eq!((resealed(&rotated), unopened(&rotated)), (vec![1, 1, 1, 3], 1));
}

#[sqlx::test]
async fn what_changed_meanwhile_is_left_alone(db: PgPool) {
    let (channel_id, _, mail_id) = world(&db).await;
    let row = SealedRow { row_id: channel_id.0, sealed: sealed_of(&db, channel_id).await };
    let edited = Keyring::of(BOTH).channels.seal(channel_id, &"sk-edited".into()).expect("sealed");
    sqlx::query!("UPDATE channels SET secret_sealed = $2 WHERE channel_id = $1", channel_id.0, edited).execute(&db).await.expect("edited");
    assert!(!replace_sealed(&db, SealedColumn::Channels, &row, b"late").await.expect("replaced"));
    assert_eq!(sealed_of(&db, channel_id).await, edited);
    let sealed = sqlx::query_scalar!(r#"SELECT body_sealed AS "sealed!" FROM mails WHERE mail_id = $1"#, mail_id.0);
    let row = SealedRow { row_id: mail_id.0, sealed: sealed.fetch_one(&db).await.expect("a mail") };
    crate::mail::outbox::note_sent(&db, mail_id).await.expect("sent");
    assert!(!replace_sealed(&db, SealedColumn::Mails, &row, b"late").await.expect("replaced"), "a letter that is gone stays forgotten");
}

#[sqlx::test]
async fn a_database_has_one_hash_key_that_outlives_its_keys(db: PgPool) {
    let (one, other) = futures::join!(HashKey::of(&db, (&OLD).into()), HashKey::of(&db, (&OLD).into()));
    let made = *one.expect("a key").bytes();
    assert_eq!(other.expect("a key").bytes(), &made, "whoever starts first");
    assert_ne!(made, OLD, "TOKI_SECRET_KEY alone tells nothing of it");
    assert!(matches!(HashKey::of(&db, (&NEW).into()).await, Err(HashKeyError::WrongKey)));
    assert_eq!(HashKey::of(&db, BOTH).await.expect("opens").bytes(), &made);
    Keyring::of(BOTH).rotate(&db, false).await;
    assert_eq!(HashKey::of(&db, (&NEW).into()).await.expect("opens").bytes(), &made);
    assert!(matches!(HashKey::of(&db, (&OLD).into()).await, Err(HashKeyError::WrongKey)));
}

#[sqlx::test]
async fn hashes_of_before_keep_the_key_they_were_made_with(db: PgPool) {
    let member = fixtures::member(&db, "ada").await;
    fixtures::key(&db, &member, fixtures::plain_key("first")).await;
    assert!(matches!(HashKey::of(&db, BOTH).await, Err(HashKeyError::Undecided)), "either may have made them");
    assert_eq!(HashKey::of(&db, (&OLD).into()).await.expect("the one in use").bytes(), &OLD);
    assert_eq!(HashKey::of(&db, BOTH).await.expect("opens").bytes(), &OLD);
}
