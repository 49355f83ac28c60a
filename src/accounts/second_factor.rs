//! The second factor: seeds of an authenticator's codes (TOTP, RFC 6238), codes for whoever lost it, and how both are kept.

use crate::accounts::types::Email;
use crate::accounts::types_two_factor::QrSquare;
use crate::ids::UserId;
use crate::seal::{Seal, SealError, SecretKeys};
use crate::secret::{Shape, derive_key, hmac_sha256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use qrcode::{Color, EcLevel, QrCode};
use std::fmt;
use totp_rs::{Builder, Secret, Totp};
use url::Url;

/// 50 random bits, hashed under a key of ours, tried at a limited rate: shorter than a key, since people type them from paper.
const RECOVERY: Shape = Shape { prefix: "", alphabet: b"abcdefghijkmnpqrstuvwxyz23456789", random: 10, checksum: 2 };

/// How many recovery codes somebody has at the start.
pub const RECOVERY_CODES: usize = 10;

/// White around a QR code, in its squares; less confuses readers (ISO/IEC 18004).
const QUIET: usize = 4;

/// What an authenticator and we make the same codes of: six digits, anew each 30 seconds, by HMAC-SHA1, which every authenticator knows.
pub struct Seed([u8; 20]);

impl Seed {
    pub fn generate() -> Seed {
        Seed(rand::random())
    }

    fn totp(&self) -> Totp {
        Builder::new().with_secret(Secret::new_stack(self.0)).with_digits(6).with_step_duration(30).with_skew(1).build_noncompliant()
    }

    /// The 30 seconds that this is the code of, if they are those of `now` or the ones beside them: clocks differ, and people type.
    pub fn step_of(&self, code: &str, now: i64) -> Option<i64> {
        let step = self.totp().check(code, u64::try_from(now).ok()?)?;
        i64::try_from(step).ok()
    }

    /// What an authenticator shows then.
    #[cfg(test)]
    pub fn code_at(&self, now: i64) -> String {
        self.totp().generate(u64::try_from(now).unwrap_or_default()).to_string()
    }

    /// As people type it into an authenticator that sees no QR code.
    pub fn to_base32(&self) -> String {
        Secret::new_stack(self.0).to_base32()
    }

    /// What an authenticator reads from a QR code.
    pub fn uri(&self, issuer: &str, email: &Email) -> String {
        let Ok(mut uri) = Url::parse("otpauth://totp/") else { return String::new() };
        if let Ok(mut path) = uri.path_segments_mut() {
            path.clear().push(&format!("{issuer}:{email}"));
        }
        // Authenticators take a plus sign for itself.
        let issuer = issuer.replace(' ', "%20");
        uri.set_query(Some(&format!("secret={}&issuer={issuer}", self.to_base32())));
        uri.into()
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(…)")
    }
}

/// The squares of a QR code as one path; none for a text that is too long for one.
pub fn qr_square(text: &str) -> Option<QrSquare> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    let (width, colours) = (code.width(), code.to_colors());
    let mut path = String::new();
    for (y, row) in colours.chunks(width).enumerate() {
        let mut x = 0;
        for run in row.chunk_by(|a, b| a == b) {
            if run[0] == Color::Dark {
                path.push_str(&format!("M{} {}h{}v1h-{}z", x + QUIET, y + QUIET, run.len(), run.len()));
            }
            x += run.len();
        }
    }
    Some(QrSquare { side: u32::try_from(width + 2 * QUIET).ok()?, path })
}

/// Stands in for the authenticator, once.
pub struct RecoveryCode(String);

impl RecoveryCode {
    pub fn generate() -> RecoveryCode {
        RecoveryCode(RECOVERY.generate())
    }

    /// What somebody typed, if it could be one of ours: case, spaces and dashes are how people write it.
    pub fn parse(text: &str) -> Option<RecoveryCode> {
        let text: String = text.chars().filter(|c| !c.is_whitespace() && *c != '-').collect::<String>().to_lowercase();
        RECOVERY.fits(&text).then_some(RecoveryCode(text))
    }

    /// In groups of four, to be written down.
    pub fn written(&self) -> String {
        let groups: Vec<String> = self.0.as_bytes().chunks(4).map(|group| String::from_utf8_lossy(group).into_owned()).collect();
        groups.join("-")
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode(…)")
    }
}

/// How second factors are kept: seeds sealed, recovery codes hashed.
#[derive(Clone)]
pub struct Vault {
    seal: Seal,
    /// Of codes that are yet to be shown.
    new_codes: Seal,
    pepper: [u8; 32],
}

