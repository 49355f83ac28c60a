//! What crosses the wire about suppliers and models, and how multipliers are written.

use crate::accounts::types_members::Role;
use crate::docs::types::Reader;
use crate::ids::{KeyId, SupplierId};
use crate::tokens::{Tokens, grouped};
use crate::wallet::types::GrantSource;
use serde::{Deserialize, Serialize};

/// A supplier, to choose from or to name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupplierChoice {
    pub supplier_id: SupplierId,
    pub name: String,
}

/// The page of models.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelList {
    pub models: Vec<ModelView>,
    /// Whether any model can be called, shown here or not.
    pub any: bool,
    /// Of whoever looks; none = nobody is signed in.
    pub role: Option<Role>,
    /// What examples are filled with, but for the model.
    pub reader: Reader,
}

/// A model in the directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelView {
    pub model_id: String,
    pub supplier_name: String,
    pub context: Tokens,
    pub max_output: Tokens,
    pub input_kinds: Vec<String>,
    pub output_kinds: Vec<String>,
    pub price: Multipliers,
    /// Below `/v1/`, the one to begin with first.
    pub endpoints: Vec<String>,
    /// What the reader's account has for it; none = nobody is signed in.
    pub means: Option<Means>,
}

/// What of an account can be used for a model now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Means {
    /// Grants that pay for it, alike ones as one, in the order in which they pay.
    pub grants: Vec<PayingGrant>,
    /// How many keys can call it, and the first of them by name.
    pub keys: i64,
    pub first_keys: Vec<(KeyId, String)>,
}

impl Means {
    /// So many are named.
    pub const FIRST_KEYS: u8 = 3;
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayingGrant {
    /// Of what was bought.
    pub package_name: Option<String>,
    pub source: GrantSource,
    pub left: Tokens,
}

/// Tokens charged for a Token of the model, in parts per million.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Multipliers {
    pub input_ppm: i64,
    pub cached_ppm: i64,
    pub output_ppm: i64,
}

/// `1 ×`, `2.5 ×`, `0.000001 ×`: exact, whatever the parts per million.
pub fn multiplier(ppm: i64) -> String {
    format!("{} ×", millionths(i128::from(ppm)))
}

/// A count of millionths as a decimal number, exact and without trailing zeros: 2,500,000 is `2.5`.
pub fn millionths(count: i128) -> String {
    let whole = grouped(i64::try_from(count / 1_000_000).unwrap_or(i64::MAX));
    match count % 1_000_000 {
        0 => whole.to_string(),
        fraction => {
            let digits = format!("{fraction:06}");
            format!("{whole}.{}", digits.trim_end_matches('0'))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multipliers_are_written_exactly() {
        for (ppm, text) in [
            (0, "0 ×"),
            (1, "0.000001 ×"),
            (100_000, "0.1 ×"),
            (1_000_000, "1 ×"),
            (2_500_000, "2.5 ×"),
            (12_340_000, "12.34 ×"),
            (1_000_000_000, "1,000 ×"),
        ] {
            assert_eq!(multiplier(ppm), text);
        }
    }
}
