//! Server functions of two-factor: the second step of signing in, and the page where it is set up. Plain posts; what they did, and new
//! recovery codes, wait in the session for the next page.

use crate::accounts::types_two_factor::TwoFactorView;
use crate::error::ConsoleError;
use crate::ui::form_input::Form;
use leptos::prelude::*;
use leptos::server_fn::codec::GetUrl;

/// Whether there is somebody to ask for a second factor. Others are sent to where they belong.
#[server(endpoint = "accounts/start_code", input = GetUrl)]
pub async fn start_code() -> Result<(), ConsoleError> {
    use crate::server::request_ctx;
    // public: tells a browser what it did itself.
    if request_ctx::viewer().await?.is_some() {
        request_ctx::go("/dashboard");
    } else if request_ctx::half_signed_in().await?.is_none() {
        request_ctx::go("/sign-in");
    }
    Ok(())
}

/// Takes the second factor of whoever gave the right password a moment ago, and signs them in.
#[server(endpoint = "accounts/sign_in_code", input = Form)]
pub async fn sign_in_code(#[server(default)] code: String) -> Result<(), ConsoleError> {
    use crate::accounts::store::attempts::{begin_code, end_code};
    use crate::accounts::store::two_factor::{self, GivenCode};
    use crate::error::{Field, Problem};
    use crate::server::request_ctx;
    // public: whoever gave the password and has the authenticator is the user.
    let app = request_ctx::app()?;
    let Some(half) = request_ctx::half_signed_in().await? else {
        request_ctx::go("/sign-in");
        return Err(request_ctx::fail(ConsoleError::SignInRequired));
    };
    let from = request_ctx::client_network();
    let accepted = async {
        if code.trim().is_empty() {
            return Err(ConsoleError::invalid(Field::SecondFactor, Problem::Empty));
        }
        begin_code(&app.db, &half.email, &from).await?;
        let (code, origin) = (GivenCode::parse(&code), request_ctx::origin());
        two_factor::sign_in(&app.db, &app.outbox, &app.vault, half.user_id, &half.email, &code, &origin).await?;
        Ok::<_, ConsoleError>(end_code(&app.db, &half.email, &from).await?)
    };
    accepted.await.map_err(request_ctx::fail)?;
    request_ctx::sign_in(half.proven()).await?;
    request_ctx::go(request_ctx::local_path(Some(&half.next)));
    Ok(())
}

/// How the member's second factor stands; new recovery codes once.
#[server(endpoint = "accounts/show_two_factor", input = GetUrl)]
pub async fn read_two_factor() -> Result<TwoFactorView, ConsoleError> {
    use crate::accounts::second_factor::qr_square;
    use crate::accounts::store::two_factor::{TwoFactor, standing_of};
    use crate::accounts::types_two_factor::Standing;
    use crate::server::request_ctx;
    let member = request_ctx::signed_in().await?;
    let app = request_ctx::app()?;
    let standing = match standing_of(&app.db, &app.vault, &member).await.map_err(|error| request_ctx::fail(error.into()))? {
        TwoFactor::Off => Standing::Off,
        TwoFactor::Begun(seed) => {
            let issuer = format!("TOKI {}", app.config.public_url.host_str().unwrap_or_default());
            Standing::Begun { secret: seed.to_base32(), qr: qr_square(&seed.uri(&issuer, member.email())) }
        }
        TwoFactor::On { since, recovery_codes_left } => Standing::On { since: since.into(), recovery_codes_left },
    };
    let required = request_ctx::must_set_up_two_factor(&app, &member);
    let done = request_ctx::take_flash("two_factor_done").await?;
    // Last, so that no failure above can cost the only look at them.
    let open = |sealed: String| app.vault.open_codes(member.user_id(), &sealed);
    let new_codes = request_ctx::take_flash_if("recovery_codes", open).await?.unwrap_or_default();
    Ok(TwoFactorView { standing, new_codes, done, required })
}

