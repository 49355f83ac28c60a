//! What a promotion code takes off the price of a package, and the use of it that an order takes. The checkout asks; nothing here
//! knows of orders but that they are what a use belongs to, and that one which is not paid may still give it back.

use super::{CodeError, begin_try, forget_try_in, take_use_in};
use crate::accounts::rights::Member;
use crate::error::CodeProblem;
use crate::ids::{CodeId, OrderId, PackageId};
use crate::money::Money;
use sqlx::{PgConnection, PgPool};

/// What can be charged in a currency: at least so much, in steps of so much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chargeable {
    pub least_minor: i64,
    pub step_minor: i64,
}

/// What a code is to take something off.
#[derive(Clone, Copy, Debug)]
pub struct Priced<'a> {
    pub package_id: PackageId,
    pub price: &'a Money,
    pub chargeable: Chargeable,
}

/// The promotion code that a customer typed. One that is none counts as a failed try.
pub async fn promotion_by_hash(db: &PgPool, member: &Member, code_hash: &[u8; 32]) -> Result<CodeId, CodeError> {
    let attempt = begin_try(db, member).await?;
    let mut tx = db.begin().await?;
    let code = sqlx::query!("SELECT code_id, kind FROM codes WHERE code_hash = $1", &code_hash[..])
        .fetch_optional(&mut *tx)
        .await?
        .ok_or(CodeProblem::Unknown)?;
    // It is one: whether it takes anything off here is not something to guess.
    forget_try_in(&mut tx, attempt).await?;
    tx.commit().await?;
    if code.kind == "promotion" { Ok(CodeId(code.code_id)) } else { Err(CodeProblem::IsWorthTokens.into()) }
}

/// What a code takes off, in minor units, if this account may use it now.
pub async fn discount_in(tx: &mut PgConnection, member: &Member, code_id: CodeId, priced: &Priced<'_>) -> Result<i64, CodeError> {
    let code = sqlx::query!(
        r#"SELECT percent_off, amount_off_minor, currency, package_ids, disabled_at IS NOT NULL AS "disabled!",
                  coalesce(expires_at <= clock_timestamp(), false) AS "expired!", used >= uses AS "used_up!",
                  EXISTS (SELECT FROM code_redemptions r WHERE r.code_id = c.code_id AND r.account_id = $2) AS "already_used!",
                  EXISTS (SELECT FROM code_redemptions r JOIN orders o USING (order_id)
                           WHERE r.code_id = c.code_id AND r.account_id = $2 AND o.status IN ('created', 'awaiting_payment')) AS "unpaid!"
             FROM codes c WHERE code_id = $1 AND kind = 'promotion'"#,
        code_id.0,
        member.account_id().0
    )
    .fetch_optional(tx)
    .await?
    .ok_or(CodeProblem::Unknown)?;
    let elsewhere = !code.package_ids.is_empty() && !code.package_ids.contains(&priced.package_id.0);
    let problem = match () {
        () if code.disabled => Some(CodeProblem::Disabled),
        () if code.unpaid => Some(CodeProblem::OnUnpaidOrder),
        () if code.already_used => Some(CodeProblem::AlreadyUsed),
        () if code.expired => Some(CodeProblem::Expired),
        () if code.used_up => Some(CodeProblem::UsedUp),
        () if elsewhere || code.currency.is_some_and(|code| code != priced.price.currency.code()) => Some(CodeProblem::NotForPackage),
        () => None,
    };
    match problem {
        Some(problem) => Err(problem.into()),
        None => Ok(off(priced, code.percent_off, code.amount_off_minor)?),
    }
}

/// A part of the price, rounded in the price's favour to what can be charged.
fn off(priced: &Priced<'_>, percent: Option<i32>, amount_minor: Option<i64>) -> Result<i64, CodeProblem> {
    let (list, Chargeable { least_minor, step_minor }) = (priced.price.minor, priced.chargeable);
    let off = match percent {
        Some(percent) => i64::try_from(i128::from(list) * i128::from(percent) / 100).unwrap_or(0),
        None => amount_minor.unwrap_or(0).min(list),
    };
    let rest = (list - off + step_minor - 1) / step_minor * step_minor;
    match list - rest {
        ..1 => Err(CodeProblem::NotForPackage),
        _ if rest < least_minor.max(1) => Err(CodeProblem::TooLittleLeft),
        off => Ok(off),
    }
}

/// Locks a code, after its customer's account: what is read of it from now on stays true.
pub async fn lock_in(tx: &mut PgConnection, code_id: CodeId) -> Result<(), CodeError> {
    sqlx::query!("SELECT code_id FROM codes WHERE code_id = $1 FOR NO KEY UPDATE", code_id.0).fetch_optional(tx).await?;
    Ok(())
}

/// Takes a use of a locked code for an order. The order gives it back when it comes to nothing (trigger `give_code_back`).
pub async fn take_in(tx: &mut PgConnection, member: &Member, code_id: CodeId, order_id: OrderId) -> Result<(), CodeError> {
    take_use_in(tx, member, code_id, Some(order_id)).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Currency;

    #[test]
    fn a_discount_leaves_what_can_be_charged() {
        let usual = Chargeable { least_minor: 50, step_minor: 1 };
        let (yen, dinar) = (Chargeable { least_minor: 50, step_minor: 1 }, Chargeable { least_minor: 1, step_minor: 10 });
        for (list, currency, chargeable, percent, amount, expected) in [
            (500, "usd", usual, Some(20), None, Ok(100)),
            // Rounded in the price's favour.
            (999, "usd", usual, Some(33), None, Ok(329)),
            (500, "usd", usual, None, Some(450), Ok(450)),
            (500, "usd", usual, None, Some(451), Err(CodeProblem::TooLittleLeft)),
            (500, "usd", usual, None, Some(501), Err(CodeProblem::TooLittleLeft)),
            (500, "usd", usual, Some(91), None, Err(CodeProblem::TooLittleLeft)),
            (50, "usd", usual, Some(1), None, Err(CodeProblem::NotForPackage)),
            (2_000, "jpy", yen, Some(15), None, Ok(300)),
            (333, "jpy", yen, Some(50), None, Ok(166)),
            // Three decimals, the last of which is 0 whatever the discount.
            (1_500, "kwd", dinar, Some(15), None, Ok(220)),
            (1_500, "kwd", dinar, None, Some(7), Err(CodeProblem::NotForPackage)),
            (1_500, "kwd", dinar, None, Some(1_495), Ok(1_490)),
            (i64::MAX, "usd", usual, Some(1), None, Ok(i64::MAX / 100)),
        ] {
            let price = Money::new(list, Currency::parse(currency).expect("a code"));
            let priced = Priced { package_id: PackageId::generate(), price: &price, chargeable };
            assert_eq!(off(&priced, percent, amount), expected, "{list} {currency} {percent:?} {amount:?}");
        }
    }
}