impl Vault {
    /// Hashes outlive a key: they are made with one of their own (`secrets::HashKey`). So are codes sealed that are yet to be shown, by a
    /// replica which may have another key than the one that made them.
    pub fn derive<'a>(keys: impl Into<SecretKeys<'a>>, hash_key: &[u8; 32]) -> Vault {
        Vault {
            seal: Seal::derive(keys, b"toki second factors v1"),
            new_codes: Seal::derive(hash_key, b"toki new recovery codes v1"),
            pepper: derive_key(hash_key, b"toki recovery codes v1"),
        }
    }

    pub fn seal(&self, user_id: UserId, seed: &Seed) -> Result<Vec<u8>, SealError> {
        self.seal.seal(place(user_id).as_bytes(), &seed.0)
    }

    pub fn open(&self, user_id: UserId, sealed: &[u8]) -> Result<Seed, SealError> {
        let seed = self.seal.open(place(user_id).as_bytes(), sealed)?;
        seed.try_into().map(Seed).map_err(|_| SealError)
    }

    /// The same seed, sealed with the current key.
    pub fn reseal(&self, user_id: UserId, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        self.seal.reseal(place(user_id).as_bytes(), sealed)
    }

    pub fn hash(&self, user_id: UserId, code: &RecoveryCode) -> [u8; 32] {
        hmac_sha256(&self.pepper, format!("{user_id}:{}", code.0).as_bytes())
    }

    /// New recovery codes on their way to the page that shows them once: they wait in the session, and so in the database.
    pub fn seal_codes(&self, user_id: UserId, codes: &[RecoveryCode]) -> Result<String, SealError> {
        let codes = codes.iter().map(RecoveryCode::written).collect::<Vec<_>>().join("\n");
        Ok(STANDARD_NO_PAD.encode(self.new_codes.seal(format!("new recovery codes:{user_id}").as_bytes(), codes.as_bytes())?))
    }

    /// The codes as people write them; none that are another user's.
    pub fn open_codes(&self, user_id: UserId, sealed: &str) -> Option<Vec<String>> {
        let sealed = STANDARD_NO_PAD.decode(sealed).ok()?;
        let codes = self.new_codes.open(format!("new recovery codes:{user_id}").as_bytes(), &sealed).ok()?;
        Some(String::from_utf8(codes).ok()?.lines().map(str::to_string).collect())
    }
}

fn place(user_id: UserId) -> String {
    format!("two_factors.seed_sealed:{user_id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seed of RFC 6238, appendix B.
    const RFC: Seed = Seed(*b"12345678901234567890");

    #[test]
    fn codes_are_those_of_the_rfc_for_now_and_the_steps_beside_it() {
        for (now, code) in [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (20_000_000_000, "353130")] {
            assert_eq!(RFC.step_of(code, now), Some(now / 30), "{code}");
            assert_eq!(RFC.step_of(code, now + 30), Some(now / 30));
            assert_eq!(RFC.step_of(code, now - 30), Some(now / 30));
            for elsewhen in [now + 60, now - 60] {
                assert_eq!(RFC.step_of(code, elsewhen), None, "{code}");
            }
        }
        for other in ["", "28708", "2870820", "94287082", "+87082", "28708a", "２８７０８２"] {
            assert_eq!(RFC.step_of(other, 59), None, "{other}");
        }
        assert_eq!(RFC.step_of("287082", -1), None);
    }

    #[test]
    fn an_authenticator_reads_the_seed() {
        let email = Email::parse("ada+1@example.com").expect("an address");
        assert_eq!(
            RFC.uri("TOKI toki.example", &email),
            "otpauth://totp/TOKI%20toki.example:ada+1@example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=TOKI%20toki.example"
        );
        assert_ne!(Seed::generate().0, Seed::generate().0);
        assert_eq!(format!("{RFC:?}"), "Seed(…)");
    }

    #[test]
    fn a_qr_code_is_one_path_with_white_around_it() {
        let square = qr_square("hello").expect("fits");
        // The smallest has 21 squares; each of its corners but one has a frame seven wide.
        assert_eq!(square.side, 21 + 8);
        assert!(square.path.starts_with("M4 4h7v1h-7z"), "{}", square.path);
        assert!(qr_square(&"x".repeat(10_000)).is_none());
    }

    #[test]
    fn recovery_codes_are_read_as_people_write_them() {
        let code = RecoveryCode::generate();
        let written = code.written();
        assert_eq!(written.len(), 14);
        for text in [written.clone(), written.to_uppercase(), written.replace('-', " "), format!(" {} ", written.replace('-', ""))] {
            assert_eq!(RecoveryCode::parse(&text).expect("ours").0, code.0, "{text}");
        }
        for other in ["", "123456", "aaaa-aaaa-aaaa", &written[1..]] {
            assert!(RecoveryCode::parse(other).is_none(), "{other}");
        }
        assert_eq!(format!("{code:?}"), "RecoveryCode(…)");
    }

    #[test]
    fn what_is_kept_is_worth_nothing_for_another_user() {
        let (vault, user_id) = (Vault::derive(&[1; 32], &[1; 32]), UserId::generate());
        let sealed = vault.seal(user_id, &RFC).expect("sealed");
        assert_eq!(vault.open(user_id, &sealed).expect("opens").0, RFC.0);
        assert!(vault.open(UserId::generate(), &sealed).is_err());
        let code = RecoveryCode::generate();
        assert_ne!(vault.hash(user_id, &code), vault.hash(UserId::generate(), &code));
        assert_ne!(vault.hash(user_id, &code), Vault::derive(&[1; 32], &[2; 32]).hash(user_id, &code));
        let handed = vault.seal_codes(user_id, std::slice::from_ref(&code)).expect("sealed");
        assert!(!handed.contains(&code.written()));
        assert_eq!(vault.open_codes(user_id, &handed), Some(vec![code.written()]));
        assert_eq!(vault.open_codes(UserId::generate(), &handed), None);
        let replaced = Vault::derive(&[2; 32], &[1; 32]);
        assert_eq!(replaced.open_codes(user_id, &handed), Some(vec![code.written()]), "the configured key was replaced meanwhile");
        assert_eq!(Vault::derive(&[1; 32], &[2; 32]).open_codes(user_id, &handed), None);
    }
}
