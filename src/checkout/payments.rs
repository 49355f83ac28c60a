//! The narrow interface to payment providers: open a checkout session for an order, ask what became of it, give money back. Business
//! code names no provider; what a provider reports back arrives at `webhook`, the same way for all of them.

use crate::checkout::sandbox::SandboxPayments;
use crate::checkout::stripe::{self, StripePayments};
use crate::checkout::types::{PaymentOffer, RefundStatus};
use crate::codes::store::promotions::Chargeable;
use crate::ids::{CustomerId, OrderId, PackageId, RefundId};
use crate::money::{Currency, Money};
use crate::server::config::Config;
use crate::tokens::Tokens;
use secrecy::SecretString;
use serde_json::Value;

/// Stripe's secrets, checked when the configuration was read.
#[derive(Clone)]
pub struct StripeConfig {
    pub secret_key: SecretString,
    /// One, or two separated by a comma while they are rotated.
    pub webhook_secret: SecretString,
    /// Another address for Stripe's API, for tests.
    pub api_base: Option<String>,
}

/// Who moves the money. The name is what `orders.provider` and `payment_events.provider` hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    Stripe,
    Sandbox,
}

impl Provider {
    pub fn as_str(self) -> &'static str {
        match self {
            Provider::Stripe => "stripe",
            Provider::Sandbox => "sandbox",
        }
    }

    pub fn parse(text: &str) -> Option<Provider> {
        [Provider::Stripe, Provider::Sandbox].into_iter().find(|provider| provider.as_str() == text)
    }

    /// An amount as the provider counts it; none = it cannot be paid there.
    pub fn amount_of(self, money: &Money) -> Option<i64> {
        match self {
            Provider::Stripe => stripe::amount_of(money),
            Provider::Sandbox => Some(money.minor),
        }
    }

    /// The most minor units that it can move, of at most these.
    pub fn movable(self, minor: i64, currency: &Currency) -> i64 {
        // No provider's unit is more than a hundred of the currency's.
        let fits = |minor: &i64| self.amount_of(&Money::new(*minor, currency.clone())).is_some();
        (0..100).map(|less| minor - less).find(fits).unwrap_or(minor)
    }

    /// What can be charged in a currency there. Less, the provider refuses.
    pub fn chargeable(self, currency: &Currency) -> Chargeable {
        match self {
            Provider::Stripe => stripe::chargeable(currency),
            Provider::Sandbox => Chargeable { least_minor: 1, step_minor: 1 },
        }
    }

    /// The minor units of an amount as the provider counts it; none = there are no such.
    pub fn minor_of(self, amount: i64, currency: &Currency) -> Option<i64> {
        match self {
            Provider::Stripe => stripe::minor_of(amount, currency),
            Provider::Sandbox => Some(amount),
        }
    }
}

/// What is to be paid: an order's own copy, the same at every attempt.
#[derive(Clone, Debug)]
pub struct Purchase {
    pub order_id: OrderId,
    pub package_id: PackageId,
    pub package_name: String,
    pub tokens: Tokens,
    pub price: Money,
    pub email: String,
}

/// An account as the provider knows it.
#[derive(Clone, Debug)]
pub struct Customer {
    /// With the attempt, also the idempotency key.
    pub customer_id: CustomerId,
    /// Another, after an answer that the provider would give again to the same key.
    pub attempt: i32,
    pub email: String,
    /// What the provider calls it; none = it has not been asked, or has not answered.
    pub provider_id: Option<String>,
}

/// Where a customer pays for one order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckoutSession {
    pub id: String,
    pub url: String,
    /// Whether real money moves; none = the provider does not say.
    pub livemode: Option<bool>,
}

/// Money of one order that is to go back.
#[derive(Clone, Debug)]
pub struct RefundRequest {
    /// With the attempt, also the idempotency key.
    pub refund_id: RefundId,
    /// Another, after an answer that the provider would give again to the same key.
    pub attempt: i32,
    pub order_id: OrderId,
    pub payment_id: String,
    pub amount: Money,
}

/// What the provider says of a refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundAnswer {
    pub id: Option<String>,
    pub status: RefundStatus,
}

/// A page of the provider's events, newest first.
#[derive(Clone, Debug, Default)]
pub struct EventPage {
    pub events: Vec<Value>,
    /// Where the next page starts, if there is one.
    pub after: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum PaymentsError {
    #[error("no payment provider is configured")]
    NotConfigured,
    /// The provider understood and said no; asking again will not help.
    #[error("the payment provider refused: {0}")]
    Refused(String),
    /// The customer was deleted at the provider.
    #[error("the payment provider does not know the customer any more")]
    UnknownCustomer,
    /// The provider knows no such session: it was opened at another account there, or in its other mode. That says nothing of whether
    /// it can be paid: a key that is configured by mistake knows none.
    #[error("the payment provider does not know the session of this order: the key is of another account there, or of its other mode")]
    UnknownSession,
    /// Nobody knows whether it worked. Asking again with the same key is safe.
    #[error("the payment provider could not be reached or failed: {0}")]
    Unreachable(String),
    /// The provider failed, or was asked something else under this key before. It keeps that answer for a day, so that asking again is
    /// asking with another key.
    #[error("the payment provider answers this key so for a day: {0}")]
    KeySpent(String),
}

/// The providers in use. New orders go to Stripe where it is configured, else to the sandbox where that is on.
#[derive(Clone)]
pub enum Payments {
    Stripe(Box<StripePayments>),
    Sandbox(SandboxPayments),
    None,
}

impl Payments {
    pub fn from_config(config: &Config) -> Payments {
        match (&config.stripe, SandboxPayments::from_config(config)) {
            (Some(stripe), _) => match StripePayments::new(stripe, &config.public_url) {
                Ok(stripe) => Payments::Stripe(Box::new(stripe)),
                Err(error) => {
                    tracing::error!(%error, "Stripe is configured, but unusable: no checkout is offered");
                    Payments::None
                }
            },
            (None, Some(sandbox)) => Payments::Sandbox(sandbox),
            (None, None) => Payments::None,
        }
    }

