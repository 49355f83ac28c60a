//! Short words on what was just done, at the edge of the window. One region a page, there from the start: what comes into it is read out.

use crate::t;
use leptos::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToastKind {
    Done,
    Failed,
}

/// Holds the page's toasts; empty, it takes no place.
#[component]
pub fn Toasts(children: Children) -> impl IntoView {
    view! {
        <section class="toasts" role="status" aria-live="polite" aria-label=t!("Messages")>
            {children()}
        </section>
    }
}

#[component]
pub fn Toast(kind: ToastKind, children: Children) -> impl IntoView {
    let class = match kind {
        ToastKind::Done => "toast toast-done",
        ToastKind::Failed => "toast toast-failed",
    };
    view! { <p class=class>{children()}</p> }
}
