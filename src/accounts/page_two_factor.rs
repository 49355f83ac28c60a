//! Two-factor: the page that asks for a code after the password, and the page where a user sets it up. Plain forms.

use crate::accounts::page::PasswordField;
use crate::accounts::server_fns_two_factor::{
    BeginTwoFactor, ConfirmTwoFactor, RenewRecoveryCodes, SignInCode, TurnOffTwoFactor, read_two_factor, start_code,
};
use crate::accounts::types_two_factor::{QrSquare, Standing, TwoFactorDone, TwoFactorView};
use crate::error::{ConsoleError, Field};
use crate::ui::copy::CopyButton;
use crate::ui::failure::Failure;
use crate::ui::form::{FormError, Labelled, Submit, error_of};
use crate::ui::page_data::with_data;
use crate::ui::utc_time::UtcTime;
use crate::{t, tv};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos_meta::Title;

#[component]
pub fn SignInCodePage() -> impl IntoView {
    let error = error_of(SignInCode::PATH);
    view! {
        <Title text=t!("Sign in") />
        <section class="card stack auth">
            <h1>{t!("Enter your code")}</h1>
            <FormError error />
            {with_data(start_code(), |_| ().into_any())}
            <form method="post" action=SignInCode::PATH>
                <CodeField error hint=t!("Six digits from your authenticator, or one of your recovery codes.") />
                <Submit>{t!("Sign in")}</Submit>
            </form>
            <p class="muted">{t!("Lost both? Ask support to turn two-factor off for you.")}</p>
            <p class="muted"><a href="/sign-in">{t!("Sign in as somebody else")}</a></p>
        </section>
    }
    .into_any()
}

#[component]
fn CodeField(error: Option<ConsoleError>, hint: &'static str) -> impl IntoView {
    view! {
        <Labelled id="code" label=t!("Verification code") field=Field::SecondFactor error hint>
            <input
                id="code"
                name="code"
                class="mono"
                autocomplete="one-time-code"
                autocapitalize="none"
                spellcheck="false"
                maxlength="30"
                required
                aria-describedby="code-hint code-error"
            />
        </Labelled>
    }
}

#[component]
pub fn TwoFactorPage() -> impl IntoView {
    view! {
        <Title text=t!("Two-factor") />
        <h1>{t!("Two-factor")}</h1>
        {with_data(read_two_factor(), |data| match data {
            Ok(two_factor) => view! { <TwoFactorBody two_factor /> }.into_any(),
            Err(error) => view! { <Failure error /> }.into_any(),
        })}
    }
    .into_any()
}

#[component]
fn TwoFactorBody(two_factor: TwoFactorView) -> impl IntoView {
    let TwoFactorView { standing, new_codes, done, required } = two_factor;
    let done = done.map(|done| match done {
        TwoFactorDone::TurnedOn => t!("Two-factor is on. The next time you sign in, you are asked for a code."),
        TwoFactorDone::CodesRenewed => t!("You have new recovery codes. The ones before work no longer."),
        TwoFactorDone::TurnedOff => t!("Two-factor is off."),
    });
    view! {
        {required
            .then(|| {
                view! {
                    <p class="notice notice-warn">
                        {t!("Operators sign in with a second factor. Nothing else opens before it is set up.")}
                    </p>
                }
            })}
        {done
            .map(|done| {
                view! {
                    <p class="notice notice-ok" role="status">
                        {done}
                    </p>
                }
            })}
        {(!new_codes.is_empty()).then(|| view! { <NewCodes codes=new_codes /> })}
        {match standing {
            Standing::Off => view! { <BeginForm /> }.into_any(),
            Standing::Begun { secret, qr } => view! { <ConfirmForm secret qr /> }.into_any(),
            Standing::On { since, recovery_codes_left } => {
                view! {
                    <section class="card stack">
                        <h2>{t!("On")}</h2>
                        <p>{tv!("Signing in takes a code of your authenticator since {time}.", time = view! { <UtcTime time=since /> })}</p>
                        <p>{codes_left(recovery_codes_left)}</p>
                        <RenewForm />
                    </section>
                    <section class="card stack">
                        <h2>{t!("Turn it off")}</h2>
                        <p>
                            {t!("Then your password alone is enough again. To change the authenticator, turn it off and set it up anew.")}
                        </p>
                        <TurnOffForm />
                    </section>
                }
                    .into_any()
            }
        }}
        <p><a href="/settings">{t!("Back to the settings")}</a></p>
    }
}

