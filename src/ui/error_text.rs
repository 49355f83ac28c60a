//! The sentence for each `ConsoleError`: what happened, what was not lost, what to do.

use crate::error::{Blocker, CodeProblem, ConsoleError, Field, Problem};
use crate::t;

pub fn sentence(error: ConsoleError) -> String {
    match error {
        ConsoleError::SignInRequired => t!("Sign in to continue.").into(),
        ConsoleError::OperatorRequired => t!("Only operators can do this.").into(),
        ConsoleError::NotFound => t!("This does not exist, or it belongs to another account.").into(),
        ConsoleError::Invalid { field, problem } => field_sentence(field, problem).into(),
        ConsoleError::WrongCredentials => t!("E-mail or password is wrong.").into(),
        ConsoleError::WrongPassword => t!("This is not your current password. Nothing was changed.").into(),
        ConsoleError::LinkOver => t!("This link was used already, or is too old. Nothing was changed; ask for a new one.").into(),
        ConsoleError::EmailUnavailable => t!("This address cannot be used to sign up. If it is yours, sign in instead.").into(),
        ConsoleError::WrongCode => t!("This code is wrong, too old, or was used already. Wait for the next one and type that.").into(),
        ConsoleError::WrongProof => t!("This is neither your password nor a code that works now. Nothing was changed.").into(),
        ConsoleError::TwoFactorChanged => {
            t!("Two-factor has changed since you opened this page. Nothing was changed now; see below.").into()
        }
        ConsoleError::AlreadyDecided => {
            t!("Somebody has decided about this event since you opened the page. Nothing was changed now.").into()
        }
        ConsoleError::TwoFactorRequired => t!("Operators sign in with a second factor. Set it up first.").into(),
        ConsoleError::NotAllowed => {
            t!("Your role in this account does not allow this. Nothing was changed; ask an admin of the account.").into()
        }
        ConsoleError::AlreadyMember => t!("This address belongs to the account already.").into(),
        ConsoleError::OtherAddress => t!("This invitation is for another address. Sign in with that one.").into(),
        ConsoleError::NotDeletable(Blocker::Operator) => t!("An operator is not deleted. Nothing was changed.").into(),
        ConsoleError::NotDeletable(Blocker::Members) => t!("Others work with this account. Nothing was changed.").into(),
        ConsoleError::NotDeletable(Blocker::Orders) => t!("An order is still open. Nothing was changed.").into(),
        ConsoleError::OwnerStays => t!("The owner of an account stays until they hand it over. Nothing was changed.").into(),
        ConsoleError::TooManyAttempts { wait_s } if wait_s > 120 => {
            t!("Too many attempts. Try again in {minutes} minutes.", minutes = wait_s.div_ceil(60))
        }
        ConsoleError::TooManyAttempts { wait_s } => t!("Too many attempts. Try again in {seconds} seconds.", seconds = wait_s),
        ConsoleError::PackageUnavailable => t!("This package is not on sale any more. Nothing was charged.").into(),
        ConsoleError::PackageChanged => {
            t!("The package has changed since you opened this page. Nothing was charged; check the new terms below.").into()
        }
        ConsoleError::PurchaseLimitReached => t!("You have bought this package as often as it allows. Nothing was charged.").into(),
        ConsoleError::LastPlaceUnpaid => {
            t!("An order of yours that is not paid yet takes the last place. Nothing was charged; look at your orders.").into()
        }
        ConsoleError::NotCancellable => {
            t!("Your bank is processing the payment of this order, so it cannot be cancelled. Nothing was changed.").into()
        }
        ConsoleError::CheckoutUnknown => {
            t!("The payment provider does not know the checkout of this order. Nothing was changed; unpaid, it closes by itself in a day \
                or two.")
            .into()
        }
        ConsoleError::NotRefundable => t!("This order cannot be refunded here as it stands. Nothing was changed; ask support.").into(),
        ConsoleError::RefundWindowOver => {
            t!("The time in which you could return unused Tokens of this order is over. Nothing was changed; ask support.").into()
        }
        ConsoleError::NothingToRefund => t!("No Tokens of this order are left that could be returned. Nothing was changed.").into(),
        ConsoleError::RefundChanged => {
            t!("What is left of these Tokens has changed since you opened this page. Nothing was returned; check the new amount below.")
                .into()
        }
        ConsoleError::Code(problem) => code_sentence(problem).into(),
        ConsoleError::AccountSuspended => t!("This account is suspended. Nothing was charged; contact support.").into(),
        ConsoleError::PaymentsUnavailable => t!("Payments are not set up on this server. Nothing was charged.").into(),
        ConsoleError::PaymentProviderFailed => {
            t!("The payment provider did not answer. Nothing was charged; try again in a moment.").into()
        }
        ConsoleError::QuotaBelowUse => {
            t!("The quota is below what this key has spent or is holding for running calls. The key is unchanged.").into()
        }
        ConsoleError::SupplierUnavailable => t!("This supplier is not available. Choose another.").into(),
        ConsoleError::BadRequest => t!("The form could not be read. Nothing was changed; reload the page and try again.").into(),
        ConsoleError::Unreachable => {
            t!("The server could not be reached. Nothing was changed as far as we know; check and try again.").into()
        }
        ConsoleError::Unavailable => t!("The service is unavailable for the moment. Nothing was changed; try again shortly.").into(),
        ConsoleError::Internal => {
            t!("Something went wrong on our side. Nothing was changed; try again, and tell support if it stays.").into()
        }
    }
}

