//! Server functions of `accounts`: who, parse, store, reply.

use crate::accounts::types::{Email, Viewer};
use crate::accounts::types_members::Role;
use crate::error::ConsoleError;
use crate::ui::form_input::Form;
use leptos::prelude::*;
use leptos::server_fn::codec::GetUrl;

/// Makes a user and an account of their own, signs them in, and goes on to `next`: that tells whether the address had an account. Where
/// customers are served and mail reaches them, signing up goes on by mail instead, and the answer is the same for every address: what
/// differs is only in the mail (`addresses::sign_up_by_mail`), and done after the answer.
#[server(endpoint = "accounts/sign_up", input = Form)]
pub async fn sign_up(email: String, password: String, #[server(default)] next: String) -> Result<(), ConsoleError> {
    use crate::accounts::password::{Place, refuse_common};
    use crate::accounts::store::addresses::{sign_up_at_once, sign_up_by_mail};
    use crate::accounts::store::attempts::{MAIL_TO, SIGN_UP_FROM, take_attempt, trust};
    use crate::accounts::store::{AccountError, SignIn};
    use crate::accounts::types::Password;
    use crate::server::request_ctx;
    // public: this is how a visitor becomes a member.
    let app = request_ctx::app()?;
    let email = Email::parse(&email).map_err(request_ctx::fail)?;
    let from = request_ctx::client_network();
    let checked = async {
        let password = Password::parse(password)?;
        take_attempt(&app.db, SIGN_UP_FROM, &[&from]).await?;
        refuse_common(&password, &email).await.map_err(AccountError::from)?;
        Ok::<_, ConsoleError>(password)
    };
    if app.config.sign_up_by_mail() {
        let counted = async {
            let password = checked.await?;
            // Without one, they are told to come back, and nothing was promised.
            let place = Place::take().map_err(AccountError::from)?;
            take_attempt(&app.db, MAIL_TO, &[email.as_str()]).await?;
            Ok::<_, ConsoleError>((password, place))
        };
        let (password, place) = match counted.await {
            Ok(counted) => counted,
            Err(error) => return Err(request_ctx::fail(error)),
        };
        let id = request_ctx::begin_sign_up(next).await?;
        request_ctx::later(
            &app.clone(),
            "a sign-up",
            async move { sign_up_by_mail(&app.db, &app.outbox, id, &email, password, place).await },
        );
        request_ctx::go("/verify-email?sent=sign-up");
        return Ok(());
    }
    let made = async {
        let new = sign_up_at_once(&app.db, &app.outbox, &email, checked.await?, &request_ctx::origin()).await?;
        trust(&app.db, &email, &from).await?;
        Ok::<_, ConsoleError>(new)
    };
    let new = match made.await {
        Ok(new) => new,
        Err(error) => return Err(request_ctx::fail(error)),
    };
    request_ctx::sign_in(SignIn::first(new.user_id)).await?;
    request_ctx::go(request_ctx::local_path(Some(&next)));
    Ok(())
}

