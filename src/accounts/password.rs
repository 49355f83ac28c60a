//! argon2id on a thread of its own: a flood of sign-ins must not take the cores that serve calls. And which passwords are refused: those
//! that an attacker tries first.

use crate::accounts::types::{Email, Password};
use argon2::password_hash::phc::{Output, ParamsString, Salt};
use argon2::{Algorithm, Argon2, Block, Params, PasswordHash, Version};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};

#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    #[error("password hashing failed")]
    Failed,
    #[error("too many passwords are being hashed")]
    Busy,
    #[error("the password is among those that are tried first")]
    Common,
}

/// One at a time: argon2id takes about 19 MiB and tens of milliseconds of a core each.
static SLOTS: Semaphore = Semaphore::const_new(1);

/// How long somebody waits for their turn. A flood from many places is told to come back, and not kept in memory.
const TURN: Duration = Duration::from_secs(10);

/// How long work waits for its turn that nobody waits for, and that somebody was promised. Turns are given in order, and those who wait no
/// longer than [`TURN`] have left by then: this is long enough for as many as there are [`PLACES`], at a second each.
const PROMISED_TURN: Duration = Duration::from_secs(120);

/// So many may wait that long: a flood gets no more promises than that, and no more memory.
static PLACES: Semaphore = Semaphore::const_new(100);

/// A password that this many guesses find is refused: so many are tried on-line before anybody notices. The guesses are those of zxcvbn,
/// which knows the lists of leaked passwords, names, keyboards and what people do to all of them.
const FEWEST_GUESSES: u64 = 1_000_000;

/// Hashing gets what calls leave over, and a thirtieth of a core where they leave nothing: a sign-in takes a second then.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 15;

/// What argon2 works in, kept from one password to the next: an allocator that gets 19 MiB back each time keeps several of them.
#[derive(Default)]
struct Memory(Vec<Block>);

type Work = Box<dyn FnOnce(&mut Memory) + Send>;

/// Always the same thread, which has its own niceness and the one memory.
static THREAD: LazyLock<Sender<Work>> = LazyLock::new(|| {
    let (sender, queue) = channel::<Work>();
    let work = move || {
        // Of Linux, where a thread has its own niceness; elsewhere it would be the whole program's.
        #[cfg(target_os = "linux")]
        if let Err(error) = rustix::process::nice(NICENESS) {
            tracing::warn!(%error, "hashing competes with calls");
        }
        let mut memory = Memory::default();
        for work in queue {
            let begun = Instant::now();
            // Whoever waits for it sees their channel closed; the thread is for the others too.
            let _ = catch_unwind(AssertUnwindSafe(|| work(&mut memory)));
            // It works half of its time at most. Priority does not help against what it does to the caches: calls are slower while it works.
            std::thread::sleep(begun.elapsed());
        }
    };
    if let Err(error) = std::thread::Builder::new().name("passwords".into()).spawn(work) {
        tracing::error!(%error, "no thread for passwords");
    }
    sender
});

/// A place among those whose password is hashed after they were answered. It is taken before anything is promised.
#[derive(Debug)]
pub struct Place(SemaphorePermit<'static>);

impl Place {
    pub fn take() -> Result<Place, PasswordError> {
        Place::among(&PLACES)
    }

    fn among(places: &'static Semaphore) -> Result<Place, PasswordError> {
        places.try_acquire().map(Place).map_err(|_| PasswordError::Busy)
    }
}

async fn on_the_thread<T: Send + 'static>(
    patience: Duration,
    work: impl FnOnce(&mut Memory) -> T + Send + 'static,
) -> Result<T, PasswordError> {
    let slot = tokio::time::timeout(patience, SLOTS.acquire()).await.map_err(|_| PasswordError::Busy)?;
    let slot = slot.map_err(|_| PasswordError::Failed)?;
    let (answer, result) = oneshot::channel();
    let work: Work = Box::new(move |memory| {
        let _ = answer.send(work(memory));
        // Not before, also when whoever asked has left.
        drop(slot);
    });
    THREAD.send(work).map_err(|_| PasswordError::Failed)?;
    result.await.map_err(|_| PasswordError::Failed)
}

