//! Draws limits of calls, small enough to be reached. Of a minute, a request and a Token are each a whole number of microseconds, and a
//! number of seconds that a float has exactly: what the database makes of it by way of one is then the same.

use super::any_key;
use crate::dice::Dice;
use crate::model::{CallLimits, Model};
use crate::op::{Op, Subject};

const REQUESTS: [i64; 6] = [1, 2, 3, 4, 6, 12];
const TOKENS: [i64; 6] = [30, 60, 120, 240, 480, 960];

/// Accounts, rarer, have the larger ones.
pub fn limit_calls(dice: &mut Dice, model: &Model) -> Option<Op> {
    let of_account = dice.percent(30);
    let from = if of_account { 3 } else { 0 };
    let subject = if of_account { Subject::Account(dice.pick(&model.accounts)?.account_id) } else { Subject::Key(any_key(dice, model)?.1) };
    let mut limits = CallLimits::default();
    if dice.percent(70) {
        limits.requests = dice.pick(&REQUESTS[from..]).copied().filter(|_| dice.percent(60));
        limits.tokens = dice.pick(&TOKENS[from..]).copied().filter(|_| dice.percent(65));
        limits.calls = Some(dice.between(1, 3) + from as i64).filter(|_| dice.percent(65));
    }
    Some(Op::LimitCalls { subject, limits })
}