fn code_sentence(problem: CodeProblem) -> &'static str {
    match problem {
        CodeProblem::Empty => t!("Enter a code."),
        CodeProblem::Malformed => t!("This is no code: one has 20 letters and digits. Check it, letter by letter."),
        CodeProblem::Unknown => t!("There is no such code. Check it, letter by letter."),
        CodeProblem::Disabled => t!("This code was taken back and is worth nothing any more."),
        CodeProblem::Expired => t!("This code has expired."),
        CodeProblem::UsedUp => t!("This code was used as often as it may be."),
        CodeProblem::AlreadyUsed => t!("Your account has used this code, and may use it once."),
        CodeProblem::OnUnpaidOrder => t!("An order of yours that is not paid yet has this code."),
        CodeProblem::TakesOffAPrice => t!("This code takes something off a price: type it where you confirm an order."),
        CodeProblem::IsWorthTokens => t!("This code is worth Tokens, not a part of a price: redeem it in your wallet."),
        CodeProblem::NotForPackage => t!("This code takes nothing off the price of this package."),
        CodeProblem::TooLittleLeft => {
            t!("With this code less would be left to pay than the payment provider can charge, so it cannot be used on this package.")
        }
    }
}

fn field_sentence(field: Field, problem: Problem) -> &'static str {
    match (field, problem) {
        (Field::Email, Problem::Empty) => t!("Enter your e-mail address."),
        (Field::Email, Problem::TooLong) => t!("An e-mail address has at most 254 characters."),
        (Field::Email, _) => t!("Enter an e-mail address like name@example.com."),
        (Field::Password, Problem::Empty) => t!("Enter a password."),
        (Field::Password, Problem::TooShort) => t!("A password has at least 8 characters."),
        (Field::Password, Problem::TooCommon) => {
            t!("This password is among those that are tried first. Choose another, such as four words that have nothing to do with \
                 each other.")
        }
        (Field::CurrentPassword, _) => t!("Enter your current password."),
        (Field::Password, _) => t!("A password has at most 1,024 bytes."),
        (Field::Name, Problem::Empty) => t!("Give it a name."),
        (Field::Name, _) => t!("A name has at most 100 characters."),
        (Field::Quota | Field::MonthQuota, Problem::TooLarge) => t!("A quota is at most 1,000,000,000,000,000 Tokens."),
        (Field::Quota, _) => t!("Enter a whole number of Tokens, or leave it empty for no limit of its own."),
        (Field::MonthQuota, _) => t!("Enter a whole number of Tokens, or leave it empty for no limit."),
        (Field::BalanceBelow, Problem::TooLarge) => t!("A balance is at most 1,000,000,000,000,000 Tokens."),
        (Field::BalanceBelow, _) => t!("Enter a whole number of Tokens from 1, or leave it empty."),
        (Field::PeriodQuota, Problem::TooLarge) => t!("A quota is at most 1,000,000,000,000,000 Tokens."),
        (Field::PeriodQuota, Problem::Malformed) => t!("Enter a whole number of Tokens."),
        (Field::PeriodQuota, _) => t!("Choose a period and how many Tokens it has, or neither."),
        (Field::TimeZone, _) => t!("Enter a time zone like Europe/Zurich or UTC."),
        (Field::RequestsPerMinute, Problem::TooLarge) => t!("A limit is at most 1,000,000 calls a minute."),
        (Field::TokensPerMinute, Problem::TooLarge) => t!("A limit is at most 1,000,000,000,000 Tokens a minute."),
        (Field::ConcurrentCalls, Problem::TooLarge) => t!("A limit is at most 100,000 calls at once."),
        (Field::SecondFactor, _) => t!("Enter the six digits that your authenticator shows, or a recovery code."),
        (Field::Proof, _) => t!("Enter your password, or the six digits that your authenticator shows."),
        (Field::RequestsPerMinute | Field::TokensPerMinute | Field::ConcurrentCalls, _) => {
            t!("Enter a whole number from 1, or leave it empty for no limit.")
        }
        (Field::Role, _) => t!("Choose a role from the list."),
        (Field::Models, Problem::TooLarge) => t!("A key is limited to at most 200 models."),
        (Field::Models, _) => t!("One of these models does not exist. The page of models lists them all."),
        (Field::Networks, Problem::TooLarge) => t!("A key is limited to at most 100 networks."),
        (Field::Networks, _) => t!("Enter networks like 203.0.113.0/24, or single addresses."),
        (Field::Expiration, Problem::Empty) => t!("Enter the last day on which the key works."),
        (Field::Expiration, Problem::Unknown) => t!("Enter days like 2026-12-24."),
        (Field::Expiration, Problem::InThePast) => t!("The expiration must be in the future."),
        (Field::Expiration, _) => t!("Enter a date and time in UTC, or leave it empty for a key that never expires."),
        (Field::Keys, Problem::TooLarge) => t!("Choose at most 100 keys at once. Nothing was changed."),
        (Field::Keys, _) => t!("Choose at least one key. Nothing was changed."),
        (Field::Supplier, _) => t!("Choose a supplier from the list."),
        (Field::Status, _) => t!("Choose enabled or disabled."),
        (Field::Billing, Problem::Empty) => t!("Enter the name that receipts are to be made out to."),
        (Field::Billing, Problem::TooLong) => t!("A name has at most 200 characters, an address 500, a tax number 50."),
        (Field::Billing, _) => t!("Billing details are plain text."),
        (Field::Code, _) => t!("Enter a code."),
        (Field::Package, _) => t!("Choose a package from the Product Center."),
        (Field::Day, Problem::Reversed) => t!("The last day comes before the first."),
        (Field::Day, Problem::TooLong) => t!("Choose at most 366 days."),
        (Field::Day, _) => t!("Enter days like 2026-12-24."),
        (Field::Secret, Problem::Unknown) => t!("This is the secret of another key, or this key has a new one since. Nothing was called."),
        (Field::Secret, _) => t!("Paste the secret of this key: sk-toki- and 46 letters and digits."),
        (Field::Prompt, Problem::TooLong) => t!("Ask with at most 20,000 characters here. Nothing was called."),
        (Field::Prompt, _) => t!("Write what the model is to be asked."),
        (Field::Model, _) => t!("Choose a model from the list."),
        (Field::Reason, Problem::TooLong) => t!("Give a reason of at most 500 characters. Nothing was decided."),
        (Field::Reason, _) => t!("Give a reason: it stays in the audit log. Nothing was decided."),
        (Field::Search, _) => t!("Search for at most 254 characters."),
    }
}
