//! The frame around every page: navigation, the wallet's balance, sign-out. Works without JavaScript, the phone's sheet too.

use crate::accounts::server_fns::{SignOut, read_viewer};
use crate::accounts::server_fns_members::SwitchAccount;
use crate::accounts::types::Viewer;
use crate::accounts::types_members::{AccountChoice, Role};
use crate::changes::hub::Moment;
use crate::error::ConsoleError;
use crate::html::{Escaped, escaped, push_all};
use crate::islands::follow::Follow;
use crate::islands::switches::Switches;
use crate::preferences::page::PreferencesForm;
use crate::search::palette::{Palette, palette_link_html};
use crate::ui::amount::amount_html;
use crate::ui::banner::{Banner, BannerKind};
use crate::ui::copy::copies;
use crate::ui::error_text::sentence;
use crate::ui::failure::Failure;
use crate::ui::icon::{Icon, WORDMARK, Wordmark, icon_html};
use crate::ui::page_data::{at_once, with_data};
use crate::wallet::page_banner::WalletBanner;
use crate::{push, t};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos::tachys::html::InertElement;
use leptos_meta::Title;
use leptos_router::components::Outlet;
use leptos_router::hooks::use_location;

/// In the order of the job.
pub fn destinations() -> [(&'static str, &'static str, Icon); 9] {
    [
        ("/dashboard", t!("Dashboard"), Icon::Dashboard),
        ("/products", t!("Product Center"), Icon::Products),
        ("/wallet", t!("Wallet"), Icon::Wallet),
        ("/keys", t!("API keys"), Icon::Keys),
        ("/usage", t!("Usage"), Icon::Usage),
        ("/models", t!("Models"), Icon::Models),
        ("/docs", t!("Docs"), Icon::Docs),
        ("/orders", t!("Orders"), Icon::Orders),
        ("/settings", t!("Settings"), Icon::Settings),
    ]
}

/// What operators see besides.
const OPERATOR_PAYMENTS: &str = "/operator/payments";

/// The page of the address in its frame.
#[component]
pub fn Frame() -> impl IntoView {
    view! {
        <Framed>
            <Outlet />
        </Framed>
    }
    .into_any()
}

/// What stands around a page. The balance is as old as the session that was loaded for it: a moment older than what it stands beside.
#[component]
fn Framed(children: Children) -> impl IntoView {
    let since = use_context::<Moment>().unwrap_or_default();
    let viewer = read_viewer();
    view! {
        <a class="button skip-link" href="#main">
            {t!("Skip to content")}
        </a>
        {with_data(viewer, |viewer| frame_view(viewer, since))}
        <main class="content" id="main" tabindex="-1">
            {children()}
        </main>
        {at_once(|| view! { <PreferencesForm /> }.into_any())}
    }
    .into_any()
}

fn frame_view(viewer: Result<Option<Viewer>, ConsoleError>, since: Moment) -> AnyView {
    match viewer {
        Ok(Some(viewer)) => view! { <MemberFrame viewer since /> }.into_any(),
        Ok(None) => view! { <VisitorFrame /> }.into_any(),
        Err(error) => view! {
            <VisitorFrame />
            <Failure error />
        }
        .into_any(),
    }
}

/// Where it is narrow, its links are a popover, as a member's sidebar is: they are written once.
#[component]
fn VisitorFrame() -> impl IntoView {
    let links = [("/products", t!("Product Center")), ("/models", t!("Models")), ("/docs", t!("Docs")), ("/sign-in", t!("Sign in"))];
    let link = |(href, label): (&'static str, &'static str)| {
        view! {
            <a class="nav-link" href=href aria-current=current(href)>
                {label}
            </a>
        }
    };
    view! {
        <header class="topbar">
            <Wordmark />
            <nav id="visitor-links" popover="auto" aria-label=t!("Main")>
                {links.map(link).into_iter().collect_view()}
            </nav>
            <a class="button" href="/sign-up">
                {t!("Sign up")}
            </a>
            <button class="button topbar-menu" type="button" popovertarget="visitor-links">
                {t!("Menu")}
            </button>
        </header>
    }
}

