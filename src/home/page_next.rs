//! What a new customer does next, said where they have just done the step before: it ends with the first call.

/// For pages that show it beside what is theirs.
pub use crate::home::server_fns::read_first_steps;

use crate::accounts::page_rights::who_buys;
use crate::home::types::{FirstSteps, Step};
use crate::t;
use leptos::prelude::*;

/// What a step is called, and where it is done.
pub(super) fn step_words(step: Step, steps: FirstSteps) -> (&'static str, String, &'static str) {
    match (step, steps.key_id) {
        (Step::Buy, _) => (t!("Buy a package of Tokens"), "/products".into(), t!("Product Center")),
        (Step::Key, _) => (t!("Create an API key"), "/keys#create".into(), t!("Create a key")),
        (Step::Call, Some(key_id)) => (t!("Make the first call"), format!("/keys/{key_id}#try"), t!("Try it")),
        // Nothing to call with: every key is disabled, or gone.
        (Step::Call, None) => (t!("Make the first call"), "/keys".into(), t!("API keys")),
    }
}

/// Who takes a step that is not the reader's to take.
pub(super) fn who_can(step: Step) -> &'static str {
    match step {
        Step::Buy => who_buys(),
        Step::Key | Step::Call => t!("Members, admins and owners of this account make keys and call with them."),
    }
}

/// `here`: what is done on this page, and need not be offered on it. `try_here`: where this page itself makes a call.
#[component]
pub fn NextStep(
    here: Step,
    #[prop(optional)] try_here: Option<&'static str>,
    /// None where all are taken, or they could not be read: the page is about something else, and whole without them.
    steps: Option<FirstSteps>,
) -> impl IntoView {
    let open = steps.and_then(|steps| Some((steps, steps.next().filter(|next| *next != here)?)));
    let next = open.and_then(|(steps, next)| {
        let (text, href, label) = step_words(next, steps);
        let href = try_here.filter(|_| next == Step::Call).map_or(href, str::to_string);
        let how = match (steps.offered(), next) {
            (Some(_), _) => view! { <a class="button" href=href>{label}</a> }.into_any(),
            // A key without Tokens is refused: whoever made it is told who can help.
            (None, Step::Buy) => view! { <span>{who_can(next)}</span> }.into_any(),
            (None, Step::Key | Step::Call) => return None,
        };
        Some(view! { <p class="notice row row-between"><span>{t!("Next: {step}", step = text)}</span> {how}</p> })
    });
    view! { <div class="next-step" data-live="next-step">{next}</div> }
}
