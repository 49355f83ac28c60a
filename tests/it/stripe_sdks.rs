//! The fake Stripe is judged by the official SDKs as its clients: what they read from it, we may rely on.

use crate::support::fake_stripe::FakeStripe;
use std::process::{Command, Stdio};

#[tokio::test]
async fn the_official_sdks_take_the_fake_for_stripe() {
    let stripe = FakeStripe::start().await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/stripe-sdks.sh");
    let address = stripe.base();
    let judged = tokio::task::spawn_blocking(move || Command::new(script).arg(address).stdin(Stdio::null()).output());
    let judged = judged.await.expect("no panic").expect("the script runs");
    let (said, complained) = (String::from_utf8_lossy(&judged.stdout), String::from_utf8_lossy(&judged.stderr));
    assert!(judged.status.success(), "{said}\n{complained}");
    for sdk in ["stripe-python 16.", "stripe-node 23."] {
        assert!(said.contains(sdk), "{said}");
    }
}
