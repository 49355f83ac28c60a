//! One binary for every test over HTTP: a real port, a real Postgres, no mocks of our own code.
#![expect(clippy::disallowed_methods, clippy::expect_used, clippy::panic, reason = "clippy knows test functions, and not what they share")]

mod accounts;
mod checkout;
mod checkout_again;
mod checkout_receipts;
mod checkout_refund;
mod checkout_stripe;
mod cli;
mod codes;
mod console_headers;
mod console_keys;
mod faults_database;
mod faults_locks;
mod faults_outage;
mod faults_pause;
mod faults_payments;
mod faults_replica;
mod faults_shutdown;
mod gateway_channels;
mod gateway_errors;
mod gateway_exactness;
mod gateway_fidelity;
mod gateway_idempotency;
mod gateway_kill;
mod gateway_limits;
mod gateway_matrix;
mod gateway_messages;
mod gateway_receipts;
mod gateway_sandbox;
mod home;
mod immediacy;
mod payments;
mod payments_refunds;
mod static_files;
mod stripe_sdks;
mod support;
