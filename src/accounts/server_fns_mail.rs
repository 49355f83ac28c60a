//! Server functions around the links that are sent by mail: confirm an address, set a forgotten password. What only the owner of an
//! address is to know is done after the answer, so that neither its words nor its time say whether the address has an account.

use crate::error::ConsoleError;
use crate::ui::form_input::Form;
use leptos::prelude::*;

/// Takes a link that confirms an address. A sign-up that was begun in this browser ends signed in; a link by itself signs nobody in,
/// since whoever signed up with somebody else's address knows the password.
#[server(endpoint = "accounts/confirm_email", input = Form)]
pub async fn confirm_email(#[server(default)] token: String) -> Result<(), ConsoleError> {
    use crate::accounts::mail_token::MailToken;
    use crate::accounts::store::SignIn;
    use crate::accounts::store::addresses::{self, Confirmed};
    use crate::accounts::store::attempts::{LINK_FROM, take_attempt};
    use crate::server::request_ctx;
    // public: whoever has the link reads the mailbox that it was sent to.
    let app = request_ctx::app()?;
    let taken = async {
        take_attempt(&app.db, LINK_FROM, &[&request_ctx::client_network()]).await?;
        let token = MailToken::parse(&token).ok_or(ConsoleError::LinkOver)?;
        Ok::<_, ConsoleError>(addresses::confirm(&app.db, &app.outbox, &token, &request_ctx::origin()).await?)
    };
    if let Confirmed::SignUp { sign_up_id, user_id } = taken.await.map_err(request_ctx::fail)?
        && let Some(begun) = request_ctx::begun_sign_up().await?
        && begun.sign_up_id == sign_up_id
    {
        request_ctx::sign_in(SignIn::first(user_id)).await?;
        request_ctx::go(request_ctx::local_path(Some(&begun.next)));
        return Ok(());
    }
    request_ctx::go("/verify-email?done=yes");
    Ok(())
}

/// Sends the member's confirmation once more.
#[server(endpoint = "accounts/send_confirmation", input = Form)]
pub async fn send_confirmation() -> Result<(), ConsoleError> {
    use crate::accounts::store::addresses;
    use crate::accounts::store::attempts::{MAIL_FROM, MAIL_TO, take_attempt};
    use crate::server::request_ctx;
    let member = request_ctx::reader().await?;
    let app = request_ctx::app()?;
    let sent = async {
        take_attempt(&app.db, MAIL_FROM, &[&request_ctx::client_network()]).await?;
        take_attempt(&app.db, MAIL_TO, &[member.email().as_str()]).await?;
        addresses::send_confirmation(&app.db, &app.outbox, &member).await
    };
    sent.await.map_err(|error| request_ctx::fail(error.into()))?;
    request_ctx::go("/verify-email?sent=again");
    Ok(())
}

/// Sends a link that sets a new password, if the address has a user. The answer is the same in any case.
#[server(endpoint = "accounts/forgot_password", input = Form)]
pub async fn forgot_password(#[server(default)] email: String) -> Result<(), ConsoleError> {
    use crate::accounts::store::attempts::{MAIL_FROM, RESET_TO, take_attempt};
    use crate::accounts::store::passwords;
    use crate::accounts::types::Email;
    use crate::server::request_ctx;
    // public: whoever forgot a password cannot sign in.
    let app = request_ctx::app()?;
    let email = Email::parse(&email).map_err(request_ctx::fail)?;
    let counted = async {
        take_attempt(&app.db, MAIL_FROM, &[&request_ctx::client_network()]).await?;
        take_attempt(&app.db, RESET_TO, &[email.as_str()]).await
    };
    if let Err(error) = counted.await {
        return Err(request_ctx::fail(error.into()));
    }
    request_ctx::later(&app.clone(), "a reset", async move { passwords::send_reset(&app.db, &app.outbox, &email).await });
    request_ctx::go("/forgot-password?sent=yes");
    Ok(())
}

/// Sets the password of whoever got the link, and ends all their sessions.
#[server(endpoint = "accounts/reset_password", input = Form)]
pub async fn reset_password(#[server(default)] token: String, #[server(default)] password: String) -> Result<(), ConsoleError> {
    use crate::accounts::mail_token::MailToken;
    use crate::accounts::store::attempts::{LINK_FROM, take_attempt, trust};
    use crate::accounts::store::passwords;
    use crate::accounts::types::Password;
    use crate::server::request_ctx;
    // public: whoever has the link reads the user's mailbox.
    let app = request_ctx::app()?;
    let from = request_ctx::client_network();
    let set = async {
        take_attempt(&app.db, LINK_FROM, &[&from]).await?;
        let token = MailToken::parse(&token).ok_or(ConsoleError::LinkOver)?;
        let password = Password::parse(password)?;
        let email = passwords::reset_password(&app.db, &app.outbox, &token, password, &request_ctx::origin()).await?;
        // Whatever was tried against them before, they get in now.
        Ok::<_, ConsoleError>(trust(&app.db, &email, &from).await?)
    };
    set.await.map_err(request_ctx::fail)?;
    request_ctx::go("/sign-in?reset=done");
    Ok(())
}
