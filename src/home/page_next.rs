//! What a new customer does next, said where they have just done the step before: it ends with the first call.

/// For pages that show it beside what is theirs.
pub use crate::home::server_fns::read_first_steps;

use crate::error::ConsoleError;
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

/// `here`: what is done on this page, and need not be offered on it. `try_here`: where this page itself makes a call.
#[component]
pub fn NextStep(
    here: Step,
    #[prop(optional)] try_here: Option<&'static str>,
    /// The page is about something else, and whole without them.
    steps: Result<FirstSteps, ConsoleError>,
) -> impl IntoView {
    let offered = steps.ok().and_then(|steps| Some((steps, steps.offered().filter(|next| *next != here)?)));
    let next = offered.map(|(steps, next)| {
        let (text, href, label) = step_words(next, steps);
        let href = try_here.filter(|_| next == Step::Call).map_or(href, str::to_string);
        view! {
            <p class="notice row row-between">
                <span>{t!("Next: {step}", step = text)}</span>
                <a class="button" href=href>
                    {label}
                </a>
            </p>
        }
    });
    view! { <div class="next-step" data-live="next-step">{next}</div> }
}
