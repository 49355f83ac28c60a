//! What a call wants more of than is left. To send it again does not help: only Tokens, a higher limit, or another key.

use crate::wallet::ledger::Rates;
use chrono::{DateTime, SecondsFormat, Utc};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exhausted {
    pub budget: Budget,
    /// Where the console is, without a slash at the end.
    pub public_url: String,
    /// What limits the key's calls besides.
    pub rates: Rates,
}

/// Of what too little is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Budget {
    Wallet,
    /// The key's quota for ever.
    Quota,
    /// The key's quota of the day, week or month, until the next begins.
    Period {
        ends_at: DateTime<Utc>,
    },
    /// The limit of the key's member: of the month until the next begins, or for good.
    Member {
        ends_at: Option<DateTime<Utc>>,
    },
    /// Wallet or limits pay for some of the output, but not for what a thinking model needs at least.
    Output {
        affordable: i64,
        least: i64,
    },
}

impl Exhausted {
    /// Which limit it was, who can raise it and where, and where to buy.
    pub fn message(&self) -> String {
        let url = &self.public_url;
        let buy = format!("Tokens are bought at {url}/products.");
        let raise = format!("Whoever made the key, or an admin of the account, raises it at {url}/keys.");
        let ask = format!("An admin of the account sets this limit at {url}/settings/members.");
        match self.budget {
            Budget::Wallet => format!("The wallet has too few Tokens left for this call. Buy a package at {url}/products."),
            Budget::Quota => format!("This API key has too little of its quota left for this call. {raise} {buy}"),
            Budget::Period { ends_at } => {
                format!("This API key has too little left for this call of its quota, which begins anew at {}. {raise} {buy}", at(ends_at))
            }
            Budget::Member { ends_at: None } => {
                format!("The member of this API key has too little left for this call of what they may spend in all. {ask} {buy}")
            }
            Budget::Member { ends_at: Some(ends_at) } => format!(
                "The member of this API key has too little left for this call of what they may spend a month; the next begins at {}. {ask} \
                 {buy}",
                at(ends_at)
            ),
            Budget::Output { affordable, least } => format!(
                "What the wallet, this API key and its member have left pays for {affordable} Tokens of output, and 'thinking.budget_tokens' \
                 makes this call need {least}. Let it think less. {raise} {buy}"
            ),
        }
    }
}

fn at(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_says_where_to_buy() {
        let time = DateTime::UNIX_EPOCH;
        let member = |ends_at| Budget::Member { ends_at };
        for (budget, says) in [
            (Budget::Wallet, "The wallet"),
            (Budget::Quota, "https://toki.example/keys"),
            (Budget::Period { ends_at: time }, "begins anew at 1970-01-01T00:00:00Z"),
            (member(None), "https://toki.example/settings/members"),
            (Budget::Output { affordable: 7, least: 9 }, "pays for 7 Tokens of output"),
            (member(Some(time)), "the next begins at 1970-01-01T00:00:00Z"),
        ] {
            let message = Exhausted { budget, public_url: "https://toki.example".into(), rates: Rates::default() }.message();
            assert!(message.contains(says) && message.contains("https://toki.example/products"), "{message}");
        }
    }
}