/// Refuses a new password that others have chosen before, or that follows from its user's address.
pub async fn refuse_common(password: &Password, email: &Email) -> Result<(), PasswordError> {
    let (password, email) = (password.expose().to_string(), email.to_string());
    let guesses = on_the_thread(TURN, move |_| {
        let parts = email.split(['@', '.', '+', '-', '_']);
        let whole = email.split('@').chain([email.as_str(), "toki", "token", "tokens"]);
        let known: Vec<&str> = parts.chain(whole).filter(|part| !part.is_empty()).collect();
        zxcvbn::zxcvbn(&password, &known).guesses()
    });
    if guesses.await? < FEWEST_GUESSES { Err(PasswordError::Common) } else { Ok(()) }
}

/// The PHC string to store: argon2id, version 19, a salt of its own (RFC 9106).
pub async fn hash(password: Password) -> Result<String, PasswordError> {
    hash_within(TURN, password).await
}

/// The same for whoever was answered already, and has a place.
pub async fn hash_promised(Place(_held): Place, password: Password) -> Result<String, PasswordError> {
    hash_within(PROMISED_TURN, password).await
}

async fn hash_within(patience: Duration, password: Password) -> Result<String, PasswordError> {
    on_the_thread(patience, move |memory| memory.hash(password.expose()).map(|hash| hash.to_string()).ok_or(PasswordError::Failed)).await?
}

impl Memory {
    fn hash(&mut self, password: &str) -> Option<PasswordHash> {
        let (salt, params) = (Salt::generate(), Params::default());
        let output = self.output(Algorithm::Argon2id, Version::V0x13, &params, password, &salt)?;
        let (algorithm, version) = (Algorithm::Argon2id.ident(), Some(Version::V0x13.into()));
        Some(PasswordHash { algorithm, version, params: ParamsString::try_from(&params).ok()?, salt: Some(salt), hash: Some(output) })
    }

    /// Whether the hash is the password's, by the algorithm, version and parameters that it names itself.
    fn verify(&mut self, password: &str, hash: &PasswordHash) -> Option<bool> {
        let algorithm = Algorithm::try_from(hash.algorithm.as_str()).ok()?;
        let version = Version::try_from(hash.version?).ok()?;
        let output = self.output(algorithm, version, &Params::try_from(hash).ok()?, password, hash.salt.as_ref()?)?;
        // Compared in constant time: `Output`.
        Some(output == hash.hash?)
    }

    fn output(&mut self, algorithm: Algorithm, version: Version, params: &Params, password: &str, salt: &Salt) -> Option<Output> {
        self.0.resize(params.block_count(), Block::new());
        let mut bytes = [0; Output::MAX_LENGTH];
        let output = bytes.get_mut(..params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN))?;
        let argon2 = Argon2::new(algorithm, version, params.clone());
        argon2.hash_password_into_with_memory(password.as_bytes(), salt, output, &mut self.0).ok()?;
        Output::new(output).ok()
    }
}

/// Random bytes in the place of a hash: nobody's password. Written down and not made at the first sign-in of an unknown address, which
/// would have told that it is one by taking twice as long.
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$RUCmOUonl10w6I6jiB0sCA$fbfDrFAf4ZDLAkU0wktGfIgeWbCxmtIbs5b8/fzslUY";

/// Whether the password matches. With no stored hash (unknown user) it does the same work and answers false.
pub async fn verify(password: Password, stored: Option<String>) -> Result<bool, PasswordError> {
    on_the_thread(TURN, move |memory| matches(stored.as_deref(), |hash| memory.verify(password.expose(), hash) == Some(true))).await
}

