//! Trying a key on its page: a prompt, a real call with the secret that is pasted, its answer and its receipt. A plain form; with a script
//! the browser makes the call itself and shows the answer as it comes (`islands::trial`).

use crate::error::{ConsoleError, Field};
use crate::ids::KeyId;
use crate::islands::trial::TrialIsland;
use crate::keys::server_fns_try::TryKey;
use crate::keys::types::ShownSecret;
use crate::keys::types_try::{Answer, LONGEST_PROMPT, Trials, Tried};
use crate::ui::control::{Choice, Select, Switch, TextArea};
use crate::ui::error_text::sentence;
use crate::ui::form::{FormError, Labelled, Submit, error_of};
use crate::ui::last_form::typed;
use crate::ui::page_data::of_address;
use crate::ui::skeleton::Skeleton;
use crate::usage::calls::{ErrorCode, explanation};
use crate::usage::types::CallView;
use crate::{t, tv};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;

/// `hint`: how the key's secret begins and ends. `model_id`: the model to begin with.
#[component]
pub fn TrySection(key_id: KeyId, hint: String, secret: Option<ShownSecret>, model_id: Option<String>, trials: Trials) -> impl IntoView {
    if trials.models.is_empty() {
        return view! {
            <section class="card stack" id="try">
                <h2>{t!("Try it")}</h2>
                <p class="muted">{t!("No model that this key can call answers at chat/completions.")}</p>
            </section>
        }
        .into_any();
    }
    let Trials { form_key, models, tried, receipt } = trials;
    let before = tried.as_ref().map(|tried| (tried.model_id.clone(), tried.prompt.clone()));
    let (model, prompt) = before.unwrap_or_else(|| (model_id.unwrap_or_default(), t!("Say hello in one sentence.").into()));
    let models = models.into_iter().map(|id| Choice { value: id.clone(), name: id }).collect();
    let call = of_address("call");
    view! {
        <section class="card stack key-form" id="try">
            <h2>{t!("Try it")}</h2>
            <p class="muted">
                {t!("A real call, as your programs make it: it spends Tokens of this key. The secret goes with the call and is not kept.")}
            </p>
            <FormError error=error_of(TryKey::PATH) />
            <form method="post" action=TryKey::PATH id="try-form" data-unreachable=sentence(ConsoleError::Unreachable)>
                <input type="hidden" name="key_id" value=key_id.to_string() />
                <input type="hidden" name="form_key" value=form_key.to_string() />
                <Fields hint secret models model=typed(TryKey::PATH, "model", model) prompt=typed(TryKey::PATH, "prompt", prompt) />
                <div class="row">
                    <Submit>{t!("Send")}</Submit>
                    <button class="button" type="button" hidden data-try="stop">
                        {t!("Stop")}
                    </button>
                    <span hidden data-try="stream">
                        <Switch name="stream" label=t!("Show the answer as it comes") on=true disabled=true />
                    </span>
                </div>
                <TrialIsland />
            </form>
            <Outcome tried />
            <div class="stack" data-live="receipt">{(!call.is_empty()).then(|| view! { <CallReceipt call receipt /> })}</div>
        </section>
    }
    .into_any()
}

#[component]
fn Fields(hint: String, secret: Option<ShownSecret>, models: Vec<Choice>, model: String, prompt: String) -> impl IntoView {
    let error = error_of(TryKey::PATH);
    // The browser refuses what is another key's, with a script or without.
    let pattern = hint.replace('…', ".*");
    let ours = t!("It begins and ends like {hint}.", hint = hint);
    view! {
        <Labelled id="try-secret" label=t!("Secret of this key") field=Field::Secret error hint=ours.clone()>
            <input
                id="try-secret"
                name="secret"
                type="password"
                required
                autocomplete="off"
                spellcheck="false"
                pattern=pattern
                title=ours
                value=secret.map(|secret| secret.0)
                aria-describedby="try-secret-hint try-secret-error"
            />
        </Labelled>
        <Labelled id="try-model" label=t!("Model") field=Field::Model error>
            <Select id="try-model" name="model" choices=models chosen=model described_by="try-model-error" />
        </Labelled>
        <Labelled id="try-prompt" label=t!("Prompt") field=Field::Prompt error>
            <TextArea
                id="try-prompt"
                name="prompt"
                text=prompt
                required=true
                maxlength=LONGEST_PROMPT.to_string()
                described_by="try-prompt-error"
            />
        </Labelled>
    }
}

/// What came of the call; empty where a script is to fill it.
#[component]
fn Outcome(tried: Option<Tried>) -> impl IntoView {
    let (text, refused) = match tried.map(|tried| tried.answer) {
        None => (None, None),
        Some(Answer::Text(text)) => (Some(text), None),
        Some(Answer::Refused { why, code }) => {
            let code = code.map(|section| view! { " " <ErrorCode section /> });
            // In the words of `/v1`, whatever the page's language.
            (None, Some(view! { <span lang="en">{why}</span> {code} }.into_any()))
        }
        Some(Answer::TooSlow) => {
            let why = t!("No answer within two minutes, so this page waits no longer. What the call costs is among the last calls.");
            (None, Some(why.into_any()))
        }
    };
    view! {
        <p class="notice notice-error try-refusal" role="alert" data-try="refusal">{refused}</p>
        <div class="try-answer" aria-live="polite" role="region" aria-label=t!("Answer") data-try="answer">
            <div data-try="text">{text}</div>
            <Skeleton lines=3 />
        </div>
    }
}

/// What the call that the address names was charged, and why.
#[component]
fn CallReceipt(call: String, receipt: Option<CallView>) -> impl IntoView {
    let Some(receipt) = receipt else {
        return view! {
            <p class="muted">
                {t!("No receipt yet. A call that was refused before it began has none, and costs nothing; one that was stopped gets it once it is settled.")}
            </p>
        }
        .into_any();
    };
    let path = view! { <code class="mono">{format!("GET /v1/receipts/{call}")}</code> };
    view! {
        <h3>{t!("Receipt of the call")}</h3>
        {explanation(receipt)}
        <p class="muted">{tv!("Your programs read the same at {path}.", path = path)}</p>
    }
    .into_any()
}
