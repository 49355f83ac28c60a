//! What crosses the wire about receipts: seller, customer, amounts with the tax in them.

use crate::error::{ConsoleError, Field, Problem};
use crate::ids::OrderId;
use crate::money::Money;
use crate::tokens::Tokens;
use crate::utc::UtcTime;
use serde::{Deserialize, Serialize};

/// Who sells, as receipts name them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seller {
    pub name: String,
    /// Lines.
    pub address: String,
    pub tax_id: Option<String>,
    /// None = no tax is shown.
    pub tax_rate: Option<TaxRate>,
}

/// In hundredths of a per cent, included in the price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaxRate(pub i32);

impl TaxRate {
    const WHOLE: i32 = 10_000;

    /// `19`, `8.1`, `5.25 %`: 0 to 100 per cent, at most two decimals.
    pub fn parse(text: &str) -> Option<TaxRate> {
        let text = text.strip_suffix('%').unwrap_or(text).trim();
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str, most: usize| !text.is_empty() && text.len() <= most && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole, 3) || !digits(part, 2) {
            return None;
        }
        let rate = whole.parse::<i32>().ok()? * 100 + format!("{part:0<2}").parse::<i32>().ok()?;
        (rate <= TaxRate::WHOLE).then_some(TaxRate(rate))
    }

    /// `19 %`, `8.1 %`
    pub fn words(self) -> String {
        let (whole, part) = (self.0 / 100, self.0 % 100);
        match part {
            0 => format!("{whole} %"),
            part if part % 10 == 0 => format!("{whole}.{} %", part / 10),
            part => format!("{whole}.{part:02} %"),
        }
    }

    /// The tax in an amount, rounded half up to a minor unit.
    pub fn in_minor(self, gross_minor: i64) -> i64 {
        let (rate, divisor) = (i128::from(self.0), i128::from(TaxRate::WHOLE + self.0));
        let tax = (2 * i128::from(gross_minor) * rate + divisor) / (2 * divisor);
        i64::try_from(tax).unwrap_or(0)
    }
}

/// An amount, and what of it is tax.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taxed {
    pub net: Money,
    pub tax: Money,
    pub gross: Money,
}

impl Taxed {
    pub fn new(gross: Money, tax_minor: i64) -> Taxed {
        let money = |minor| Money::new(minor, gross.currency.clone());
        Taxed { net: money(gross.minor - tax_minor), tax: money(tax_minor), gross: gross.clone() }
    }

    /// What goes back.
    pub fn negated(&self) -> Taxed {
        Taxed::new(Money::new(-self.gross.minor, self.gross.currency.clone()), -self.tax.minor)
    }
}

/// What a customer wants receipts to be made out to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BillingDetails {
    pub name: String,
    /// Lines; may be empty.
    pub address: String,
    /// May be empty.
    pub tax_id: String,
}

impl BillingDetails {
    pub fn parse(name: &str, address: &str, tax_id: &str) -> Result<BillingDetails, ConsoleError> {
        let problem = |problem| ConsoleError::invalid(Field::Billing, problem);
        // Browsers end the lines of a text area with CR LF.
        let lines: Vec<_> = address.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let details = BillingDetails { name: name.trim().into(), address: lines.join("\n"), tax_id: tax_id.trim().into() };
        let too_long = |text: &str, most: usize| text.chars().count() > most;
        if details.name.is_empty() {
            Err(problem(Problem::Empty))
        } else if too_long(&details.name, 200) || too_long(&details.address, 500) || too_long(&details.tax_id, 50) {
            Err(problem(Problem::TooLong))
        } else if [&details.name, &details.tax_id].iter().any(|text| text.chars().any(char::is_control))
            || details.address.chars().any(|c| c.is_control() && c != '\n')
        {
            Err(problem(Problem::Malformed))
        } else {
            Ok(details)
        }
    }
}

