//! What a call wants more of than is left. To send it again does not help: only Tokens, a higher limit, or another key.

use chrono::{DateTime, SecondsFormat, Utc};

/// Where a refusal for lack of Tokens sends people.
const BUY_PATH: &str = "/products";

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exhausted {
    Balance {
        public_url: String,
    },
    Quota,
    /// The key's quota of the day, week or month, until the next begins.
    Period {
        ends_at: DateTime<Utc>,
    },
    /// The limit of the key's member: of the month until the next begins, or for good.
    Member {
        ends_at: Option<DateTime<Utc>>,
    },
}

impl Exhausted {
    pub fn message(&self) -> String {
        match self {
            Exhausted::Balance { public_url } => {
                format!("The wallet has too few Tokens left for this call. Buy a package at {public_url}{BUY_PATH}.")
            }
            Exhausted::Quota => {
                "This API key has too little of its quota left for this call. Raise the quota in the console, or use another key.".into()
            }
            Exhausted::Period { ends_at } => format!(
                "This API key has too little left for this call of its quota, which begins anew at {}. Raise it in the console, or use \
                 another key.",
                ends_at.to_rfc3339_opts(SecondsFormat::Secs, true)
            ),
            Exhausted::Member { ends_at: None } => "The member of this API key has too little left for this call of what they may spend \
                 in all. An admin of the account sets this limit in the console."
                .into(),
            Exhausted::Member { ends_at: Some(ends_at) } => format!(
                "The member of this API key has too little left for this call of what they may spend a month; the next begins at {}. An \
                 admin of the account sets this limit in the console.",
                ends_at.to_rfc3339_opts(SecondsFormat::Secs, true)
            ),
        }
    }
}
