//! Work that does not end with its request. A process that ends waits for it, as long as `server::run::serve` waits for tasks.

use super::{app, fail};
use crate::error::ConsoleError;
use crate::i18n::{language, speaking_on};
use crate::server::state::AppState;
use std::time::Duration;

/// When work after an answer begins: begun at once, it would be done beside the answer, which then takes longer the more it is.
const AFTER_THE_ANSWER: Duration = Duration::from_millis(15);

/// Does work after the answer, so that neither its outcome nor its time tells the asker anything.
pub fn later<E: Into<ConsoleError>>(app: &AppState, what: &'static str, work: impl Future<Output = Result<(), E>> + Send + 'static) {
    app.tasks.spawn(speaking_on(language(), async move {
        tokio::time::sleep(AFTER_THE_ANSWER).await;
        if let Err(error) = work.await {
            let error: ConsoleError = error.into();
            tracing::error!(what, %error, "work after an answer failed");
        }
    }));
}

/// Does work to its end although whoever asked may leave, and waits for what it comes to.
pub async fn to_its_end<T, E, W>(what: &'static str, work: impl FnOnce(AppState) -> W) -> Result<T, ConsoleError>
where
    T: Send + 'static,
    E: Into<ConsoleError> + Send + 'static,
    W: Future<Output = Result<T, E>> + Send + 'static,
{
    let app = app()?;
    let ended = app.tasks.spawn(work(app.clone())).await.map_err(|error| {
        tracing::error!(what, %error, "work for an answer ended early");
        fail(ConsoleError::Internal)
    })?;
    ended.map_err(|error| fail(error.into()))
}
