//! The text of a code: made, recognised, hashed. The plain code exists only between its making and its one showing, and while a
//! customer types it.
//!
//! 16 random characters of 32 (80 bits) and 4 of checksum, in groups of four. The alphabet is Crockford's: no I, L, O or U, and who
//! types one of the first three means the digit that it looks like.

use crate::error::CodeProblem;
use crate::secret::{Shape, derive_key, hmac_sha256};
use std::fmt;

const SHAPE: Shape = Shape { prefix: "", alphabet: b"0123456789ABCDEFGHJKMNPQRSTVWXYZ", random: 16, checksum: 4 };

/// Longer than anything that is a code with spaces in it.
const LONGEST: usize = 100;

/// HMAC key for codes, derived from the installation's own (`secrets::HashKey`).
pub struct CodePepper([u8; 32]);

impl CodePepper {
    pub fn derive(hash_key: &[u8; 32]) -> CodePepper {
        CodePepper(derive_key(hash_key, b"toki code pepper v1"))
    }
}

/// A plain code, well-formed by construction. No Display and no Debug of what is in it.
pub struct PlainCode(String);

impl PlainCode {
    pub fn generate() -> PlainCode {
        PlainCode(SHAPE.generate())
    }

    /// What a person typed: in either case, with spaces and dashes anywhere.
    pub fn parse(text: &str) -> Result<PlainCode, CodeProblem> {
        if text.len() > LONGEST {
            return Err(CodeProblem::Malformed);
        }
        let typed = text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '-' | '–' | '—'));
        let meant: String = typed
            .map(|c| match c.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                c => c,
            })
            .collect();
        match meant.as_str() {
            "" => Err(CodeProblem::Empty),
            code if SHAPE.fits(code) => Ok(PlainCode(meant)),
            _ => Err(CodeProblem::Malformed),
        }
    }

    /// What is stored and looked up.
    pub fn hash(&self, pepper: &CodePepper) -> [u8; 32] {
        hmac_sha256(&pepper.0, self.0.as_bytes())
    }

    /// What a list shows: `AB3D…X9YZ`.
    pub fn hint(&self) -> String {
        format!("{}…{}", &self.0[..4], &self.0[self.0.len() - 4..])
    }

    /// The plain code, for the one time it is shown: `AB3D-EFGH-JKMN-PQRS-X9YZ`.
    pub fn expose(&self) -> String {
        let groups: Vec<&str> = (0..self.0.len()).step_by(4).map(|at| &self.0[at..at + 4]).collect();
        groups.join("-")
    }
}

impl fmt::Debug for PlainCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlainCode(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_recognised_however_it_is_typed() {
        let pepper = CodePepper::derive(&[1; 32]);
        for _ in 0..50 {
            let code = PlainCode::generate();
            let shown = code.expose();
            assert_eq!(shown.len(), 24, "{shown}");
            for typed in [
                shown.clone(),
                shown.to_lowercase(),
                shown.replace('-', ""),
                format!("  {} ", shown.replace('-', " – ")),
                shown.replace('0', "o").replace('1', "l"),
                shown.replace('0', "O").replace('1', "I"),
            ] {
                let again = PlainCode::parse(&typed).unwrap_or_else(|error| panic!("{typed}: {error:?}"));
                assert_eq!(again.hash(&pepper), code.hash(&pepper), "{typed}");
            }
            assert!(!format!("{code:?}").contains(&code.0) && code.hint().chars().count() == 9);
        }
        assert_ne!(PlainCode::generate().hash(&pepper), PlainCode::generate().hash(&pepper));
    }

    #[test]
    fn what_is_no_code_is_said_to_be_none() {
        let code = PlainCode::generate().expose();
        let typo = format!("{}{}", if code.starts_with('A') { "B" } else { "A" }, &code[1..]);
        for (text, problem) in [
            ("", CodeProblem::Empty),
            (" - ", CodeProblem::Empty),
            (typo.as_str(), CodeProblem::Malformed),
            (&code[1..], CodeProblem::Malformed),
            (&format!("{code}0"), CodeProblem::Malformed),
            ("钱包", CodeProblem::Malformed),
            (&"-".repeat(101), CodeProblem::Malformed),
        ] {
            assert_eq!(PlainCode::parse(text).err(), Some(problem), "{text:?}");
        }
    }
}