/// Makes a seed for the member's authenticator. Nothing changes before its first code is typed.
#[server(endpoint = "accounts/begin_two_factor", input = Form)]
pub async fn begin_two_factor(#[server(default)] current: String) -> Result<(), ConsoleError> {
    use crate::accounts::store::attempts::{PASSWORD_OF, take_attempt};
    use crate::accounts::store::two_factor;
    use crate::accounts::types::Password;
    use crate::server::request_ctx;
    let member = request_ctx::signed_in().await?;
    let app = request_ctx::app()?;
    let begun = async {
        take_attempt(&app.db, PASSWORD_OF, &[&member.user_id().to_string()]).await?;
        let password = Password::parse(current).map_err(|_| ConsoleError::WrongPassword)?;
        Ok::<_, ConsoleError>(two_factor::begin(&app.db, &app.vault, &member, password).await?)
    };
    begun.await.map_err(request_ctx::fail)?;
    request_ctx::go("/settings/two-factor");
    Ok(())
}

/// Takes the first code: signing in takes one from now on.
#[server(endpoint = "accounts/confirm_two_factor", input = Form)]
pub async fn confirm_two_factor(#[server(default)] code: String) -> Result<(), ConsoleError> {
    use crate::accounts::store::attempts::{PASSWORD_OF, take_attempt};
    use crate::accounts::store::two_factor;
    use crate::accounts::types_two_factor::TwoFactorDone;
    use crate::server::request_ctx;
    let member = request_ctx::signed_in().await?;
    let app = request_ctx::app()?;
    let confirmed = async {
        take_attempt(&app.db, PASSWORD_OF, &[&member.user_id().to_string()]).await?;
        let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
        let codes = two_factor::confirm(&app.db, &app.outbox, &app.vault, &member, &code).await?;
        app.vault.seal_codes(member.user_id(), &codes).map_err(|_| ConsoleError::Internal)
    };
    let sealed = confirmed.await.map_err(request_ctx::fail)?;
    request_ctx::put_flash("recovery_codes", &sealed).await?;
    request_ctx::put_flash("two_factor_done", &TwoFactorDone::TurnedOn).await?;
    request_ctx::go("/settings/two-factor");
    Ok(())
}

/// Makes new recovery codes in place of those there are.
#[server(endpoint = "accounts/renew_recovery_codes", input = Form)]
pub async fn renew_recovery_codes(#[server(default)] renew_password: String) -> Result<(), ConsoleError> {
    use crate::accounts::store::attempts::{PASSWORD_OF, take_attempt};
    use crate::accounts::store::two_factor::{self, Proof};
    use crate::accounts::types_two_factor::TwoFactorDone;
    use crate::server::request_ctx;
    let member = request_ctx::reader().await?;
    let app = request_ctx::app()?;
    let renewed = async {
        take_attempt(&app.db, PASSWORD_OF, &[&member.user_id().to_string()]).await?;
        let codes = two_factor::renew_codes(&app.db, &app.outbox, &app.vault, &member, Proof::parse(renew_password)?).await?;
        app.vault.seal_codes(member.user_id(), &codes).map_err(|_| ConsoleError::Internal)
    };
    let sealed = renewed.await.map_err(request_ctx::fail)?;
    request_ctx::put_flash("recovery_codes", &sealed).await?;
    request_ctx::put_flash("two_factor_done", &TwoFactorDone::CodesRenewed).await?;
    request_ctx::go("/settings/two-factor");
    Ok(())
}

/// Asks the member for no second factor any more.
#[server(endpoint = "accounts/turn_off_two_factor", input = Form)]
pub async fn turn_off_two_factor(#[server(default)] off_password: String) -> Result<(), ConsoleError> {
    use crate::accounts::store::attempts::{PASSWORD_OF, take_attempt};
    use crate::accounts::store::two_factor::{self, Proof};
    use crate::accounts::types_two_factor::TwoFactorDone;
    use crate::server::request_ctx;
    let member = request_ctx::reader().await?;
    let app = request_ctx::app()?;
    let off = async {
        take_attempt(&app.db, PASSWORD_OF, &[&member.user_id().to_string()]).await?;
        Ok::<_, ConsoleError>(two_factor::turn_off(&app.db, &app.outbox, &app.vault, &member, Proof::parse(off_password)?).await?)
    };
    off.await.map_err(request_ctx::fail)?;
    request_ctx::put_flash("two_factor_done", &TwoFactorDone::TurnedOff).await?;
    request_ctx::go("/settings/two-factor");
    Ok(())
}
