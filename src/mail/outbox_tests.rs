//! The outbox against a real Postgres: a letter goes with its cause, has one sender at a time, and is neither lost nor kept readable.

use super::*;
use crate::i18n::speaking_on;
use crate::mail::delivery::Delivery;
use crate::mail::letter::Part;
use crate::mail::sending::send_due;
use chrono::TimeDelta;
use std::collections::HashSet;
use std::path::Path;
use tokio::task::JoinSet;

fn outbox() -> Outbox {
    Outbox::new(&[7; 32], &"https://toki.example/".parse().expect("URL"))
}

fn letter() -> Letter {
    let link = Part::Link { label: "Confirm", url: outbox().address("/verify-email?token=TOPSECRET") };
    Letter { kind: "test", subject: "Hello", parts: vec![link], useful_for: TimeDelta::hours(1) }
}

async fn post(db: &PgPool, to: &str) -> MailId {
    let mut tx = db.begin().await.expect("begin");
    let mail_id = outbox().post_in(&mut tx, &Email::parse(to).expect("an e-mail"), letter).await.expect("posted");
    tx.commit().await.expect("commit");
    mail_id
}

fn folder(path: &Path) -> Delivery {
    Delivery::Folder { path: path.into(), from: "toki@toki.example".parse().expect("a mailbox") }
}

async fn number(db: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(db).await.expect(sql)
}

#[sqlx::test]
async fn a_letter_goes_with_its_cause_and_is_sealed_while_it_waits(db: PgPool) {
    let mut tx = db.begin().await.expect("begin");
    outbox().post_in(&mut tx, &Email::parse("ada@example.com").expect("an e-mail"), letter).await.expect("posted");
    tx.rollback().await.expect("rollback");
    assert!(outbox().take(&db).await.expect("take").is_none());

    post(&db, "ada@example.com").await;
    let row: String =
        sqlx::query_scalar("SELECT mails::text || encode(body_sealed, 'escape') FROM mails").fetch_one(&db).await.expect("row");
    assert!(!row.contains("TOPSECRET"), "{row}");
    let taken = outbox().take(&db).await.expect("take").expect("due");
    assert!(taken.body.expect("opens").text.contains("https://toki.example/verify-email?token=TOPSECRET"));
    let other = Outbox::new(&[8; 32], &"https://toki.example/".parse().expect("URL"));
    sqlx::query("UPDATE mails SET not_before = now()").execute(&db).await.expect("due again");
    assert!(other.take(&db).await.expect("take").expect("due").body.is_none());
}

#[sqlx::test]
async fn take_by_many_at_once_gives_each_mail_to_one(db: PgPool) {
    for n in 0..12 {
        post(&db, &format!("ada{n}@example.com")).await;
    }
    let takers: JoinSet<_> = (0..24)
        .map(|_| {
            let db = db.clone();
            async move { outbox().take(&db).await.expect("take").map(|taken| taken.mail_id) }
        })
        .collect();
    let mut taken: Vec<_> = takers.join_all().await.into_iter().flatten().collect();
    // A taker may have found all that was due locked by others, and nothing left; no mail had two.
    assert_eq!(taken.iter().collect::<HashSet<_>>().len(), taken.len());
    while let Some(mail) = outbox().take(&db).await.expect("take") {
        taken.push(mail.mail_id);
    }
    assert_eq!((taken.len(), taken.iter().collect::<HashSet<_>>().len()), (12, 12));
}

#[sqlx::test]
async fn a_taker_who_dies_leaves_the_mail_to_the_next_when_the_lease_is_over(db: PgPool) {
    let mail_id = post(&db, "ada@example.com").await;
    assert_eq!(outbox().take(&db).await.expect("take").expect("due").mail_id, mail_id);
    assert!(outbox().take(&db).await.expect("take").is_none());
    assert!(number(&db, "SELECT extract(epoch FROM not_before - now())::bigint FROM mails").await > 60, "outlasts a delivery");
    sqlx::query("UPDATE mails SET not_before = now()").execute(&db).await.expect("over");
    let again = outbox().take(&db).await.expect("take").expect("due");
    assert_eq!((again.mail_id, again.attempts), (mail_id, 2));
}