/// The receipt of a paid order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptView {
    pub order_id: OrderId,
    pub number: String,
    pub paid_at: UtcTime,
    /// Play money.
    pub sandbox: bool,
    /// None = not configured when it was issued, nor since.
    pub seller: Option<Seller>,
    pub email: String,
    /// As the receipt has them; none = they may still be filled in, once.
    pub billing: Option<BillingDetails>,
    /// As the account has them, for the next receipts.
    pub saved: Option<BillingDetails>,
    /// Whether whoever looks may change those.
    pub may_save: bool,
    pub package_name: String,
    pub tokens: Tokens,
    /// What was paid.
    pub price: Taxed,
    /// None = it was bought at its list price.
    pub discounted: Option<Discounted>,
    /// Oldest first.
    pub credit_notes: Vec<CreditNote>,
    /// After credit notes.
    pub total: Taxed,
}

/// A price that a promotion code was taken off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discounted {
    /// Without the code.
    pub list: Taxed,
    /// What the code took off it.
    pub off: Taxed,
}

/// Money of a receipt that went back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditNote {
    pub number: String,
    pub at: UtcTime,
    /// As it was issued: what running calls give back later goes with the refund, and changes no document.
    pub tokens: Tokens,
    pub amount: Taxed,
    /// The refund failed after all: the number stays, and nothing went back.
    pub void: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Currency;

    #[test]
    fn a_rate_is_a_per_cent_with_at_most_two_decimals() {
        for (text, rate) in [
            ("19", Some(1_900)),
            ("8.1", Some(810)),
            ("5.25 %", Some(525)),
            ("0", Some(0)),
            ("100", Some(10_000)),
            ("100.01", None),
            ("-1", None),
            ("5.255", None),
            ("5.", None),
            (".5", None),
            ("", None),
            ("1e1", None),
        ] {
            assert_eq!(TaxRate::parse(text), rate.map(TaxRate), "{text:?}");
        }
        for (rate, words) in [(1_900, "19 %"), (810, "8.1 %"), (525, "5.25 %"), (505, "5.05 %"), (0, "0 %")] {
            assert_eq!(TaxRate(rate).words(), words);
        }
    }

    #[test]
    fn net_and_tax_are_the_gross_in_whatever_units_the_currency_has() {
        for (gross, code, rate, net, tax) in [
            (500, "usd", 1_900, "$4.20", "$0.80"),
            (2_000, "jpy", 1_000, "¥1,818", "¥182"),
            (1_500, "kwd", 500, "KWD 1.429", "KWD 0.071"),
            (1, "usd", 1_900, "$0.01", "$0.00"),
            (999, "eur", 0, "€9.99", "€0.00"),
            (3, "usd", 10_000, "$0.01", "$0.02"),
        ] {
            let money = Money::new(gross, Currency::parse(code).expect("a code"));
            let taxed = Taxed::new(money, TaxRate(rate).in_minor(gross));
            assert_eq!((taxed.net.exact().as_str(), taxed.tax.exact().as_str()), (net, tax), "{gross} {code} {rate}");
            assert_eq!(taxed.net.minor + taxed.tax.minor, gross);
        }
    }

    #[test]
    fn billing_details_are_tidied_and_bounded() {
        let details = BillingDetails::parse(" Ada Ltd ", "Street 1\r\n\r\n  1010 Vienna \r\n", " ATU1 ").expect("details");
        assert_eq!(
            (details.name.as_str(), details.address.as_str(), details.tax_id.as_str()),
            ("Ada Ltd", "Street 1\n1010 Vienna", "ATU1")
        );
        let refused = |name: &str, address: &str, tax_id: &str| BillingDetails::parse(name, address, tax_id).err();
        let problem = |problem| Some(ConsoleError::invalid(Field::Billing, problem));
        assert_eq!(refused("  ", "", ""), problem(Problem::Empty));
        assert_eq!(refused(&"x".repeat(201), "", ""), problem(Problem::TooLong));
        assert_eq!(refused("Ada", &"x".repeat(501), ""), problem(Problem::TooLong));
        assert_eq!(refused("Ada", "", &"x".repeat(51)), problem(Problem::TooLong));
        assert_eq!(refused("A\u{1}da", "", ""), problem(Problem::Malformed));
    }
}
