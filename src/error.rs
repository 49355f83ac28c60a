//! `ConsoleError`: the closed set of failures a page can show. Codes only: an error travels through URLs that anybody can write,
//! so the sentence is chosen where it is shown (`ui::error_text`), never carried.

use leptos::server_fn::codec::JsonEncoding;
use leptos::server_fn::error::{FromServerFnError, ServerFnErrorErr};
use serde::{Deserialize, Serialize};

/// What a console page can say went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum ConsoleError {
    #[error("sign-in required")]
    SignInRequired,
    #[error("operator required")]
    OperatorRequired,
    #[error("not found")]
    NotFound,
    #[error("invalid {field:?}: {problem:?}")]
    Invalid { field: Field, problem: Problem },
    #[error("wrong e-mail or password")]
    WrongCredentials,
    #[error("wrong current password")]
    WrongPassword,
    #[error("wrong or used code")]
    WrongCode,
    #[error("neither password nor code")]
    WrongProof,
    #[error("two-factor changed since the page was shown")]
    TwoFactorChanged,
    #[error("role does not allow it")]
    NotAllowed,
    #[error("already a member")]
    AlreadyMember,
    #[error("invitation for another address")]
    OtherAddress,
    #[error("the owner stays until the account is handed over")]
    OwnerStays,
    #[error("something has to be settled before the account can be deleted")]
    NotDeletable(Blocker),
    #[error("two-factor required")]
    TwoFactorRequired,
    #[error("the link was used or is too old")]
    LinkOver,
    #[error("e-mail not available for sign-up")]
    EmailUnavailable,
    #[error("too many attempts, wait {wait_s} s")]
    TooManyAttempts { wait_s: u32 },
    #[error("package not on sale")]
    PackageUnavailable,
    #[error("the package changed since the page was shown")]
    PackageChanged,
    #[error("purchase limit reached")]
    PurchaseLimitReached,
    #[error("an order that is not paid yet takes the last place of the purchase limit")]
    LastPlaceUnpaid,
    #[error("the payment of the order is on its way")]
    NotCancellable,
    #[error("the provider does not know the checkout of the order")]
    CheckoutUnknown,
    #[error("the order cannot be refunded by its customer")]
    NotRefundable,
    #[error("the refund window is over")]
    RefundWindowOver,
    #[error("nothing is left to refund")]
    NothingToRefund,
    #[error("what is left changed since the page was shown")]
    RefundChanged,
    #[error("somebody decided about the event since the page was shown")]
    AlreadyDecided,
    #[error("code: {0:?}")]
    Code(CodeProblem),
    #[error("account suspended")]
    AccountSuspended,
    #[error("payments not configured")]
    PaymentsUnavailable,
    #[error("payment provider failed")]
    PaymentProviderFailed,
    #[error("quota below what the key has spent or holds")]
    QuotaBelowUse,
    #[error("supplier not available")]
    SupplierUnavailable,
    #[error("malformed request")]
    BadRequest,
    #[error("server unreachable")]
    Unreachable,
    #[error("database unavailable")]
    Unavailable,
    #[error("internal error")]
    Internal,
}

/// The form field an error belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Field {
    Email,
    Password,
    /// The one that a change is to replace.
    CurrentPassword,
    /// A code of the second factor.
    SecondFactor,
    /// The password, or a code of the second factor.
    Proof,
    Name,
    Quota,
    /// Below which its owner is told.
    BalanceBelow,
    PeriodQuota,
    MonthQuota,
    TimeZone,
    RequestsPerMinute,
    TokensPerMinute,
    ConcurrentCalls,
    Models,
    Networks,
    Expiration,
    /// Those chosen in a list.
    Keys,
    Supplier,
    Status,
    Package,
    Billing,
    Code,
    /// A day of a filter.
    Day,
    Search,
    Role,
    /// The secret of a key, to try it.
    Secret,
    /// What a model is asked.
    Prompt,
    Model,
    /// Why an operator does something.
    Reason,
}

/// What has to be settled before an account can be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Blocker {
    /// Whoever runs the business is taken off it by the command line first.
    Operator,
    /// Others work with the account.
    Members,
    /// An order is still to be paid, or paid and not yet fulfilled.
    Orders,
}

