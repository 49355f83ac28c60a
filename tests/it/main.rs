//! One binary for every test over HTTP: a real port, a real Postgres, no mocks of our own code.
#![expect(clippy::disallowed_methods, clippy::expect_used, clippy::panic, reason = "clippy knows test functions, and not what they share")]

mod accounts;
mod accounts_mail;
mod accounts_races;
mod accounts_settings;
mod accounts_two_factor;
mod audit_nightly;
mod benchmarks;
mod canary;
mod checkout;
mod checkout_again;
mod checkout_cancel;
mod checkout_receipts;
mod checkout_refund;
mod checkout_stripe;
mod cli;
mod codes;
mod console_headers;
mod console_keys;
mod console_keys_list;
mod console_keys_try;
mod console_models;
mod docs;
mod doctor_probe;
mod edge;
mod edge_bodies;
mod edge_connections;
mod edge_proxies;
mod edge_slow;
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
mod gateway_flood;
mod gateway_idempotency;
mod gateway_kill;
mod gateway_limits;
mod gateway_matrix;
mod gateway_messages;
mod gateway_receipts;
mod gateway_sandbox;
mod home;
mod hostile;
mod immediacy;
mod journal;
mod live;
mod mail;
mod members;
mod members_limits;
mod members_roles;
mod notices;
#[path = "../tidy/routes.rs"]
#[expect(dead_code, reason = "tests/surface.rs says where routes are, too")]
mod other_routes;
mod payments;
mod payments_again;
mod payments_asked;
mod payments_bank;
mod payments_operator;
mod payments_refunds;
mod payments_versions;
mod routes;
mod routes_gets;
mod routes_posts;
mod routes_roles;
mod search;
mod secrets;
mod security;
#[path = "../tidy/server_fns.rs"]
#[expect(dead_code, reason = "the checks in it run in tests/tidy")]
mod server_fns;
#[path = "../tidy/source.rs"]
#[expect(dead_code, reason = "shared with tests/tidy, which needs more of it")]
mod source;
mod static_files;
mod stripe_sdks;
mod style_guide;
mod suppliers_reach;
mod support;
mod usage;
mod wallet;