    /// The provider of new orders.
    pub fn provider(&self) -> Option<Provider> {
        match self {
            Payments::Stripe(_) => Some(Provider::Stripe),
            Payments::Sandbox(_) => Some(Provider::Sandbox),
            Payments::None => None,
        }
    }

    pub fn offer(&self) -> PaymentOffer {
        match self {
            Payments::Stripe(_) => PaymentOffer::Stripe,
            Payments::Sandbox(_) => PaymentOffer::Sandbox,
            Payments::None => PaymentOffer::Unavailable,
        }
    }

    /// The mode in which the provider keeps customers: whether real money moves. None = it keeps none.
    pub fn customer_mode(&self, provider: Provider) -> Option<bool> {
        match (self, provider) {
            (Payments::Stripe(stripe), Provider::Stripe) => Some(stripe.livemode()),
            _ => None,
        }
    }

    /// Makes a customer, or finds the one that was made before. Returns what the provider calls it.
    pub async fn make_customer(&self, provider: Provider, customer: &Customer) -> Result<String, PaymentsError> {
        match (self, provider) {
            (Payments::Stripe(stripe), Provider::Stripe) => stripe.make_customer(customer).await,
            _ => Err(PaymentsError::NotConfigured),
        }
    }

    /// Opens the checkout session of an order, or finds the one that was opened before: the order with its customer and the attempt is
    /// the idempotency key.
    pub async fn open(
        &self,
        provider: Provider,
        purchase: &Purchase,
        customer: Option<&Customer>,
        attempt: i32,
    ) -> Result<CheckoutSession, PaymentsError> {
        match (self, provider) {
            (Payments::Stripe(stripe), Provider::Stripe) => stripe.open(purchase, customer, attempt).await,
            (Payments::Sandbox(sandbox), Provider::Sandbox) => Ok(sandbox.open(purchase)),
            // The order was placed before the configuration changed.
            (Payments::Stripe(_) | Payments::Sandbox(_) | Payments::None, _) => Err(PaymentsError::NotConfigured),
        }
    }

    /// An order's session as the provider describes it now. None = it keeps none that could be asked about.
    pub async fn session(&self, provider: Provider, session_id: &str) -> Result<Option<Value>, PaymentsError> {
        match (self, provider) {
            (Payments::Stripe(stripe), Provider::Stripe) => stripe.session(session_id).await.map(Some),
            (_, Provider::Sandbox) => Ok(None),
            (_, Provider::Stripe) => Err(PaymentsError::NotConfigured),
        }
    }

    /// Ends a session that nobody has paid. Refused = it is not open any more. Those of the sandbox end with their orders.
    pub async fn expire(&self, provider: Provider, session_id: &str, key: String) -> Result<(), PaymentsError> {
        match (self, provider) {
            (Payments::Stripe(stripe), Provider::Stripe) => stripe.expire(session_id, key).await,
            (_, Provider::Sandbox) => Ok(()),
            (_, Provider::Stripe) => Err(PaymentsError::NotConfigured),
        }
    }

    /// Gives money back, or finds that it did: the refund with the attempt is the idempotency key. Play money needs nobody.
    pub async fn refund(&self, provider: Provider, request: &RefundRequest) -> Result<RefundAnswer, PaymentsError> {
        match (self, provider) {
            (Payments::Stripe(stripe), Provider::Stripe) => stripe.refund(request).await,
            (_, Provider::Sandbox) => Ok(RefundAnswer { id: None, status: RefundStatus::Succeeded }),
            (_, Provider::Stripe) => Err(PaymentsError::NotConfigured),
        }
    }

    /// A refund that was asked for before, if it was made: the provider forgets idempotency keys after a day.
    pub async fn find_refund(&self, provider: Provider, request: &RefundRequest) -> Result<Option<RefundAnswer>, PaymentsError> {
        match (self, provider) {
            (Payments::Stripe(stripe), Provider::Stripe) => stripe.find_refund(request).await,
            (_, Provider::Sandbox) => Ok(None),
            (_, Provider::Stripe) => Err(PaymentsError::NotConfigured),
        }
    }

    /// A page of the events that concern us, since a moment; `after` = where the page before ended. The sandbox keeps none.
    pub async fn events_since(&self, since_s: i64, after: Option<&str>) -> Result<EventPage, PaymentsError> {
        match self {
            Payments::Stripe(stripe) => stripe.events_since(since_s, after).await,
            Payments::Sandbox(_) | Payments::None => Ok(EventPage::default()),
        }
    }
}