/// Why a code does nothing here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CodeProblem {
    Empty,
    /// Not even the shape of one.
    Malformed,
    Unknown,
    Disabled,
    Expired,
    UsedUp,
    /// By this very account.
    AlreadyUsed,
    /// By this very account, for an order that may still come to nothing.
    OnUnpaidOrder,
    /// It is worth a part of a price, and was typed where Tokens are redeemed.
    TakesOffAPrice,
    /// It is worth Tokens, and was typed where a price is.
    IsWorthTokens,
    NotForPackage,
    /// It leaves less to pay than can be charged.
    TooLittleLeft,
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Problem {
    Empty,
    TooShort,
    TooLong,
    Malformed,
    TooLarge,
    InThePast,
    Unknown,
    /// Among those that are tried first.
    TooCommon,
    /// Ends before it begins.
    Reversed,
}

impl ConsoleError {
    pub fn invalid(field: Field, problem: Problem) -> ConsoleError {
        ConsoleError::Invalid { field, problem }
    }

    /// The field that this error belongs beside, where it belongs beside one.
    pub fn field(self) -> Option<Field> {
        match self {
            ConsoleError::Invalid { field, .. } => Some(field),
            ConsoleError::QuotaBelowUse => Some(Field::Quota),
            ConsoleError::SupplierUnavailable => Some(Field::Supplier),
            ConsoleError::EmailUnavailable => Some(Field::Email),
            ConsoleError::WrongPassword => Some(Field::CurrentPassword),
            ConsoleError::WrongCode => Some(Field::SecondFactor),
            ConsoleError::WrongProof => Some(Field::Proof),
            ConsoleError::Code(_) => Some(Field::Code),
            _ => None,
        }
    }

    /// The HTTP status of a page with it, and for callers that are not a browser's form post (`server::layers`).
    pub fn http_status(self) -> u16 {
        match self {
            ConsoleError::SignInRequired | ConsoleError::WrongCredentials => 401,
            ConsoleError::OperatorRequired
            | ConsoleError::NotAllowed
            | ConsoleError::OtherAddress
            | ConsoleError::TwoFactorRequired
            | ConsoleError::AccountSuspended => 403,
            ConsoleError::NotFound => 404,
            ConsoleError::BadRequest => 400,
            ConsoleError::LinkOver => 410,
            ConsoleError::TooManyAttempts { .. } => 429,
            ConsoleError::TwoFactorChanged
            | ConsoleError::AlreadyMember
            | ConsoleError::OwnerStays
            | ConsoleError::NotDeletable(_)
            | ConsoleError::PackageUnavailable
            | ConsoleError::PackageChanged
            | ConsoleError::PurchaseLimitReached
            | ConsoleError::LastPlaceUnpaid
            | ConsoleError::NotCancellable
            | ConsoleError::CheckoutUnknown
            | ConsoleError::NotRefundable
            | ConsoleError::RefundWindowOver
            | ConsoleError::NothingToRefund
            | ConsoleError::RefundChanged
            | ConsoleError::AlreadyDecided => 409,
            ConsoleError::Invalid { .. }
            | ConsoleError::Code(_)
            | ConsoleError::EmailUnavailable
            | ConsoleError::WrongPassword
            | ConsoleError::WrongCode
            | ConsoleError::WrongProof
            | ConsoleError::QuotaBelowUse
            | ConsoleError::SupplierUnavailable => 422,
            ConsoleError::PaymentProviderFailed => 502,
            ConsoleError::PaymentsUnavailable | ConsoleError::Unreachable | ConsoleError::Unavailable => 503,
            ConsoleError::Internal => 500,
        }
    }
}

impl FromServerFnError for ConsoleError {
    type Encoder = JsonEncoding;

    fn from_server_fn_error(error: ServerFnErrorErr) -> ConsoleError {
        match error {
            ServerFnErrorErr::Args(_) | ServerFnErrorErr::MissingArg(_) | ServerFnErrorErr::Deserialization(_) => ConsoleError::BadRequest,
            ServerFnErrorErr::Request(_) => ConsoleError::Unreachable,
            _ => ConsoleError::Internal,
        }
    }
}

/// A database failure on its way to a page: logged here, once, and told to nobody.
pub fn unavailable(error: &sqlx::Error) -> ConsoleError {
    tracing::error!(%error, "database failed");
    ConsoleError::Unavailable
}
