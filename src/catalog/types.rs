//! What crosses the wire of `catalog`, and which package is the best value.

use crate::ids::PackageId;
use crate::money::Money;
use crate::tokens::Tokens;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// A package as the Product Center shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageCard {
    pub package_id: PackageId,
    pub name: String,
    pub tokens: Tokens,
    pub price: Money,
    pub valid_for_s: i64,
    /// Empty = every supplier.
    pub supplier_names: Vec<String>,
    /// Empty = every model.
    pub model_ids: Vec<String>,
    /// Most orders of one account; none = as many as it likes.
    pub purchase_limit: Option<i32>,
    /// In any so many seconds; none = ever.
    pub limit_period_s: Option<i64>,
    /// Whether buying it again takes over what is left of the last one.
    pub rolls_over: bool,
    /// How long after the payment a customer may give the unused part back; none = not by themselves.
    pub refund_window_s: Option<i64>,
    pub best_value: bool,
}

impl PackageCard {
    /// Compares what one Token costs, without dividing. Only meaningful within one currency.
    fn cmp_value(&self, other: &PackageCard) -> Ordering {
        let price = |card: &PackageCard, tokens: Tokens| i128::from(card.price.minor) * i128::from(tokens.0);
        price(self, other.tokens).cmp(&price(other, self.tokens))
    }
}

/// Sorts by the price of a Token, cheapest first, one currency after the other, and marks the cheapest of each currency, where
/// there is a dearer one to compare it with.
pub fn rank(cards: &mut [PackageCard]) {
    let currency = |card: &PackageCard| card.price.currency.code().to_string();
    cards.sort_by(|a, b| {
        currency(a).cmp(&currency(b)).then_with(|| a.cmp_value(b)).then_with(|| a.tokens.cmp(&b.tokens)).then_with(|| a.name.cmp(&b.name))
    });
    for group in cards.chunk_by_mut(|a, b| a.price.currency == b.price.currency) {
        let (Some(cheapest), Some(dearest)) = (group.first().cloned(), group.last().cloned()) else { continue };
        let differ = cheapest.cmp_value(&dearest) == Ordering::Less;
        for card in group {
            card.best_value = differ && card.cmp_value(&cheapest) == Ordering::Equal;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Currency;
    use uuid::Uuid;

    fn card(name: &str, tokens: i64, minor: i64, currency: &str) -> PackageCard {
        PackageCard {
            package_id: PackageId(Uuid::nil()),
            name: name.into(),
            tokens: Tokens(tokens),
            price: Money::new(minor, Currency::parse(currency).expect("a code")),
            valid_for_s: 86_400,
            supplier_names: Vec::new(),
            model_ids: Vec::new(),
            purchase_limit: None,
            limit_period_s: None,
            rolls_over: false,
            refund_window_s: None,
            best_value: false,
        }
    }

    fn ranked(mut cards: Vec<PackageCard>) -> Vec<(String, bool)> {
        rank(&mut cards);
        cards.into_iter().map(|card| (card.name, card.best_value)).collect()
    }

    fn names(expected: &[(&str, bool)]) -> Vec<(String, bool)> {
        expected.iter().map(|(name, best)| (name.to_string(), *best)).collect()
    }

    #[test]
    fn rank_sorts_by_the_price_of_a_token_and_marks_the_cheapest() {
        let cards = vec![card("small", 1_000_000, 500, "usd"), card("large", 10_000_000, 2_000, "usd"), card("mid", 2_000_000, 900, "usd")];
        assert_eq!(ranked(cards), names(&[("large", true), ("mid", false), ("small", false)]));
    }

    #[test]
    fn rank_tells_apart_what_rounding_would_not() {
        // Both cost $0.01 per million after rounding up.
        let cards = vec![card("a", 1_000_000_000_000_000, 3, "usd"), card("b", 1_000_000_000_000_000, 2, "usd")];
        assert_eq!(ranked(cards), names(&[("b", true), ("a", false)]));
    }

    #[test]
    fn rank_marks_nothing_where_nothing_is_dearer() {
        assert_eq!(ranked(vec![card("only", 1, 1, "usd")]), names(&[("only", false)]));
        assert_eq!(ranked(vec![card("b", 2, 2, "usd"), card("a", 1, 1, "usd")]), names(&[("a", false), ("b", false)]));
        assert_eq!(ranked(Vec::new()), Vec::new());
    }

    #[test]
    fn rank_compares_within_a_currency_only() {
        let cards = vec![card("usd", 100, 1, "usd"), card("eur dear", 100, 9, "eur"), card("eur", 100, 5, "eur")];
        assert_eq!(ranked(cards), names(&[("eur", true), ("eur dear", false), ("usd", false)]));
    }
}
