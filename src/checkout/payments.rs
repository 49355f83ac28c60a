//! The narrow interface to payment providers: open a checkout session for an order. Business code names no provider.

use secrecy::SecretString;

/// Stripe's secrets, checked when the configuration was read.
#[derive(Clone)]
pub struct StripeConfig {
    pub secret_key: SecretString,
    pub webhook_secret: SecretString,
    /// Another address for Stripe's API, for tests.
    pub api_base: Option<String>,
}

/// The provider in use, if any.
#[derive(Clone)]
pub struct Payments;