fn codes_left(left: i64) -> String {
    match left {
        0 => t!("You have no recovery code left: make new ones, or whoever loses the authenticator is locked out.").to_string(),
        1 => t!("You have 1 recovery code left.").to_string(),
        left => t!("You have {left} recovery codes left.", left = left),
    }
}

#[component]
fn NewCodes(codes: Vec<String>) -> impl IntoView {
    let all = codes.join("\n");
    view! {
        <section class="notice notice-ok">
            <h2>{t!("Keep your recovery codes")}</h2>
            <p>{t!("Each stands in for the authenticator once. Print them or write them down: you will not see them again.")}</p>
            <ol class="recovery-codes mono">
                {codes.into_iter().map(|code| view! { <li>{code}</li> }).collect_view()}
            </ol>
            <CopyButton text=all label=t!("Copy the codes") />
        </section>
    }
}

#[component]
fn BeginForm() -> impl IntoView {
    let error = error_of(BeginTwoFactor::PATH);
    view! {
        <section class="card stack">
            <h2>{t!("Set it up")}</h2>
            <p>
                {t!("You need an authenticator: a program on your phone or computer that shows six digits, new ones each 30 seconds.")}
            </p>
            <FormError error />
            <form method="post" action=BeginTwoFactor::PATH>
                <PasswordField error autocomplete="current-password" id="current" label=t!("Your password") field=Field::CurrentPassword />
                <Submit>{t!("Go on")}</Submit>
            </form>
        </section>
    }
}

#[component]
fn ConfirmForm(secret: String, qr: Option<QrSquare>) -> impl IntoView {
    let error = error_of(ConfirmTwoFactor::PATH);
    let in_groups = secret.as_bytes().chunks(4).map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ");
    view! {
        <section class="card stack">
            <h2>{t!("Connect your authenticator")}</h2>
            <p>{t!("Read this with it:")}</p>
            {qr.map(|QrSquare { side, path }| {
                view! {
                    <svg
                        class="qr"
                        viewBox=format!("0 0 {side} {side}")
                        role="img"
                        aria-label=t!("QR code for your authenticator")
                        shape-rendering="crispEdges"
                    >
                        <rect width=side.to_string() height=side.to_string() fill="#fff" />
                        <path d=path fill="#000" />
                    </svg>
                }
            })}
            <p>{t!("Or type this secret into it:")}</p>
            <div class="row">
                <code class="mono" id="totp-secret">{in_groups}</code>
                <CopyButton text=secret label=t!("Copy the secret") />
            </div>
            <FormError error />
            <form method="post" action=ConfirmTwoFactor::PATH>
                <CodeField error hint=t!("The six digits that it shows now.") />
                <Submit>{t!("Turn two-factor on")}</Submit>
            </form>
            <p class="muted">{t!("Until then nothing has changed. You have 30 minutes, and can begin anew afterwards.")}</p>
        </section>
    }
}

#[component]
fn RenewForm() -> impl IntoView {
    let error = error_of(RenewRecoveryCodes::PATH);
    view! {
        <FormError error />
        <form method="post" action=RenewRecoveryCodes::PATH>
            <ProofField error id="renew_password" />
            <button class="button" type="submit">
                {t!("Make new recovery codes")}
            </button>
        </form>
    }
}

#[component]
fn TurnOffForm() -> impl IntoView {
    let error = error_of(TurnOffTwoFactor::PATH);
    view! {
        <FormError error />
        <form method="post" action=TurnOffTwoFactor::PATH>
            <ProofField error id="off_password" />
            <button class="button button-danger" type="submit">
                {t!("Turn two-factor off")}
            </button>
        </form>
    }
}

#[component]
fn ProofField(error: Option<ConsoleError>, id: &'static str) -> impl IntoView {
    view! { <PasswordField error autocomplete="current-password" id label=t!("Your password, or a code") field=Field::Proof /> }
}
