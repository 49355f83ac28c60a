//! The guide's components, each in its states.

use crate::error::ConsoleError;
use crate::i18n::language;
use crate::search::page::hit;
use crate::search::palette::PaletteDialog;
use crate::tokens::Tokens;
use crate::ui::amount::TokenAmount;
use crate::ui::badge::{Badge, BadgeKind};
use crate::ui::banner::{Banner, BannerKind};
use crate::ui::code_tabs::{CodeTab, CodeTabs, code_panel};
use crate::ui::empty_state::EmptyState;
use crate::ui::form::FormError;
use crate::ui::overlay::{AskingForm, CloseDialog, Dialog, DialogActions, Menu, OpenDialog, Side};
use crate::ui::pages::Pages;
use crate::ui::quota::QuotaBar;
use crate::ui::skeleton::Skeleton;
use crate::ui::snippet::Snippet;
use crate::ui::stat::{Change, Stat};
use crate::ui::style_guide::charts::Charts;
use crate::ui::style_guide::fields::Fields;
use crate::ui::style_guide::{self, Part};
use crate::ui::table::{CardTable, Head, Row};
use crate::ui::tabs::{Tab, Tabs};
use leptos::prelude::*;

/// `theme` makes the ids of the two renderings differ.
#[component]
pub fn Samples(theme: &'static str) -> impl IntoView {
    view! {
        <Buttons />
        <Overlays theme />
        <Messages />
        <Fields theme />
        <Numbers />
        <Code theme />
        <Lists />
        <Charts theme />
    }
}

#[component]
fn Buttons() -> impl IntoView {
    view! {
        <Part title="Buttons and badges">
            <div class="row">
                <button class="button button-primary" type="button">"Primary"</button>
                <button class="button" type="button">"Button"</button>
                <button class="button button-quiet" type="button">"Quiet"</button>
                <button class="button button-danger" type="button">"Danger"</button>
            </div>
            <div class="row">
                <button class="button button-primary" type="button" disabled>"Primary"</button>
                <button class="button" type="button" disabled>"Disabled"</button>
            </div>
            <div class="row">
                <Badge kind=BadgeKind::Ok text="Enabled" />
                <Badge kind=BadgeKind::Warn text="Expires soon" />
                <Badge kind=BadgeKind::Bad text="Expired" />
                <Badge kind=BadgeKind::Quiet text="Disabled" />
            </div>
        </Part>
    }
}

#[component]
fn Overlays(theme: &'static str) -> impl IntoView {
    let (dialog, drawer, menu) = (format!("{theme}-dialog"), format!("{theme}-drawer"), format!("{theme}-menu"));
    let palette = format!("{theme}-palette");
    let found = [("Wallet", "", "Page"), ("Support bot", "sk-toki-ab…yz", "API key"), ("Starter", "24 Dec 2026, $5.00, Paid", "Order")];
    let found = found.map(|(name, facts, kind)| hit("#main".into(), name.into(), facts.into(), kind));
    view! {
        <Part title="Dialog, drawer, palette, menu">
            <div class="row">
                <OpenDialog id=dialog.clone()>"Open the dialog"</OpenDialog>
                <OpenDialog id=drawer.clone()>"Open the drawer"</OpenDialog>
                <OpenDialog id=palette.clone()>"Open the palette"</OpenDialog>
                <AskingForm
                    id=format!("{theme}-question")
                    opens="Open the question"
                    title="Remove bob@example.com?"
                    action=style_guide::PATH
                    does="Remove bob@example.com"
                    instead="Keep them"
                >
                    <p>"Their sessions in this account end at once."</p>
                </AskingForm>
                <AskingForm
                    id=format!("{theme}-harmless")
                    opens="Open the harmless question"
                    title="Role of bob@example.com"
                    action=style_guide::PATH
                    does="Change the role"
                    harmless=true
                >
                    <p>"They see what the role lets them see from the next page on."</p>
                </AskingForm>
                <Menu id=menu label="More for Support bot">
                    <li><a href="#main">"Edit"</a></li>
                    <li><button type="button">"Disable"</button></li>
                    <li><button type="button" class="menu-danger">"Delete"</button></li>
                </Menu>
                <Menu id=format!("{theme}-menu-text") label="Download" text="Download">
                    <li><a href="#main">"CSV"</a></li>
                </Menu>
            </div>
            <Dialog id=dialog.clone() title="Delete Support bot?">
                <p>"Calls with this key are refused from now on. What it spent stays in your usage."</p>
                <DialogActions>
                    <button class="button button-danger" type="button">"Delete the key"</button>
                    <CloseDialog id=dialog>"Keep it"</CloseDialog>
                </DialogActions>
            </Dialog>
            <Dialog id=drawer title="Call 0192f3" side=Side::Right>
                <dl class="facts">
                    <dt>"Model"</dt>
                    <dd class="mono">"acme/large-2"</dd>
                    <dt>"Charge"</dt>
                    <dd><TokenAmount tokens=Tokens(4_321) /></dd>
                    <dt>"Basis"</dt>
                    <dd>"Measured"</dd>
                </dl>
            </Dialog>
            <PaletteDialog id=palette>
                <ul class="found">{found.into_iter().collect_view()}</ul>
            </PaletteDialog>
        </Part>
    }
}

