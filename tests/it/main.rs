//! One binary for every test over HTTP: a real port, a real Postgres, no mocks of our own code.

mod checkout;
mod checkout_stripe;
mod console_keys;
mod gateway_errors;
mod gateway_exactness;
mod gateway_matrix;
mod immediacy;
mod support;
