//! Events on their way to a webhook: signed as Stripe signs them, and lost, repeated, reordered or late on demand.

use super::FakeStripe;
use crate::support::client::http;
use serde_json::{Value, json};
use std::time::Duration;
use toki::checkout::webhook::signature::{sign, verify};

pub const WEBHOOK_SECRET: &str = "whsec_fake_0123456789abcdef";

/// What becomes of the events that wait.
#[derive(Clone, Copy, Debug)]
pub enum Plan {
    InOrder,
    /// They never arrive.
    Lost,
    Twice,
    Reversed,
    Late(Duration),
    /// Signed longer ago than a webhook may believe.
    Stale,
}

impl FakeStripe {
    /// Where events are posted.
    pub fn deliver_to(&self, url: &str) {
        self.inner().endpoint = Some(url.to_string());
    }

    /// Delivers what waits, and says how it was answered. What was not answered 200 waits again, as Stripe tries again.
    pub async fn deliver(&self, plan: Plan) -> Vec<u16> {
        let mut events = std::mem::take(&mut self.inner().outbox);
        match plan {
            Plan::InOrder | Plan::Stale => {}
            Plan::Lost => return Vec::new(),
            Plan::Twice => events = events.into_iter().flat_map(|event| [event.clone(), event]).collect(),
            Plan::Reversed => events.reverse(),
            Plan::Late(time) => tokio::time::sleep(time).await,
        }
        let mut answers = Vec::new();
        for event in events {
            let status = self.deliver_event(&event, plan).await;
            if status != 200 {
                self.inner().outbox.push(event);
            }
            answers.push(status);
        }
        answers
    }

    /// Delivers this one, whether or not it waits, signed as this plan has it.
    pub async fn deliver_event(&self, event: &Value, plan: Plan) -> u16 {
        let url = self.inner().endpoint.clone().expect("an endpoint");
        let (body, now_s) = (event.to_string(), chrono::Utc::now().timestamp());
        let signed_at = if matches!(plan, Plan::Stale) { now_s - 301 } else { now_s };
        post(&url, &body, signature_at(&body, signed_at)).await
    }

    /// The events that wait, oldest first.
    pub fn waiting(&self) -> Vec<Value> {
        self.inner().outbox.clone()
    }

    /// An event about a session as it would be once it is paid, or `change`d from that.
    pub fn event(id: &str, kind: &str, session: &Value, change: Value) -> String {
        let mut object = session.clone();
        object["payment_status"] = json!("paid");
        object["status"] = json!("complete");
        for (name, value) in change.as_object().expect("an object") {
            object[name] = value.clone();
        }
        json!({"id": id, "object": "event", "api_version": "2030-01-01.later", "type": kind, "data": {"object": object}}).to_string()
    }

    /// The header that Stripe sends with this body.
    pub fn signature(body: &str) -> String {
        signature(body)
    }
}

/// Posts an event as Stripe does. 0 = nobody answered.
pub async fn post(url: &str, body: &str, signature: String) -> u16 {
    let request = http().post(url).header("stripe-signature", signature).header("content-type", "application/json");
    request.body(body.to_string()).send().await.map_or(0, |answer| answer.status().as_u16())
}

pub fn signature(body: &str) -> String {
    signature_at(body, chrono::Utc::now().timestamp())
}

/// While secrets are rotated there are two signatures: by one that we do not know, and by ours.
fn signature_at(body: &str, at_s: i64) -> String {
    let by = |secret: &str| sign(secret.as_bytes(), body.as_bytes(), at_s).expect("signed");
    let other = by("whsec_unknown_0123456789");
    format!("{other},{}", by(WEBHOOK_SECRET).split_once(',').expect("two parts").1)
}

pub fn is_accepted(header: &str, body: &str) -> bool {
    verify(&[(WEBHOOK_SECRET, ())], header, body.as_bytes(), chrono::Utc::now().timestamp()).is_ok()
}
