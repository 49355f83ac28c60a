//! Server functions of the settings page. Its forms are plain posts that come back to it; what they did waits in the session.

use crate::accounts::types_settings::Settings;
use crate::error::ConsoleError;
use crate::ui::form_input::Form;
use leptos::prelude::*;
use leptos::server_fn::codec::GetUrl;

/// Profile and sessions.
#[server(endpoint = "accounts/show_settings", input = GetUrl)]
pub async fn read_settings() -> Result<Settings, ConsoleError> {
    use crate::accounts::store::{members, sessions};
    use crate::server::request_ctx;
    let member = request_ctx::reader().await?;
    let app = request_ctx::app()?;
    let membership = members::membership_of(&app.db, &member).await.map_err(|error| request_ctx::fail(error.into()))?;
    let current = request_ctx::session_hash().await?;
    let sessions = sessions::sessions_of(&app.db, &member, &current).await.map_err(|error| request_ctx::fail(error.into()))?;
    let done = request_ctx::take_flash("settings_done").await?;
    let two_factor = member.has_two_factor();
    Ok(Settings { email: member.email().clone(), verified: member.is_verified(), membership, two_factor, done, sessions })
}

/// Replaces the password. Every session ends but this one, which gets a new id; if it ended while this waited, nothing is changed.
#[server(endpoint = "accounts/change_password", input = Form)]
pub async fn change_password(#[server(default)] current: String, #[server(default)] password: String) -> Result<(), ConsoleError> {
    use crate::accounts::store::attempts::{PASSWORD_OF, take_attempt};
    use crate::accounts::store::passwords;
    use crate::accounts::types::Password;
    use crate::accounts::types_settings::Done;
    use crate::server::request_ctx;
    let member = request_ctx::reader().await?;
    let app = request_ctx::app()?;
    let session = request_ctx::session_hash().await?;
    let changed = async {
        take_attempt(&app.db, PASSWORD_OF, &[&member.user_id().to_string()]).await?;
        let current = Password::parse(current).map_err(|_| ConsoleError::WrongPassword)?;
        let password = Password::parse(password)?;
        Ok::<_, ConsoleError>(passwords::change_password(&app.db, &app.outbox, &member, &session, current, password).await?)
    };
    let who = match changed.await {
        Ok(who) => who,
        Err(ConsoleError::SignInRequired) => return Err(request_ctx::to_sign_in().await),
        Err(error) => return Err(request_ctx::fail(error)),
    };
    request_ctx::sign_in(who).await?;
    request_ctx::put_flash("settings_done", &Done::PasswordChanged).await?;
    request_ctx::go("/settings");
    Ok(())
}

/// Asks another address to confirm that it is to be the member's.
#[server(endpoint = "accounts/change_email", input = Form)]
pub async fn change_email(#[server(default)] email: String, #[server(default)] email_password: String) -> Result<(), ConsoleError> {
    use crate::accounts::store::addresses;
    use crate::accounts::store::attempts::{MAIL_TO, PASSWORD_OF, take_attempt};
    use crate::accounts::types::{Email, Password};
    use crate::accounts::types_settings::Done;
    use crate::server::request_ctx;
    let member = request_ctx::reader().await?;
    let app = request_ctx::app()?;
    let asked = async {
        let email = Email::parse(&email)?;
        take_attempt(&app.db, PASSWORD_OF, &[&member.user_id().to_string()]).await?;
        let password = Password::parse(email_password).map_err(|_| ConsoleError::WrongPassword)?;
        take_attempt(&app.db, MAIL_TO, &[email.as_str()]).await?;
        Ok::<_, ConsoleError>(addresses::ask_email_change(&app.db, &app.outbox, &member, &email, password).await?)
    };
    asked.await.map_err(request_ctx::fail)?;
    request_ctx::put_flash("settings_done", &Done::AddressAsked).await?;
    request_ctx::go("/settings");
    Ok(())
}

/// Ends one of the member's sessions.
#[server(endpoint = "accounts/end_session", input = Form)]
pub async fn end_session(session_id: String) -> Result<(), ConsoleError> {
    use crate::accounts::store::sessions;
    use crate::accounts::types_settings::Done;
    use crate::server::request_ctx;
    let member = request_ctx::reader().await?;
    let app = request_ctx::app()?;
    let session_id = session_id.parse::<uuid::Uuid>().map_err(|_| request_ctx::fail(ConsoleError::NotFound))?;
    sessions::delete_session(&app.db, &member, session_id).await.map_err(|error| request_ctx::fail(error.into()))?;
    request_ctx::put_flash("settings_done", &Done::SessionEnded).await?;
    request_ctx::go("/settings");
    Ok(())
}

/// Ends every session of the member but this one.
#[server(endpoint = "accounts/end_other_sessions", input = Form)]
pub async fn end_other_sessions() -> Result<(), ConsoleError> {
    use crate::accounts::store::sessions;
    use crate::accounts::types_settings::Done;
    use crate::server::request_ctx;
    let member = request_ctx::reader().await?;
    let app = request_ctx::app()?;
    let current = request_ctx::session_hash().await?;
    sessions::delete_other_sessions(&app.db, &member, &current).await.map_err(|error| request_ctx::fail(error.into()))?;
    request_ctx::put_flash("settings_done", &Done::OthersEnded).await?;
    request_ctx::go("/settings");
    Ok(())
}
