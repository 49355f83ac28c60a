//! The frame around every page: navigation, the wallet's balance, sign-out. Works without JavaScript, the phone's sheet too.

use crate::accounts::server_fns::{SignOut, read_viewer};
use crate::accounts::server_fns_members::SwitchAccount;
use crate::accounts::types::Viewer;
use crate::accounts::types_members::AccountChoice;
use crate::error::ConsoleError;
use crate::preferences::page::PreferencesForm;
use crate::ui::amount::TokenAmount;
use crate::ui::failure::Failure;
use crate::ui::icon::{Icon, IconView, Wordmark};
use crate::ui::page_data::with_data;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos_meta::Title;
use leptos_router::components::{A, Outlet};

/// In the order of the job.
const NAV: [(&str, &str, Icon); 8] = [
    ("/dashboard", "Dashboard", Icon::Dashboard),
    ("/products", "Product Center", Icon::Products),
    ("/wallet", "Wallet", Icon::Wallet),
    ("/keys", "API keys", Icon::Keys),
    ("/usage", "Usage", Icon::Usage),
    ("/models", "Models", Icon::Models),
    ("/orders", "Orders", Icon::Orders),
    ("/settings", "Settings", Icon::Settings),
];

/// The page in its frame. The balance is as fresh as what it stands beside.
#[component]
pub fn Frame() -> impl IntoView {
    let viewer = read_viewer();
    view! {
        <a class="button skip-link" href="#main">
            "Skip to content"
        </a>
        {with_data(viewer, frame_view)}
        <main class="content" id="main" tabindex="-1">
            <Outlet />
        </main>
        <PreferencesForm />
    }
    .into_any()
}

fn frame_view(viewer: Result<Option<Viewer>, ConsoleError>) -> AnyView {
    match viewer {
        Ok(Some(viewer)) => view! { <MemberFrame viewer /> }.into_any(),
        Ok(None) => view! { <VisitorFrame /> }.into_any(),
        Err(error) => view! {
            <VisitorFrame />
            <Failure error />
        }
        .into_any(),
    }
}

#[component]
fn VisitorFrame() -> impl IntoView {
    view! {
        <header class="topbar">
            <Wordmark />
            <nav aria-label="Main">
                <A href="/products" attr:class="nav-link">
                    "Product Center"
                </A>
                <A href="/models" attr:class="nav-link topbar-extra">
                    "Models"
                </A>
                <A href="/sign-in" attr:class="nav-link">
                    "Sign in"
                </A>
                <a class="button" href="/sign-up">
                    "Sign up"
                </a>
            </nav>
        </header>
    }
}

#[component]
fn MemberFrame(viewer: Viewer) -> impl IntoView {
    let (sandbox, verified) = (viewer.sandbox, viewer.verified);
    view! {
        <header class="sidebar">
            <Wordmark />
            <NavLinks />
            <FrameFoot viewer=viewer.clone() live="sidebar" />
        </header>
        <header class="topbar topbar-member">
            <Wordmark />
            <Sheet>
                <NavLinks />
                <FrameFoot viewer live="sheet" />
            </Sheet>
        </header>
        {sandbox
            .then(|| {
                view! {
                    <aside class="banner-sandbox" aria-label="Sandbox">
                        <strong>"Sandbox."</strong>
                        " Payments are play money, and the sandbox supplier makes its answers up."
                    </aside>
                }
            })}
        {(!verified)
            .then(|| {
                view! {
                    <aside class="banner-sandbox" aria-label="Address">
                        <strong>"Confirm your address."</strong>
                        " Only then can a forgotten password be replaced. "
                        <a href="/verify-email">"How?"</a>
                    </aside>
                }
            })}
    }
}

/// A popover: the browser opens it, closes it with Escape or a tap beside it, and gives the focus back.
#[component]
fn Sheet(children: Children) -> impl IntoView {
    view! {
        <button class="button" type="button" popovertarget="sheet">
            "Menu"
        </button>
        <div class="sheet-panel" id="sheet" popover="auto">
            {children()}
        </div>
    }
}

#[component]
fn NavLinks() -> impl IntoView {
    let links = NAV.map(|(href, label, icon)| {
        view! {
            <A href=href attr:class="nav-link">
                <IconView icon />
                {label}
            </A>
        }
    });
    view! { <nav aria-label="Main">{links.into_iter().collect_view()}</nav> }
}

/// `live`: which of the two this is, to pages that keep the balance up to date.
#[component]
fn FrameFoot(viewer: Viewer, live: &'static str) -> impl IntoView {
    let email = viewer.email.to_string();
    view! {
        <div class="frame-foot">
            <a class="frame-balance" href="/wallet" data-live=live>
                "Balance in Tokens "
                <TokenAmount tokens=viewer.balance />
            </a>
            <AccountSwitch accounts=viewer.accounts />
            <div class="frame-user">
                <span title=email.clone()>{email.clone()}</span>
                <form method="post" action=SignOut::PATH>
                    <button class="button button-quiet" type="submit">
                        "Sign out"
                    </button>
                </form>
            </div>
        </div>
    }
}

/// For whoever belongs to several accounts: which of them this is, and the others.
#[component]
fn AccountSwitch(accounts: Vec<AccountChoice>) -> impl IntoView {
    (accounts.len() > 1).then(|| {
        let options = accounts
            .into_iter()
            .map(|account| view! { <option value=account.account_id.to_string() selected=account.current>{account.name}</option> })
            .collect_view();
        view! {
            <form method="post" action=SwitchAccount::PATH class="account-switch">
                <select name="account_id" aria-label="Account">
                    {options}
                </select>
                <button class="button button-quiet" type="submit">
                    "Switch"
                </button>
            </form>
        }
    })
}

/// Shown where no route is. The server's fallback handler answers it with 404; nothing here needs to.
#[component]
pub fn NotFoundPage() -> impl IntoView {
    view! {
        <Title text="Page not found" />
        <header class="topbar">
            <Wordmark />
        </header>
        <main class="content" id="main">
            <section class="empty">
                <h1>"Page not found"</h1>
                <p>"The address may be mistyped, or the page has moved."</p>
                <a class="button" href="/">
                    "Go to the start page"
                </a>
            </section>
        </main>
    }
}
