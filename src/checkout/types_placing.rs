//! What somebody agrees to on the confirm page, and its form.

use crate::catalog::types::PackageCard;
use crate::checkout::types::Start;
use crate::codes::types::{Discount, TypedCode};
use crate::error::{ConsoleError, Field, Problem};
use crate::ids::PackageId;
use crate::money::{Currency, Money};
use crate::tokens::Tokens;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The terms that somebody agrees to: shown on the confirm page, sent back by its form, compared with the package as it is then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    pub tokens: Tokens,
    pub price: Money,
    pub valid_for_s: i64,
    pub rolls_over: bool,
    pub refund_window_s: Option<i64>,
}

impl Terms {
    pub fn of(card: PackageCard) -> Terms {
        let PackageCard { tokens, price, valid_for_s, rolls_over, refund_window_s, .. } = card;
        Terms { tokens, price, valid_for_s, rolls_over, refund_window_s }
    }
}

/// So long a form of another tab is taken for the one that made an order which waits for its payment. Whoever was shown that order sends
/// its own form.
const ONE_ORDER_FOR_S: i64 = 3_600;

/// A confirmed form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRequest {
    pub package_id: PackageId,
    pub form_key: Uuid,
    pub starts: Start,
    pub terms: Terms,
    /// What a promotion code takes off the price.
    pub discount: Discount,
    /// An order like it that is as young and waits for its payment is this one; none = it is another in any case.
    pub one_order_for_s: Option<i64>,
}

/// The terms as a form carries them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TermsForm {
    pub tokens: i64,
    pub price_minor: i64,
    pub currency: String,
    pub valid_for_s: i64,
    #[serde(default)]
    pub rolls_over: bool,
    /// 0 = none.
    #[serde(default)]
    pub refund_window_s: i64,
    #[serde(default)]
    pub discount_minor: i64,
}

impl OrderRequest {
    /// Parses what the confirm page's form posts. No person types these, so a wrong one is a wrong form. Which code the discount is of
    /// is in no form: `typed` is what the session knows.
    pub fn parse(
        package_id: &str,
        form_key: &str,
        starts: &str,
        terms: &TermsForm,
        typed: Option<TypedCode>,
    ) -> Result<OrderRequest, ConsoleError> {
        let package_id = package_id.parse().map_err(|_| ConsoleError::invalid(Field::Package, Problem::Malformed))?;
        let typed = typed.filter(|typed| typed.package_id == package_id);
        Ok(OrderRequest {
            package_id,
            form_key: Uuid::try_parse(form_key).map_err(|_| ConsoleError::BadRequest)?,
            starts: Start::parse(starts).ok_or(ConsoleError::BadRequest)?,
            terms: Terms {
                tokens: Tokens(terms.tokens),
                price: Money::new(terms.price_minor, Currency::parse(&terms.currency).map_err(|_| ConsoleError::BadRequest)?),
                valid_for_s: terms.valid_for_s,
                rolls_over: terms.rolls_over,
                refund_window_s: Some(terms.refund_window_s).filter(|window_s| *window_s != 0),
            },
            discount: Discount { code_id: typed.map(|typed| typed.code_id), minor: terms.discount_minor },
            one_order_for_s: Some(ONE_ORDER_FOR_S),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_request_refuses_a_form_of_somebody_elses_making() {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        let terms = |currency: &str| TermsForm {
            tokens: 1,
            price_minor: 1,
            currency: currency.into(),
            valid_for_s: 60,
            rolls_over: false,
            refund_window_s: 0,
            discount_minor: 0,
        };
        for starts in [Start::Now, Start::AfterCurrent] {
            assert_eq!(OrderRequest::parse(id, id, starts.as_str(), &terms("usd"), None).map(|request| request.starts), Ok(starts));
        }
        let wrong_package = OrderRequest::parse("1", id, "now", &terms("usd"), None);
        assert_eq!(wrong_package, Err(ConsoleError::invalid(Field::Package, Problem::Malformed)));
        for (form_key, starts, currency) in
            [("", "now", "usd"), ("key", "now", "usd"), (id, "", "usd"), (id, "later", "usd"), (id, "now", ""), (id, "now", "dollars")]
        {
            assert_eq!(OrderRequest::parse(id, form_key, starts, &terms(currency), None), Err(ConsoleError::BadRequest));
        }
    }
}
