//! Second factors: each code counts once, whoever tries, and nothing counts before it is confirmed.

use super::*;
use crate::accounts::store::{insert_account, reader_of};
use crate::accounts::types::Email;
use crate::mail::outbox::Outbox;
use crate::wallet::fixtures;

const PASSWORD: &str = "correct horse battery";

struct World {
    db: PgPool,
    outbox: Outbox,
    vault: Vault,
    user_id: UserId,
    email: Email,
}

impl World {
    async fn new(db: PgPool) -> World {
        let email = Email::parse("ada@example.com").expect("an address");
        let user_id = insert_account(&db, &email, password(PASSWORD), false).await.expect("account").user_id;
        let outbox = fixtures::outbox();
        World { db, outbox, vault: Vault::derive(&[7; 32], &[7; 32]), user_id, email }
    }

    async fn member(&self) -> Reader {
        reader_of(&self.db, self.user_id, None).await.expect("member").expect("is one")
    }

    /// Sets two-factor up; its seed and recovery codes.
    async fn turn_on(&self) -> (Seed, Vec<RecoveryCode>) {
        let member = self.member().await;
        begin(&self.db, &self.vault, &member, password(PASSWORD)).await.expect("begun");
        let TwoFactor::Begun(seed) = self.standing().await else { panic!("not begun") };
        let code = seed.code_at(Utc::now().timestamp());
        let codes = confirm(&self.db, &self.outbox, &self.vault, &member, &code).await.expect("confirmed");
        (seed, codes)
    }

    async fn standing(&self) -> TwoFactor {
        standing_of(&self.db, &self.vault, &self.member().await).await.expect("standing")
    }

    async fn left(&self) -> i64 {
        let TwoFactor::On { recovery_codes_left, .. } = self.standing().await else { panic!("not on") };
        recovery_codes_left
    }

    async fn accept(&self, code: &str) -> Result<(), AccountError> {
        sign_in(&self.db, &self.outbox, &self.vault, self.user_id, &self.email, &GivenCode::parse(code), &Origin::default()).await
    }

    /// As if the last code had been given an hour ago.
    async fn wait(&self) {
        sqlx::query!("UPDATE two_factors SET last_step = last_step - 120").execute(&self.db).await.expect("waited");
    }
}

fn password(text: &str) -> Password {
    Password::parse(text.into()).expect("long enough")
}

#[sqlx::test]
async fn nothing_counts_before_the_first_code(db: PgPool) {
    let world = World::new(db).await;
    let member = world.member().await;
    let begun = begin(&world.db, &world.vault, &member, password("not the password")).await;
    assert!(matches!(begun, Err(AccountError::WrongPassword)));
    assert!(matches!(world.standing().await, TwoFactor::Off));
    begin(&world.db, &world.vault, &member, password(PASSWORD)).await.expect("begun");
    assert!(!is_on(&world.db, world.user_id).await.expect("read"));
    let confirmed = confirm(&world.db, &world.outbox, &world.vault, &member, "000000").await;
    assert!(matches!(confirmed, Err(AccountError::WrongCode)), "or a miracle");

    // Whoever waits too long begins anew.
    sqlx::query!("UPDATE two_factors SET created_at = now() - interval '31 minutes'").execute(&world.db).await.expect("late");
    assert!(matches!(world.standing().await, TwoFactor::Off));
    let confirmed = confirm(&world.db, &world.outbox, &world.vault, &member, "000000").await;
    assert!(matches!(confirmed, Err(AccountError::TwoFactorChanged)));
    let (_, codes) = world.turn_on().await;
    assert_eq!((codes.len(), world.left().await), (RECOVERY_CODES, 10));
    assert!(is_on(&world.db, world.user_id).await.expect("read") && world.member().await.has_two_factor());
    let again = begin(&world.db, &world.vault, &member, password(PASSWORD)).await;
    assert!(matches!(again, Err(AccountError::TwoFactorChanged)), "no seed is replaced behind its owner's back");
}

#[sqlx::test]
async fn a_code_is_accepted_once_and_none_before_it(db: PgPool) {
    let world = World::new(db).await;
    let (seed, _) = world.turn_on().await;
    let now = Utc::now().timestamp();
    assert!(matches!(world.accept(&seed.code_at(now)).await, Err(AccountError::WrongCode)), "it confirmed already");
    world.wait().await;
    let (one, two) = (seed.code_at(now), seed.code_at(now));
    let tries = [world.accept(&one), world.accept(&two)];
    let accepted = futures::future::join_all(tries).await.into_iter().filter(Result::is_ok).count();
    assert_eq!(accepted, 1);
    assert!(matches!(world.accept(&seed.code_at(now - 30)).await, Err(AccountError::WrongCode)), "an older one");
    assert!(matches!(world.accept("123").await, Err(AccountError::WrongCode)));
}

#[sqlx::test]
async fn a_recovery_code_stands_in_once(db: PgPool) {
    let world = World::new(db).await;
    let (_, codes) = world.turn_on().await;
    let written = codes[0].written();
    let tries = [world.accept(&written), world.accept(&written), world.accept(&written)];
    let accepted = futures::future::join_all(tries).await.into_iter().filter(Result::is_ok).count();
    assert_eq!((accepted, world.left().await), (1, 9));
    let foreign = RecoveryCode::generate().written();
    assert!(matches!(world.accept(&foreign).await, Err(AccountError::WrongCode)));
    let stored = sqlx::query_scalar!(r#"SELECT string_agg(encode(code_hash, 'escape'), ' ') AS "all!" FROM recovery_codes"#);
    assert!(!stored.fetch_one(&world.db).await.expect("stored").contains(&written.replace('-', "")));

    let proof = Proof::parse(codes[1].written()).expect("a code");
    let renewed = renew_codes(&world.db, &world.outbox, &world.vault, &world.member().await, proof).await.expect("renewed");
    assert_eq!((renewed.len(), world.left().await), (10, 10));
    assert!(matches!(world.accept(&codes[2].written()).await, Err(AccountError::WrongCode)), "the ones before");
    assert!(world.accept(&renewed[0].written()).await.is_ok());
}

#[sqlx::test]
async fn whoever_proves_who_they_are_turns_it_off(db: PgPool) {
    let world = World::new(db).await;
    let off = async |proof: &str| {
        let proof = Proof::parse(proof.to_string())?;
        turn_off(&world.db, &world.outbox, &world.vault, &world.member().await, proof).await
    };
    assert!(matches!(off(PASSWORD).await, Err(AccountError::TwoFactorChanged)), "there is none");
    let (seed, _) = world.turn_on().await;
    for wrong in ["", "123456", "not the password"] {
        assert!(matches!(off(wrong).await, Err(AccountError::WrongProof)), "{wrong}");
    }
    assert!(is_on(&world.db, world.user_id).await.expect("read"));
    world.wait().await;
    off(&seed.code_at(Utc::now().timestamp())).await.expect("off by a code");
    assert!(matches!(world.standing().await, TwoFactor::Off));
    world.turn_on().await;
    off(PASSWORD).await.expect("off by the password");
    let told = sqlx::query_scalar!("SELECT kind FROM mails ORDER BY mail_id").fetch_all(&world.db).await.expect("mails");
    assert_eq!(told, ["two_factor_on", "two_factor_off", "two_factor_on", "two_factor_off"]);
    let left = sqlx::query_scalar!(r#"SELECT count(*) AS "left!" FROM recovery_codes"#).fetch_one(&world.db).await.expect("codes");
    assert_eq!(left, 0);
}