#[component]
fn Messages() -> impl IntoView {
    let banner = |kind, title: &'static str, text: &'static str| view! { <Banner kind label=title title=title>{text}</Banner> };
    view! {
        <Part title="Messages">
            {banner(BannerKind::Sandbox, "Sandbox.", "Payments are play money.")}
            {banner(BannerKind::Confirm, "Confirm your address.", "Only then can a forgotten password be replaced.")}
            {banner(BannerKind::Warn, "Your balance is low.", "At this pace it lasts until tomorrow.")}
            {banner(BannerKind::Bad, "Your balance is used up.", "Calls are refused until you buy Tokens.")}
            <p class="notice">"A notice."</p>
            <p class="notice notice-ok">"It is done."</p>
            <p class="notice notice-warn">"Mind this."</p>
            <FormError error=Some(ConsoleError::WrongCredentials) />
            <p class="toast">"The server could not be reached."</p>
            <div class="card" aria-busy="true">
                <h3>"Still on its way"</h3>
                <Skeleton lines=3 />
            </div>
            <EmptyState title="No keys yet" text="A key lets your client call." action_href="#main" action_label="Create a key" />
        </Part>
    }
}

#[component]
fn Numbers() -> impl IntoView {
    let stat = |before, note: Option<&'static str>| {
        let note = note.map(IntoAny::into_any);
        let change = Change { now: Tokens(1_234_567), before: Tokens(before), since: language().choose("yesterday", "昨天") };
        view! { <div class="card"><Stat label="Tokens charged" note=note change><TokenAmount tokens=Tokens(1_234_567) /></Stat></div> }
    };
    let quota = |left| view! { <QuotaBar all=Tokens(1_000_000) left=Tokens(left) label="Left of Starter" /> };
    view! {
        <Part title="Numbers">
            <div class="cards">
                {stat(1_102_000, None)}
                {stat(9_102_000, Some("3 calls failed"))}
                {stat(0, None)}
                {stat(1_234_567, None)}
            </div>
            <div class="card">{[820_000, 280_000, 64_000, 0].map(quota).into_iter().collect_view()}</div>
        </Part>
    }
}

const CURL: &str = r#"curl https://toki.example/v1/chat/completions \
  -H "Authorization: Bearer $TOKI_KEY" \
  -d '{"model": "acme/large-2"}'"#;

const PYTHON: &str = r#"from openai import OpenAI

client = OpenAI(base_url="https://toki.example/v1", api_key="sk-toki-ab…yz")"#;

#[component]
fn Code(theme: &'static str) -> impl IntoView {
    let none = r#"<p class="muted">No model of this key answers in what this program speaks.</p>"#.into();
    let tabs = vec![
        CodeTab { section: "curl", name: "curl", panel: code_panel("curl", None, CURL) },
        CodeTab { section: "python", name: "Python", panel: code_panel("Python", Some("With OpenAI’s package."), PYTHON) },
        CodeTab { section: "none", name: "Claude Code", panel: none },
    ];
    view! {
        <Part title="Code">
            <Snippet label=format!("curl, {theme}") code=CURL />
            <CodeTabs label="Programs" group=format!("{theme}-program") tabs />
        </Part>
    }
}

#[component]
fn Lists() -> impl IntoView {
    let tabs = ["Overview", "Calls", "Limits"].map(|name| Tab { name: name.into(), href: "#main".into(), here: name == "Calls" });
    let row = |name: &'static str, kind, state: &'static str, tokens| {
        let badge = view! { <Badge kind text=state /> };
        Row(vec![
            view! { <a href="#main">{name}</a> }.into_any(),
            badge.into_any(),
            view! { <TokenAmount tokens=Tokens(tokens) /> }.into_any(),
        ])
    };
    let rows = vec![
        row("Support bot", BadgeKind::Ok, "Enabled", 1_234_567),
        row("A name that is rather long, as names come to be", BadgeKind::Quiet, "Disabled", 89_000),
    ];
    let heads = vec![Head::text("Name"), Head::text("Status"), Head::figure("Spent")];
    view! {
        <Part title="Lists">
            <Tabs label="Views of the key" tabs=tabs.to_vec() />
            <CardTable caption="Keys" heads rows />
            <Pages label="Keys, page by page" newest=Some("#main".into()) newer=Some("#main".into()) older=Some("#main".into()) />
        </Part>
    }
}
