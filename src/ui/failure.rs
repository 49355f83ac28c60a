//! What stands in the place of a page's content that could not be read.

use crate::error::ConsoleError;
use crate::t;
use crate::ui::error_text::sentence;
use leptos::prelude::*;
use leptos_router::hooks::use_location;

/// What went wrong, and the way to sign in where that is what is missing: the server sends whoever opens a page to sign in, a
/// session that ended while the page was open is noticed here.
#[component]
pub fn Failure(error: ConsoleError) -> impl IntoView {
    let sign_in = (error == ConsoleError::SignInRequired).then(|| {
        let href = format!("/sign-in?next={}", use_location().pathname.get_untracked());
        view! {
            <p>
                <a class="button button-primary" href=href>
                    {t!("Sign in")}
                </a>
            </p>
        }
    });
    view! {
        <p class="notice notice-error" role="alert">
            {sentence(error)}
        </p>
        {sign_in}
    }
}
