//! What opens over a page, without a script: dialogs and drawers by the browser's own means, menus as popovers.
//!
//! The button that opens one names it twice. `command` opens it as a modal: the page behind is inert, Escape closes it, and the focus goes
//! back. A browser that does not know `command` yet opens the same element as a popover, which Escape or a tap beside it closes.

use crate::t;
use crate::ui::icon::{Icon, IconView};
use leptos::prelude::*;

/// What a dialog looks like, and where it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Side {
    /// In the middle: a question.
    #[default]
    Middle,
    /// At the right, from top to bottom: more about what is on the page.
    Right,
}

/// The button that opens the dialog `id`.
#[component]
pub fn OpenDialog(#[prop(into)] id: String, #[prop(default = "button")] class: &'static str, children: Children) -> impl IntoView {
    view! {
        <button class=class type="button" commandfor=id.clone() command="show-modal" popovertarget=id aria-haspopup="dialog">
            {children()}
        </button>
    }
}

/// `title` names it and stands above the children; its last child is the row of buttons, as [`DialogActions`].
#[component]
pub fn Dialog(#[prop(into)] id: String, #[prop(into)] title: String, #[prop(optional)] side: Side, children: Children) -> impl IntoView {
    let class = match side {
        Side::Middle => "dialog",
        Side::Right => "dialog drawer",
    };
    let title_id = format!("{id}-title");
    view! {
        <dialog class=class id=id popover="auto" aria-labelledby=title_id>
            <div class="dialog-head">
                <h2 id=title_id.clone()>{title}</h2>
                <CloseDialog id=id.clone() class="button button-quiet">
                    {t!("Close")}
                </CloseDialog>
            </div>
            {children()}
        </dialog>
    }
}

/// Closes the dialog `id` and does nothing else.
#[component]
pub fn CloseDialog(#[prop(into)] id: String, #[prop(default = "button")] class: &'static str, children: Children) -> impl IntoView {
    view! {
        <button class=class type="button" commandfor=id.clone() command="close" popovertarget=id popovertargetaction="hide">
            {children()}
        </button>
    }
}

/// The buttons at the foot of a dialog: the one that does it first, as everywhere.
#[component]
pub fn DialogActions(children: Children) -> impl IntoView {
    view! { <div class="row dialog-actions">{children()}</div> }
}

/// A button, and behind it the dialog that asks before it does something. The children say what follows, and have the form's fields.
#[component]
pub fn AskingForm(
    #[prop(into)] id: String,
    /// What the button says that opens the dialog, and how it looks.
    opens: &'static str,
    #[prop(default = "button")] class: &'static str,
    #[prop(into)] title: String,
    /// Where the form goes.
    action: &'static str,
    /// What the button says that does it.
    #[prop(into)]
    does: String,
    /// What the button says that does not.
    #[prop(default = t!("Cancel"))]
    instead: &'static str,
    /// Whether it can be undone, and so is no danger.
    #[prop(optional)]
    harmless: bool,
    children: Children,
) -> impl IntoView {
    let (does_class, instead_class) = if harmless { ("button", "button button-quiet") } else { ("button button-danger", "button") };
    view! {
        <OpenDialog id=id.clone() class=class>
            {opens}
        </OpenDialog>
        <Dialog id=id.clone() title>
            <form class="stack" method="post" action=action>
                {children()}
                <DialogActions>
                    <button class=does_class type="submit">
                        {does}
                    </button>
                    <CloseDialog id=id class=instead_class>
                        {instead}
                    </CloseDialog>
                </DialogActions>
            </form>
        </Dialog>
    }
}

/// A button and the few things it offers: links and buttons, each an `li`. `label` names what they are about: `More for Support bot`.
/// The dialog that one of them opens stands in the same `li`: the menu then stays behind it, and has the focus again when it closes.
#[component]
pub fn Menu(
    #[prop(into)] id: String,
    #[prop(into)] label: String,
    /// What the button says; without it, three dots and a word, which a table of many columns leaves out, and the label to who hears it.
    #[prop(optional)]
    text: Option<&'static str>,
    children: Children,
) -> impl IntoView {
    let face = match text {
        Some(text) => view! { <>{text} <IconView icon=Icon::Open /></> }.into_any(),
        None => view! { <><IconView icon=Icon::More /> <span>{t!("More")}</span></> }.into_any(),
    };
    let named = text.is_none().then(|| label.clone());
    view! {
        <button class="button button-quiet menu-button" type="button" popovertarget=id.clone() aria-label=named>
            {face}
        </button>
        <div class="menu" id=id popover="auto" role="group" aria-label=label>
            <ul>{children()}</ul>
        </div>
    }
}
