//! From what a supplier reports to what is charged. Pure, integers only.

use crate::tokens::Tokens;
use crate::wallet::ledger::Price;

/// No honest call has more; larger reports are taken for damage.
const MOST_TOKENS: i64 = 1_000_000_000;

/// Model Tokens of one call, by kind. `cached` is a part of `input`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub input: i64,
    pub cached: i64,
    pub output: i64,
}

impl Usage {
    /// What a supplier reported; None when it is absurd: then the call is counted instead.
    pub fn sane(input: i64, cached: i64, output: i64) -> Option<Usage> {
        let sane = (0..=MOST_TOKENS).contains(&input) && (0..=MOST_TOKENS).contains(&output) && (0..=input).contains(&cached);
        sane.then_some(Usage { input, cached, output })
    }

    /// The charge: the weighted sum in parts per million, rounded up once.
    pub fn charge(self, price: Price) -> Tokens {
        let micro = i128::from(self.input - self.cached) * i128::from(price.input_ppm)
            + i128::from(self.cached) * i128::from(price.cached_ppm)
            + i128::from(self.output) * i128::from(price.output_ppm);
        Tokens(i64::try_from((micro + 999_999) / 1_000_000).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn charge_rounds_up_once() {
        let price = |input_ppm, cached_ppm, output_ppm| Price { input_ppm, cached_ppm, output_ppm };
        for (usage, price, charge) in [
            ((10, 0, 20), price(1_000_000, 1_000_000, 1_000_000), 30),
            ((10, 4, 20), price(1_000_000, 500_000, 2_000_000), 48),
            ((1, 0, 1), price(1, 1, 1), 1),
            ((0, 0, 0), price(1_000_000, 1_000_000, 1_000_000), 0),
            ((3, 0, 0), price(500_000, 0, 0), 2),
        ] {
            let usage = Usage { input: usage.0, cached: usage.1, output: usage.2 };
            assert_eq!(usage.charge(price), Tokens(charge), "{usage:?}");
        }
    }

    proptest! {
        #[test]
        fn charge_grows_with_every_kind(input in 0..=MOST_TOKENS, output in 0..=MOST_TOKENS, cached in 0..=MOST_TOKENS, input_ppm in 0..=1_000_000_000_i64, output_ppm in 0..=1_000_000_000_i64) {
            let cached = cached.min(input);
            let price = Price { input_ppm, cached_ppm: input_ppm / 2, output_ppm };
            let usage = Usage { input, cached, output };
            let charge = usage.charge(price);
            prop_assert!(charge >= Tokens(0));
            let (longer, fresh) = (Usage { output: output + 1, ..usage }, Usage { cached: 0, ..usage });
            prop_assert!(longer.charge(price) >= charge);
            // Cached input never costs more than fresh input, so a hold on fresh input covers it.
            prop_assert!(fresh.charge(price) >= charge);
        }
    }
}