/// Checks once, whether or not there is a hash to match.
fn matches(stored: Option<&str>, check: impl FnOnce(&PasswordHash) -> bool) -> bool {
    let checked = PasswordHash::new(stored.unwrap_or(NOBODYS)).is_ok_and(|hash| check(&hash));
    checked && stored.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::parse(text.into()).expect("long enough")
    }

    #[tokio::test]
    async fn what_is_tried_first_is_refused_and_any_other_composition_is_not() {
        let email = Email::parse("ada.lovelace@example.com").expect("an address");
        for common in
            ["password", "password1", "P@ssw0rd", "12345678", "qwertyuiop", "iloveyou", "aaaaaaaaaaaa", "lovelace", "Lovelace1", "tokitoki"]
        {
            assert!(matches!(refuse_common(&password(common), &email).await, Err(PasswordError::Common)), "{common}");
        }
        for fine in [
            "correct horse battery",
            "vier Katzen im Regen",
            "пароль из четырёх слов",
            "x7!kq#Vr2m",
            "gelbe.moewe.tanzt",
            "a sentence of a book that nobody else would think of, typed whole, is as good as any other",
        ] {
            assert!(refuse_common(&password(fine), &email).await.is_ok(), "{fine}");
        }
    }

    #[tokio::test]
    async fn verify_accepts_only_the_same_password() {
        let stored = hash(password("correct horse")).await.expect("hash");
        assert!(stored.starts_with("$argon2id$v=19$"));
        assert!(verify(password("correct horse"), Some(stored.clone())).await.expect("verify"));
        assert!(!verify(password("correct horsf"), Some(stored)).await.expect("verify"));
        assert!(!verify(password("nobody's password"), None).await.expect("verify"));
        assert!(!verify(password("correct horse"), Some("not a hash".into())).await.expect("verify"));
    }

    #[test]
    fn hashes_are_those_of_any_other_argon2() {
        use argon2::password_hash::{PasswordHasher, PasswordVerifier};
        let mut memory = Memory::default();
        let ours = memory.hash("correct horse").expect("hash");
        assert!(Argon2::default().verify_password(b"correct horse", &ours).is_ok());
        // With less memory than the one before it left behind, and another algorithm.
        let params = Params::new(1_024, 3, 2, Some(24)).expect("parameters");
        let theirs = Argon2::new(Algorithm::Argon2i, Version::V0x10, params).hash_password(b"correct horse").expect("hash");
        assert_eq!(memory.verify("correct horse", &theirs), Some(true));
        assert_eq!(memory.verify("correct horsf", &theirs), Some(false));
        assert_eq!(memory.verify("correct horse", &ours), Some(true));
    }

    #[tokio::test]
    async fn hashing_waits_for_its_turn() {
        let turn = SLOTS.acquire().await.expect("a turn");
        let mut waiting = std::pin::pin!(hash(password("correct horse")));
        assert!(tokio::time::timeout(Duration::from_millis(200), &mut waiting).await.is_err(), "somebody else hashes");
        drop(turn);
        assert!(waiting.await.is_ok());
    }

    #[tokio::test]
    async fn what_was_promised_outlasts_those_who_are_told_to_come_back() {
        let turn = SLOTS.acquire().await.expect("a turn");
        let (place, brief) = (Place::take().expect("a place"), Duration::from_millis(50));
        let mut promised = std::pin::pin!(hash_promised(place, password("correct horse")));
        assert!(tokio::time::timeout(brief, &mut promised).await.is_err(), "somebody else hashes");
        assert!(matches!(hash_within(brief, password("correct horse")).await, Err(PasswordError::Busy)));
        drop(turn);
        assert!(promised.await.is_ok());
        assert!(PROMISED_TURN >= 10 * TURN, "whoever came before them is served or gone");
    }

    #[test]
    fn no_more_is_promised_than_there_are_places() {
        static TWO: Semaphore = Semaphore::const_new(2);
        let (first, second) = (Place::among(&TWO).expect("a place"), Place::among(&TWO).expect("a place"));
        assert!(matches!(Place::among(&TWO), Err(PasswordError::Busy)));
        drop(first);
        assert!(Place::among(&TWO).is_ok());
        drop(second);
    }

    #[test]
    fn an_unknown_user_costs_the_same_work_as_a_known_one() {
        let known = Memory::default().hash("correct horse").expect("hash").to_string();
        let mut works = Vec::new();
        for stored in [Some(known.as_str()), None, None] {
            let mut runs = Vec::new();
            let matches = matches(stored, |hash| {
                runs.push((hash.algorithm.to_string(), hash.version, hash.params.to_string(), hash.to_string().len()));
                true
            });
            assert_eq!(matches, stored.is_some(), "nobody gets in, whatever matches");
            works.push(runs);
        }
        assert_eq!(works[0].len(), 1, "one run of argon2, whose parameters say how much it is");
        assert!(works.iter().all(|work| *work == works[0]), "{works:?}");
    }
}
