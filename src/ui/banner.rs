//! What is said across the whole page, above its content, and for as long as it is so.

use leptos::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BannerKind {
    /// Payments are play money.
    Sandbox,
    /// Something of the reader's is to be confirmed.
    Confirm,
    Warn,
    Bad,
}

impl BannerKind {
    fn class(self) -> &'static str {
        match self {
            BannerKind::Sandbox => "banner banner-sandbox",
            BannerKind::Confirm => "banner banner-confirm",
            BannerKind::Warn => "banner banner-warn",
            BannerKind::Bad => "banner banner-bad",
        }
    }
}

/// `label` names it among a page's landmarks, `title` begins it; the children go on.
#[component]
pub fn Banner(kind: BannerKind, #[prop(into)] label: String, #[prop(into)] title: String, children: Children) -> impl IntoView {
    view! {
        <aside class=kind.class() aria-label=label>
            <strong>{title}</strong>
            " "
            {children()}
        </aside>
    }
}