#[component]
fn MemberFrame(viewer: Viewer, since: Moment) -> impl IntoView {
    // Nothing changes on the page of whoever sees nothing of an account.
    let (sandbox, verified, follows) = (viewer.sandbox, viewer.verified, viewer.wallet.is_some());
    let warnings = viewer.wallet.as_ref().map(|wallet| wallet.warnings.clone()).unwrap_or_default();
    let may_buy = viewer.role >= Role::Admin;
    let to_look_at = viewer.to_look_at;
    let head = member_head_html(&viewer);
    view! {
        {InertElement::new(head)}
        {follows.then(|| view! { <Follow since=since.0 /> })}
        <Palette />
        <Switches unreachable=sentence(ConsoleError::Unreachable) />
        // Where there is nothing to copy it may come: with what unfolds, or is read anew.
        {copies()}
        <div class="toasts" id="toasts" aria-live="polite"></div>
        {sandbox
            .then(|| {
                view! {
                    <Banner kind=BannerKind::Sandbox label=t!("Sandbox") title=t!("Sandbox.")>
                        {t!("Payments are play money, and the sandbox supplier makes its answers up.")}
                    </Banner>
                }
            })}
        <div data-live="warnings">{warnings.into_iter().map(|warning| view! { <WalletBanner warning may_buy /> }).collect_view()}</div>
        {to_look_at
            .filter(|count| *count > 0)
            .map(|count| {
                view! {
                    <Banner kind=BannerKind::Bad label=t!("Payments that fit no order") title=t!("Payments fit no order.")>
                        {t!("{count} wait for an operator.", count = count)}
                        " "
                        <a href=OPERATOR_PAYMENTS>{t!("Look at them")}</a>
                    </Banner>
                }
            })}
        {(!verified)
            .then(|| {
                view! {
                    <Banner kind=BannerKind::Confirm label=t!("Unconfirmed address") title=t!("Confirm your address.")>
                        {t!("Only then can a forgotten password be replaced.")}
                        " "
                        <a href="/verify-email">{t!("How?")}</a>
                    </Banner>
                }
            })}
    }
}

/// What a link says that leads to the page itself, or to one that this page is a part of.
fn current(href: &str) -> Option<&'static str> {
    is_within(&use_location().pathname.get_untracked(), href).then_some("page")
}

fn is_within(path: &str, href: &str) -> bool {
    path.strip_prefix(href).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What stands beside a member's page, or above it. As text: every page has all of it.
fn member_head_html(viewer: &Viewer) -> String {
    let mut html = String::with_capacity(8 << 10);
    // Where it is narrow, the sidebar is a popover: the browser opens it, closes it with Escape or a tap beside it, and gives the focus back.
    push_all(&mut html, &[r#"<header class="sidebar" id="sidebar" popover="auto">"#, WORDMARK, &palette_link_html()]);
    push_nav(&mut html, viewer.to_look_at.is_some());
    push_foot(&mut html, viewer);
    push_all(&mut html, &[r#"</header><header class="topbar topbar-member">"#, WORDMARK]);
    push!(html, r#"<button class="button" type="button" popovertarget="sidebar">{}</button></header>"#, Escaped(t!("Menu")));
    html
}

/// All links ask for the same path.
fn push_nav(html: &mut String, operator: bool) {
    let path = use_location().pathname.get_untracked();
    let business = operator.then(|| (OPERATOR_PAYMENTS, t!("Payments"), Icon::Orders));
    push!(html, r#"<nav aria-label="{}">"#, Escaped(t!("Main")));
    for (href, label, icon) in destinations().into_iter().chain(business) {
        let here = if is_within(&path, href) { r#" aria-current="page""# } else { "" };
        push!(html, r#"<a class="nav-link" href="{href}"{here}>{}{}</a>"#, icon_html(icon), Escaped(label));
    }
    html.push_str("</nav>");
}

fn push_foot(html: &mut String, viewer: &Viewer) {
    html.push_str(r#"<div class="frame-foot">"#);
    if let Some(wallet) = &viewer.wallet {
        html.push_str(r#"<a class="frame-balance" href="/wallet" data-live="balance-of-frame">"#);
        push!(html, "{} {}</a>", Escaped(t!("Balance in Tokens")), amount_html(wallet.balance));
    }
    html.push_str(&view! { <AccountSwitch accounts=viewer.accounts.clone() /> }.to_html());
    let email = escaped(viewer.email.as_str());
    push!(html, r#"<div class="frame-user"><span title="{email}">{email}</span><form method="post" action="{}">"#, SignOut::PATH);
    push!(html, r#"<button class="button button-quiet" type="submit">{}</button></form></div></div>"#, Escaped(t!("Sign out")));
}

/// For whoever belongs to several accounts: which of them this is, and the others.
#[component]
fn AccountSwitch(accounts: Vec<AccountChoice>) -> impl IntoView {
    (!accounts.is_empty()).then(|| {
        let options = accounts
            .into_iter()
            .map(|account| view! { <option value=account.account_id.to_string() selected=account.current>{account.name}</option> })
            .collect_view();
        view! {
            <form method="post" action=SwitchAccount::PATH class="account-switch">
                <select name="account_id" aria-label=t!("Account")>
                    {options}
                </select>
                <button class="button button-quiet" type="submit">
                    {t!("Switch")}
                </button>
            </form>
        }
    })
}

/// Shown where no route is, in the frame of whoever is lost. The server's fallback handler answers it with 404; nothing here needs to.
#[component]
pub fn NotFoundPage() -> impl IntoView {
    view! {
        <Title text=t!("Page not found") />
        <Framed>
            <section class="empty">
                <h1>{t!("Page not found")}</h1>
                <p>{t!("The address may be mistyped, or the page has moved.")}</p>
                <a class="button" href="/">
                    {t!("Go to the start page")}
                </a>
            </section>
        </Framed>
    }
    .into_any()
}
