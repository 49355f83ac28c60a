//! `Tokens`: an amount of Tokens, with the only arithmetic, parsing and formatting there is for it. No floats.

use crate::i18n::Language;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display};

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
        self.grouped().to_string()
    }

    /// [`Tokens::exact`], written where it is to stand: a page has hundreds of amounts, and needs none as a text of its own.
    pub fn grouped(self) -> impl Display {
        grouped(self.0)
    }

    /// At most three significant digits, rounded down so that it never claims more than is there: `1.23 M`, `999`, `12.3 K`.
    pub fn short(self) -> String {
        self.short_in(Language::English).to_string()
    }

    /// The same as readers of a language count: in Chinese `12.3 万`, `1.2 亿`.
    pub fn short_in(self, language: Language) -> impl Display {
        let units = language.choose::<&[(u64, &str)]>(
            &[(1_000_000_000_000, "T"), (1_000_000_000, "B"), (1_000_000, "M"), (1_000, "K")],
            &[(1_000_000_000_000, "万亿"), (100_000_000, "亿"), (10_000, "万")],
        );
        fmt::from_fn(move |out| {
            let magnitude = self.0.unsigned_abs();
            let Some((unit, name)) = units.iter().find(|(unit, _)| magnitude >= *unit) else {
                return write!(out, "{}", self.grouped());
            };
            let sign = if self.0 < 0 { "-" } else { "" };
            // Three digits: behind the point there are never more than hundredths.
            let shown = magnitude - magnitude % 10_u64.pow(magnitude.ilog10().saturating_sub(2));
            write!(out, "{sign}{}", grouped(i64::try_from(shown / unit).unwrap_or(i64::MAX)))?;
            match shown % unit / (unit / 100) {
                0 => {}
                hundredths if hundredths.is_multiple_of(10) => write!(out, ".{}", hundredths / 10)?,
                hundredths => write!(out, ".{hundredths:02}")?,
            }
            write!(out, " {name}")
        })
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

/// `-1234567` as `-1,234,567`. In one piece: pages have thousands.
pub(crate) fn grouped(number: i64) -> impl Display {
    fmt::from_fn(move |out| {
        // Nineteen digits, six commas and a sign.
        let (mut text, mut begin) = ([0_u8; 26], 26);
        let mut put = |byte| {
            begin -= 1;
            text[begin] = byte;
        };
        let mut rest = number.unsigned_abs();
        for place in 1.. {
            put(b'0' + (rest % 10) as u8);
            rest /= 10;
            if rest == 0 {
                break;
            }
            if place % 3 == 0 {
                put(b',');
            }
        }
        if number < 0 {
            put(b'-');
        }
        out.write_str(str::from_utf8(&text[begin..]).unwrap_or_default())
    })
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
            assert_eq!(Tokens(tokens).short_in(Language::Chinese).to_string(), short);
        }
    }

    #[test]
    fn any_amount_is_written_whole_and_short_in_both_languages() {
        for (tokens, exact, english, chinese) in [
            (0, "0", "0", "0"),
            (999, "999", "999", "999"),
            (-999, "-999", "-999", "-999"),
            (1_000, "1,000", "1 K", "1,000"),
            (-1_000, "-1,000", "-1 K", "-1,000"),
            (10_000, "10,000", "10 K", "1 万"),
            (1_000_000, "1,000,000", "1 M", "100 万"),
            (1_050_007, "1,050,007", "1.05 M", "105 万"),
            (-1_234_567, "-1,234,567", "-1.23 M", "-123 万"),
            (i64::MAX, "9,223,372,036,854,775,807", "9,220,000 T", "9,220,000 万亿"),
            (i64::MIN, "-9,223,372,036,854,775,808", "-9,220,000 T", "-9,220,000 万亿"),
        ] {
            let tokens = Tokens(tokens);
            let short = [Language::English, Language::Chinese].map(|language| tokens.short_in(language).to_string());
            assert_eq!((tokens.exact().as_str(), short), (exact, [english.to_string(), chinese.to_string()]));
        }
    }
}