#[sqlx::test]
async fn what_is_sent_is_sent_once_and_forgotten(db: PgPool) {
    let to = tempfile::TempDir::new().expect("a folder");
    post(&db, "ada@example.com").await;
    assert_eq!(send_due(&db, &outbox(), &folder(to.path())).await.expect("sent"), 1);
    assert_eq!(send_due(&db, &outbox(), &folder(to.path())).await.expect("sent"), 0);
    assert_eq!(std::fs::read_dir(to.path()).expect("a folder").count(), 1);
    assert_eq!(number(&db, "SELECT count(*) FROM mails WHERE sent_at IS NOT NULL AND body_sealed IS NULL").await, 1);
    sqlx::query("UPDATE mails SET created_at = now() - interval '31 days'").execute(&db).await.expect("old");
    assert_eq!(forget_old_mails(&db).await.expect("forgotten"), 1);
}

#[sqlx::test]
async fn a_mail_server_that_is_away_delays_and_loses_nothing(db: PgPool) {
    let to = tempfile::TempDir::new().expect("a folder");
    for n in 0..3 {
        post(&db, &format!("ada{n}@example.com")).await;
    }
    for _ in 0..6 {
        assert_eq!(send_due(&db, &outbox(), &Delivery::Nowhere).await.expect("ran"), 0);
    }
    assert_eq!(number(&db, "SELECT count(*) FROM mails WHERE attempts = 1 AND not_before > now() AND last_error IS NOT NULL").await, 3);
    assert_eq!(census(&db).await.expect("census").waiting, 3);
    sqlx::query("UPDATE mails SET not_before = now()").execute(&db).await.expect("later");
    assert_eq!(send_due(&db, &outbox(), &folder(to.path())).await.expect("sent"), 3);
}

#[sqlx::test]
async fn what_is_of_no_use_any_more_is_given_up(db: PgPool) {
    let to = tempfile::TempDir::new().expect("a folder");
    post(&db, "ada@example.com").await;
    sqlx::query("UPDATE mails SET useful_until = now()").execute(&db).await.expect("late");
    assert_eq!(send_due(&db, &outbox(), &folder(to.path())).await.expect("ran"), 0);
    let census = census(&db).await.expect("census");
    assert_eq!((census.waiting, census.given_up), (0, 1));
    assert_eq!(number(&db, "SELECT count(*) FROM mails WHERE body_sealed IS NULL").await, 1);
}

#[test]
fn pauses_double_up_to_an_hour() {
    let pauses: Vec<i64> = [1, 2, 3, 7, 8, 100, i32::MAX].map(pause_s).to_vec();
    assert_eq!(pauses, [30, 60, 120, 1920, 3600, 3600, 3600]);
}

#[sqlx::test]
async fn a_letter_is_in_the_language_of_whoever_gets_it(db: PgPool) {
    let user = "INSERT INTO users (user_id, email, password_hash, language) VALUES (gen_random_uuid(), $1, '', $2)";
    for (email, language) in [("english@example.com", Some("en")), ("chinese@example.com", Some("zh-Hans")), ("new@example.com", None)] {
        sqlx::query(user).bind(email).bind(language).execute(&db).await.expect("a user");
    }
    let mut tx = db.begin().await.expect("begin");
    let deleted = crate::accounts::letters::deleted;
    for to in ["english@example.com", "chinese@example.com", "new@example.com", "nobody@example.com"] {
        let to = Email::parse(to).expect("an e-mail");
        speaking_on(Language::Chinese, outbox().post_in(&mut tx, &to, deleted)).await.expect("posted");
        outbox().post_in(&mut tx, &to, deleted).await.expect("posted");
    }
    tx.commit().await.expect("commit");
    let mut mails = Vec::new();
    while let Some(taken) = outbox().take(&db).await.expect("taken") {
        let html = taken.body.expect("opens").html;
        let chinese =
            html.contains("lang=\"zh-Hans\"") && html.contains("你的 TOKI Token Plan 账户已删除") && taken.subject == "账户已删除";
        let english = html.contains("lang=\"en\"") && html.contains("is deleted: address") && taken.subject == "Your account is deleted";
        assert!(chinese != english, "{html}");
        mails.push((taken.mail_id, taken.recipient, chinese));
    }
    mails.sort();
    let languages: Vec<(&str, bool)> = mails.iter().map(|(_, to, chinese)| (to.as_str(), *chinese)).collect();
    assert_eq!(
        languages,
        [
            ("english@example.com", false),
            ("english@example.com", false),
            ("chinese@example.com", true),
            ("chinese@example.com", true),
            // Whoever asked for it was reading Chinese, and then English.
            ("new@example.com", true),
            ("new@example.com", false),
            ("nobody@example.com", true),
            ("nobody@example.com", false),
        ]
    );
}
