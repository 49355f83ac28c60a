//! Server functions of the page that deletes an account.

use crate::accounts::types_deletion::DeletionView;
use crate::error::ConsoleError;
use crate::ui::form_input::Form;
use leptos::prelude::*;
use leptos::server_fn::codec::GetUrl;

/// What deleting the account means, and what stands in its way.
#[server(endpoint = "accounts/show_deletion", input = GetUrl)]
pub async fn show_deletion() -> Result<DeletionView, ConsoleError> {
    use crate::accounts::store::deletion::deletion_of;
    use crate::server::request_ctx;
    let reader = request_ctx::reader().await?;
    let app = request_ctx::app()?;
    deletion_of(&app.db, &reader).await.map_err(|error| request_ctx::fail(error.into()))
}

/// Deletes the account and whoever asks for it.
#[server(endpoint = "accounts/delete", input = Form)]
pub async fn delete_account(#[server(default)] password: String) -> Result<(), ConsoleError> {
    use crate::accounts::store::attempts::{PASSWORD_OF, take_attempt};
    use crate::accounts::store::deletion::delete;
    use crate::accounts::types::Password;
    use crate::server::request_ctx;
    let reader = request_ctx::reader().await?;
    let app = request_ctx::app()?;
    let deleted = async {
        take_attempt(&app.db, PASSWORD_OF, &[&reader.user_id().to_string()]).await?;
        let password = Password::parse(password).map_err(|_| ConsoleError::WrongPassword)?;
        Ok::<_, ConsoleError>(delete(&app.db, &app.outbox, &reader, password).await?)
    };
    deleted.await.map_err(request_ctx::fail)?;
    request_ctx::sign_out().await?;
    request_ctx::go("/goodbye");
    Ok(())
}
