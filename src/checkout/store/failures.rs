//! What went wrong while many things were done, none of which may keep the others from being done.

use crate::checkout::store::CheckoutError;

/// The first error; all of them are in the log.
#[derive(Debug, Default)]
pub struct Failures(Option<CheckoutError>);

impl Failures {
    /// What a step came to. One that failed is logged, and came to nothing.
    pub fn keep<T: Default>(&mut self, step: &'static str, result: Result<T, CheckoutError>) -> T {
        result.unwrap_or_else(|error| {
            tracing::error!(step, ?error, "failed; what follows is done all the same");
            self.note(error);
            T::default()
        })
    }

    /// Takes down an error that is in the log.
    pub fn note(&mut self, error: CheckoutError) {
        if self.0.is_none() {
            self.0 = Some(error);
        }
    }

    /// What everything came to, unless something failed.
    pub fn end<T>(self, done: T) -> Result<T, CheckoutError> {
        self.0.map_or(Ok(done), Err)
    }
}
