//! `Tokens`: an amount of Tokens, with the only arithmetic, parsing and formatting there is for it. No floats.

use crate::i18n::Language;
use serde::{Deserialize, Serialize};

/// An amount of Tokens. Never negative on a page; negative only as a ledger difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tokens(pub i64);

/// Why a typed amount was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokensError {
    #[error("not a whole number of Tokens")]
    NotANumber,
    #[error("more Tokens than can be counted here")]
    TooLarge,
}

impl Tokens {
    /// The most that one package, quota or credit may hold: 10^15.
    pub const MOST: Tokens = Tokens(1_000_000_000_000_000);

    /// Parses what a person types: digits, with `,`, `_` or spaces between them. Never negative, at most [`Tokens::MOST`].
    pub fn parse(text: &str) -> Result<Tokens, TokensError> {
        let digits: String = text.trim().chars().filter(|c| !matches!(c, ',' | '_' | ' ')).collect();
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(TokensError::NotANumber);
        }
        let tokens = digits.parse().map(Tokens).map_err(|_| TokensError::TooLarge)?;
        if tokens > Tokens::MOST { Err(TokensError::TooLarge) } else { Ok(tokens) }
    }

    /// Every digit, grouped: `1,234,567`.
    pub fn exact(self) -> String {
        group_digits(self.0)
    }

    /// At most three significant digits, rounded down so that it never claims more than is there: `1.23 M`, `999`, `12.3 K`.
    pub fn short(self) -> String {
        self.short_in(Language::English)
    }

    /// The same as readers of a language count: in Chinese `12.3 万`, `1.2 亿`.
    pub fn short_in(self, language: Language) -> String {
        let units = language.choose::<&[(u64, &str)]>(
            &[(1_000_000_000_000, "T"), (1_000_000_000, "B"), (1_000_000, "M"), (1_000, "K")],
            &[(1_000_000_000_000, "万亿"), (100_000_000, "亿"), (10_000, "万")],
        );
        let magnitude = self.0.unsigned_abs();
        let Some((unit, name)) = units.iter().find(|(unit, _)| magnitude >= *unit) else {
            return self.exact();
        };
        let sign = if self.0 < 0 { "-" } else { "" };
        let shown = magnitude - magnitude % 10_u64.pow(magnitude.ilog10().saturating_sub(2));
        let (whole, fraction) = (shown / unit, shown % unit);
        let whole = group_digits(i64::try_from(whole).unwrap_or(i64::MAX));
        match fraction {
            0 => format!("{sign}{whole} {name}"),
            _ => {
                let decimals = format!("{fraction:0width$}", width = unit.ilog10() as usize);
                format!("{sign}{whole}.{} {name}", decimals.trim_end_matches('0'))
            }
        }
    }

    /// Whether the short form has every digit.
    pub fn is_short(self) -> bool {
        self.0.unsigned_abs() < 1_000
    }

    pub fn checked_add(self, other: Tokens) -> Option<Tokens> {
        self.0.checked_add(other.0).map(Tokens)
    }

    pub fn checked_sub(self, other: Tokens) -> Option<Tokens> {
        self.0.checked_sub(other.0).map(Tokens)
    }
}

/// `-1234567` as `-1,234,567`.
pub(crate) fn group_digits(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if number < 0 {
        grouped.push('-');
    }
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_accepts_grouped_digits_only() {
        assert_eq!(Tokens::parse(" 1,000_000 "), Ok(Tokens(1_000_000)));
        assert_eq!(Tokens::parse("0"), Ok(Tokens(0)));
        for text in ["", " ", "-1", "+1", "1.5", "1e6", "十", "0x10"] {
            assert_eq!(Tokens::parse(text), Err(TokensError::NotANumber), "{text:?}");
        }
        for text in ["1000000000000001", "99999999999999999999"] {
            assert_eq!(Tokens::parse(text), Err(TokensError::TooLarge), "{text:?}");
        }
    }

    #[test]
    fn short_never_rounds_up() {
        for (tokens, short) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1 K"),
            (1_999, "1.99 K"),
            (12_399, "12.3 K"),
            (999_999, "999 K"),
            (1_000_000, "1 M"),
            (1_050_000, "1.05 M"),
            (2_500_000_000, "2.5 B"),
            (-1_234, "-1.23 K"),
        ] {
            assert_eq!(Tokens(tokens).short(), short);
        }
    }

    #[test]
    fn short_counts_as_its_readers_do() {
        for (tokens, short) in [
            (9_999, "9,999"),
            (10_000, "1 万"),
            (123_999, "12.3 万"),
            (1_239_999, "123 万"),
            (12_399_999, "1,230 万"),
            (100_000_000 - 1, "9,990 万"),
            (100_000_000, "1 亿"),
            (2_550_000_000, "25.5 亿"),
            (1_259_000_000_000, "1.25 万亿"),
            (-123_999, "-12.3 万"),
        ] {
            assert_eq!(Tokens(tokens).short_in(Language::Chinese), short);
        }
    }

    #[test]
    fn exact_groups_thousands() {
        for (tokens, exact) in
            [(0, "0"), (999, "999"), (1_000, "1,000"), (-1_234_567, "-1,234,567"), (i64::MIN, "-9,223,372,036,854,775,808")]
        {
            assert_eq!(Tokens(tokens).exact(), exact);
        }
    }
}