/// Starts a session, and goes on to `next`; to the page that asks for the second factor, if the user has one.
#[server(endpoint = "accounts/sign_in", input = Form)]
pub async fn sign_in(email: String, password: String, #[server(default)] next: String) -> Result<(), ConsoleError> {
    use crate::accounts::store::attempts::{begin_sign_in, end_sign_in};
    use crate::accounts::store::{self, sessions, two_factor};
    use crate::accounts::types::Password;
    use crate::journal::types::Kind;
    use crate::server::request_ctx;
    // public: whoever knows the password is the user, or half of them.
    let app = request_ctx::app()?;
    let email = Email::parse(&email).map_err(request_ctx::fail)?;
    let from = request_ctx::client_network();
    let found = async {
        begin_sign_in(&app.db, &email, &from).await?;
        // A password that could not have been chosen is a wrong one: how long ours are is told at sign-up, not here.
        let password = Password::parse(password).map_err(|_| ConsoleError::WrongCredentials)?;
        let who = store::user_by_credentials(&app.db, &email, password).await?;
        let half = two_factor::is_on(&app.db, who.user_id).await?;
        if !half {
            end_sign_in(&app.db, &email, &from).await?;
            sessions::note_access(&app.db, who.user_id, Kind::SignedIn, &request_ctx::origin()).await?;
        }
        Ok::<_, ConsoleError>((who, half))
    };
    let (who, half) = match found.await {
        Ok(found) => found,
        Err(error) => {
            if error == ConsoleError::WrongCredentials {
                // After the answer, whose time tells nobody whether the address has a user.
                let (db, origin) = (app.db.clone(), request_ctx::origin());
                request_ctx::later(&app, "a refused sign-in", async move { sessions::note_refusal(&db, &email, &origin).await });
            }
            return Err(request_ctx::fail(error));
        }
    };
    if half {
        request_ctx::begin_second_step(who, email, next).await?;
        request_ctx::go("/sign-in/code");
        return Ok(());
    }
    request_ctx::sign_in(who).await?;
    request_ctx::go(request_ctx::local_path(Some(&next)));
    Ok(())
}

/// Ends the session.
#[server(endpoint = "accounts/sign_out", input = Form)]
pub async fn sign_out() -> Result<(), ConsoleError> {
    use crate::accounts::store::sessions::note_access;
    use crate::journal::types::Kind;
    use crate::server::request_ctx;
    // public: ends the asking browser's own session, if it has one.
    let reader = request_ctx::viewer().await?;
    request_ctx::sign_out().await?;
    if let Some(reader) = reader {
        let (db, user_id) = (request_ctx::app()?.db.clone(), reader.user_id());
        note_access(&db, user_id, Kind::SignedOut, reader.origin()).await.map_err(|error| request_ctx::fail(error.into()))?;
    }
    request_ctx::go("/");
    Ok(())
}

/// Who looks at the page, and what the frame shows them.
#[server(endpoint = "accounts/viewer", input = GetUrl)]
pub async fn read_viewer() -> Result<Option<Viewer>, ConsoleError> {
    use crate::accounts::store::members::accounts_of;
    use crate::checkout::store::quarantine::quarantined_count;
    use crate::server::request_ctx;
    use futures::TryFutureExt;
    // public: a visitor is answered with nobody.
    let Some(member) = request_ctx::viewer().await? else { return Ok(None) };
    let app = request_ctx::app()?;
    let (mut wallet, mut accounts, mut to_look_at) = (None, Vec::new(), None);
    if !request_ctx::must_set_up_two_factor(&app, &member) {
        let standing = request_ctx::standing(&member).map_ok(Some);
        (wallet, accounts) = tokio::try_join!(standing, accounts_of(&app.db, &member).err_into()).map_err(request_ctx::fail)?;
        if member.is_operator() {
            to_look_at = Some(quarantined_count(&app.db).await.map_err(|error| request_ctx::fail(error.into()))?);
        }
    }
    let (verified, sandbox) = (member.is_verified(), app.config.sandbox);
    Ok(Some(Viewer { email: member.email().clone(), role: member.role(), verified, to_look_at, accounts, wallet, sandbox }))
}

/// What whoever looks at the page may do in their account; none = a visitor, or somebody who may do nothing yet.
#[server(endpoint = "accounts/role", input = GetUrl)]
pub async fn read_role() -> Result<Option<Role>, ConsoleError> {
    use crate::server::request_ctx;
    // public: a visitor has none.
    Ok(request_ctx::reader_if_any().await?.map(|reader| reader.role()))
}

/// Whoever is signed in needs no visitor's form, and is sent on to `next`.
#[server(endpoint = "accounts/start_form", input = GetUrl)]
pub async fn start_form(#[server(default)] next: String) -> Result<(), ConsoleError> {
    use crate::server::request_ctx;
    // public: tells a browser whether it is signed in.
    if request_ctx::viewer().await?.is_some() {
        request_ctx::go(request_ctx::local_path(Some(&next)));
    }
    Ok(())
}
