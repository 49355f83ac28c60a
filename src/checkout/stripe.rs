//! Stripe Checkout through async-stripe. Only opens sessions; what becomes of them comes back through `webhook`.

use crate::checkout::payments::{CheckoutSession, PaymentsError, Purchase, StripeConfig};
use secrecy::ExposeSecret;
use std::collections::HashMap;
use std::time::Duration;
use stripe::{Client, ClientBuilder, IdempotencyKey, RequestStrategy, StripeError, StripeRequest};
use stripe_checkout::CheckoutSessionMode;
use stripe_checkout::checkout_session::{
    CreateCheckoutSession, CreateCheckoutSessionLineItems, CreateCheckoutSessionLineItemsPriceData, ProductData,
};
use url::Url;

/// How long one attempt may take.
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub struct StripePayments {
    client: Client,
    public_url: Url,
}

impl StripePayments {
    pub fn new(config: &StripeConfig, public_url: &Url) -> Result<StripePayments, PaymentsError> {
        let mut builder = ClientBuilder::new(config.secret_key.expose_secret()).timeout(TIMEOUT);
        if let Some(base) = &config.api_base {
            // The client appends `v1/…` to it.
            builder = builder.url(format!("{}/", base.trim_end_matches('/')));
        }
        let client = builder.build().map_err(|error| PaymentsError::Refused(error.to_string()))?;
        Ok(StripePayments { client, public_url: public_url.clone() })
    }

    pub async fn open(&self, purchase: &Purchase) -> Result<CheckoutSession, PaymentsError> {
        let key = IdempotencyKey::new(purchase.order_id.to_string()).map_err(|error| PaymentsError::Refused(error.to_string()))?;
        // Read as plain JSON, for the two fields we need: the client's own type refuses an answer that lacks any of a dozen others.
        let session = self
            .request(purchase)
            .build()
            .customize::<miniserde::json::Object>()
            .request_strategy(RequestStrategy::Idempotent(key))
            .send(&self.client)
            .await
            .map_err(payments_error)?;
        match (session.get("id"), session.get("url")) {
            (Some(miniserde::json::Value::String(id)), Some(miniserde::json::Value::String(url))) => {
                Ok(CheckoutSession { id: id.clone(), url: url.clone() })
            }
            // A session that is over has no address (its order was closed meanwhile).
            _ => Err(PaymentsError::Unreachable("the session has no id or no url".into())),
        }
    }

    fn request(&self, purchase: &Purchase) -> CreateCheckoutSession {
        let order_id = purchase.order_id.to_string();
        let mut product = ProductData::new(purchase.package_name.clone());
        product.description = Some(format!("{} Tokens", purchase.tokens.exact()));
        let price = CreateCheckoutSessionLineItemsPriceData {
            // Never fails: what the client does not know, it passes on.
            currency: purchase.price.currency.code().parse().unwrap_or_else(|error: std::convert::Infallible| match error {}),
            product: None,
            product_data: Some(product),
            recurring: None,
            tax_behavior: None,
            unit_amount: Some(purchase.price.minor),
            unit_amount_decimal: None,
        };
        let mut item = CreateCheckoutSessionLineItems::new();
        item.price_data = Some(price);
        item.quantity = Some(1);
        CreateCheckoutSession::new()
            .mode(CheckoutSessionMode::Payment)
            .line_items(vec![item])
            .client_reference_id(order_id.clone())
            .metadata(HashMap::from([("order_id".to_string(), order_id)]))
            .customer_email(purchase.email.clone())
            .success_url(self.page(&format!("/orders/{}", purchase.order_id)))
            .cancel_url(self.page(&format!("/products/{}/confirm", purchase.package_id)))
    }

    fn page(&self, path: &str) -> String {
        format!("{}{path}", self.public_url.as_str().trim_end_matches('/'))
    }
}

/// A 409 is Stripe still working on the same order; a 429 and a 5xx may pass; every other answer is a decision.
fn payments_error(error: StripeError) -> PaymentsError {
    match error {
        StripeError::Stripe(reported, status) if status != 409 && status != 429 && status < 500 => {
            PaymentsError::Refused(format!("{status} {}", reported.message.unwrap_or_default()))
        }
        StripeError::Stripe(_, status) => PaymentsError::Unreachable(format!("status {status}")),
        StripeError::ConfigError(problem) => PaymentsError::Refused(problem),
        StripeError::JSONDeserialize(problem) | StripeError::ClientError(problem) => PaymentsError::Unreachable(problem),
        StripeError::Timeout => PaymentsError::Unreachable("timed out".into()),
    }
}
