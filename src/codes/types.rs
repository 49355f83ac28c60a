//! What the session and the wire know of a promotion code that was typed but not used yet: which one, never its text.

use crate::ids::{CodeId, PackageId};
use serde::{Deserialize, Serialize};

/// A promotion code that a customer typed on the confirm page of a package, until an order takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypedCode {
    pub package_id: PackageId,
    pub code_id: CodeId,
}

impl TypedCode {
    /// Under which name the session keeps it.
    pub const KEPT_AS: &'static str = "typed_code";
}

/// What a promotion code takes off, and therefore what an order was confirmed with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discount {
    /// None = no code.
    pub code_id: Option<CodeId>,
    pub minor: i64,
}
