//! From Tokens to lengths: where the ticks of a chart are, how high a value stands. Integers all the way.

use crate::tokens::Tokens;

/// More steps than this above zero are not few.
const MOST_STEPS: i128 = 4;

/// The scale of values from zero to its last tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    step: i128,
    steps: i128,
}

impl Scale {
    /// The smallest scale with round ticks (1, 2 or 5 and zeros) and few of them that reaches `largest`; zero alone when that is all.
    pub fn reaching(largest: Tokens) -> Scale {
        let largest = i128::from(largest.0.max(0));
        let mut power = 1;
        loop {
            for step in [power, 2 * power, 5 * power] {
                let steps = (largest + step - 1) / step;
                if steps <= MOST_STEPS {
                    return Scale { step, steps };
                }
            }
            power *= 10;
        }
    }

    /// The scale whose one step is `largest`: for shapes without ticks.
    pub fn exactly(largest: Tokens) -> Scale {
        Scale { step: i128::from(largest.0.max(1)), steps: 1 }
    }

    /// Its ticks from zero up, all as far from one another. The last may be more than there can be of anything.
    pub fn ticks(self) -> impl Iterator<Item = Tokens> {
        (0..=self.steps).map(move |n| Tokens(i64::try_from(n * self.step).unwrap_or(i64::MAX)))
    }

    /// How many steps it has.
    pub fn steps(self) -> i64 {
        i64::try_from(self.steps).unwrap_or(i64::MAX)
    }

    /// How high `value` stands where the last tick stands at `height`. Nothing is below zero.
    pub fn height(self, value: Tokens, height: i64) -> i64 {
        let value = i128::from(value.0.max(0));
        let scaled = value * i128::from(height) / (self.step * self.steps).max(1);
        i64::try_from(scaled).unwrap_or(height).clamp(0, height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(largest: i64) -> Vec<i64> {
        Scale::reaching(Tokens(largest)).ticks().map(|tick| tick.0).collect()
    }

    #[test]
    fn ticks_are_few_and_round_and_reach_the_largest() {
        assert_eq!(ticks(0), [0]);
        assert_eq!(ticks(1), [0, 1]);
        assert_eq!(ticks(4), [0, 1, 2, 3, 4]);
        assert_eq!(ticks(5), [0, 2, 4, 6]);
        assert_eq!(ticks(100), [0, 50, 100]);
        assert_eq!(ticks(101), [0, 50, 100, 150]);
        assert_eq!(ticks(1_234_567), [0, 500_000, 1_000_000, 1_500_000]);
        assert_eq!(ticks(-5), [0]);
    }

    #[test]
    fn the_most_there_can_be_fits() {
        let scale = Scale::reaching(Tokens(i64::MAX));
        assert_eq!(scale.ticks().last(), Some(Tokens(i64::MAX)));
        assert!((1..=200).contains(&scale.height(Tokens(i64::MAX), 200)));
    }

    #[test]
    fn heights_are_zero_based_and_in_proportion() {
        let scale = Scale::reaching(Tokens(100));
        assert_eq!([-5, 0, 1, 50, 100, 1_000].map(|value| scale.height(Tokens(value), 200)), [0, 0, 2, 100, 200, 200]);
        assert_eq!(Scale::reaching(Tokens(0)).height(Tokens(0), 200), 0);
    }
}
