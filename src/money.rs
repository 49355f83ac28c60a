//! `Money`: an integer of minor units and its ISO 4217 currency. No floats, no exchange rates.

use crate::i18n::Language;
use crate::tokens::{Tokens, grouped};
use serde::{Deserialize, Serialize};

/// A lower-case ISO 4217 code, as Stripe writes it: `usd`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency(String);

/// Why a currency code was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an ISO 4217 currency code of three letters")]
pub struct CurrencyError;

impl Currency {
    pub fn parse(code: &str) -> Result<Currency, CurrencyError> {
        let code = code.trim().to_ascii_lowercase();
        if code.len() == 3 && code.bytes().all(|b| b.is_ascii_lowercase()) { Ok(Currency(code)) } else { Err(CurrencyError) }
    }

    pub fn code(&self) -> &str {
        &self.0
    }

    /// Digits behind the point, as ISO 4217 has them. Payment providers differ in some; that is their business (`checkout::stripe`).
    pub fn decimals(&self) -> u32 {
        match self.0.as_str() {
            "bif" | "clp" | "djf" | "gnf" | "isk" | "jpy" | "kmf" | "krw" | "pyg" | "rwf" | "ugx" | "uyi" | "vnd" | "vuv" | "xaf"
            | "xof" | "xpf" => 0,
            "bhd" | "iqd" | "jod" | "kwd" | "lyd" | "omr" | "tnd" => 3,
            "clf" | "uyw" => 4,
            _ => 2,
        }
    }
}

impl TryFrom<String> for Currency {
    type Error = CurrencyError;

    fn try_from(code: String) -> Result<Currency, CurrencyError> {
        Currency::parse(&code)
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> String {
        currency.0
    }
}

/// A price or a payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    pub minor: i64,
    pub currency: Currency,
}

impl Money {
    pub fn new(minor: i64, currency: Currency) -> Money {
        Money { minor, currency }
    }

    /// `$20.00`, `¥2,000`, `KWD 1.500`: in English, for terminals and files.
    pub fn exact(&self) -> String {
        self.exact_in(Language::English)
    }

    /// As readers of a language write it, by the symbols of CLDR: `$20.00` and `CN¥20.00` are `US$20.00` and `¥20.00` in Chinese.
    pub fn exact_in(&self, language: Language) -> String {
        let decimals = self.currency.decimals();
        let scale = 10_i64.pow(decimals);
        let sign = if self.minor < 0 { "-" } else { "" };
        let magnitude = self.minor.saturating_abs();
        let whole = grouped(magnitude / scale);
        let symbol = match self.currency.code() {
            "usd" => language.choose("$", "US$").to_string(),
            "eur" => "€".to_string(),
            "gbp" => "£".to_string(),
            "jpy" => language.choose("¥", "JP¥").to_string(),
            "cny" => language.choose("CN¥", "¥").to_string(),
            code => format!("{} ", code.to_ascii_uppercase()),
        };
        match decimals {
            0 => format!("{sign}{symbol}{whole}"),
            _ => format!("{sign}{symbol}{whole}.{:0width$}", magnitude % scale, width = decimals as usize),
        }
    }

    /// What a million Tokens cost at this price, rounded up to a minor unit: a comparison must never flatter.
    pub fn per_million(&self, tokens: Tokens) -> Option<Money> {
        let tokens = i128::from(tokens.0);
        if tokens <= 0 {
            return None;
        }
        let minor = (i128::from(self.minor) * 1_000_000 + tokens - 1) / tokens;
        Some(Money::new(i64::try_from(minor).ok()?, self.currency.clone()))
    }

    /// The part of it that `part` of `whole` Tokens stand for, rounded down to a minor unit.
    pub fn share(&self, part: Tokens, whole: Tokens) -> Option<Money> {
        if whole.0 <= 0 || part.0 < 0 || part > whole {
            return None;
        }
        let minor = i128::from(self.minor) * i128::from(part.0) / i128::from(whole.0);
        Some(Money::new(i64::try_from(minor).ok()?, self.currency.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(minor: i64, code: &str) -> Money {
        Money::new(minor, Currency::parse(code).expect("a currency code"))
    }

    #[test]
    fn exact_follows_the_decimals_of_the_currency() {
        for (minor, code, exact) in [
            (2_000, "usd", "$20.00"),
            (5, "usd", "$0.05"),
            (123_456_789, "eur", "€1,234,567.89"),
            (2_000, "jpy", "¥2,000"),
            (1_500, "kwd", "KWD 1.500"),
            (5, "bhd", "BHD 0.005"),
            (1_234_567, "iqd", "IQD 1,234.567"),
            (1_234_567, "krw", "KRW 1,234,567"),
            (2_000, "isk", "ISK 2,000"),
            (2_000, "ugx", "UGX 2,000"),
            (2_000, "mga", "MGA 20.00"),
            (12_345, "clf", "CLF 1.2345"),
            (0, "tnd", "TND 0.000"),
            (-5, "jpy", "-¥5"),
            (-150, "usd", "-$1.50"),
        ] {
            assert_eq!(money(minor, code).exact(), exact);
        }
    }

    #[test]
    fn no_symbol_stands_for_two_currencies_in_a_language() {
        for (minor, code, english, chinese) in [
            (2_000, "usd", "$20.00", "US$20.00"),
            (2_000, "cny", "CN¥20.00", "¥20.00"),
            (2_000, "jpy", "¥2,000", "JP¥2,000"),
            (-150, "usd", "-$1.50", "-US$1.50"),
            (2_000, "eur", "€20.00", "€20.00"),
            (1_500, "kwd", "KWD 1.500", "KWD 1.500"),
        ] {
            let money = money(minor, code);
            assert_eq!((money.exact_in(Language::English).as_str(), money.exact_in(Language::Chinese).as_str()), (english, chinese));
            assert_eq!(money.exact(), english);
        }
    }

    #[test]
    fn per_million_rounds_up() {
        assert_eq!(money(2_000, "usd").per_million(Tokens(10_000_000)), Some(money(200, "usd")));
        assert_eq!(money(1_000, "usd").per_million(Tokens(3_000_000)), Some(money(334, "usd")));
        assert_eq!(money(1_000, "usd").per_million(Tokens(0)), None);
    }

    #[test]
    fn share_rounds_down_to_what_the_currency_has() {
        for (minor, code, part, whole, share) in [
            (500, "usd", 1_000_000, 1_000_000, Some(500)),
            (500, "usd", 999_999, 1_000_000, Some(499)),
            (1_000, "jpy", 1, 3, Some(333)),
            (1_505, "kwd", 2, 3, Some(1_003)),
            (500, "usd", 0, 7, Some(0)),
            (i64::MAX, "usd", 1_000_000_000_000_000, 1_000_000_000_000_000, Some(i64::MAX)),
            (500, "usd", 8, 7, None),
            (500, "usd", 0, 0, None),
            (500, "usd", -1, 7, None),
        ] {
            let found = money(minor, code).share(Tokens(part), Tokens(whole)).map(|money| money.minor);
            assert_eq!(found, share, "{minor} {code} × {part}/{whole}");
        }
    }

    #[test]
    fn currency_refuses_what_is_no_code() {
        for code in ["", "us", "usdd", "u$d", "été"] {
            assert_eq!(Currency::parse(code), Err(CurrencyError), "{code:?}");
        }
        assert_eq!(Currency::parse(" USD ").map(|c| c.code().to_string()), Ok("usd".to_string()));
    }
}
