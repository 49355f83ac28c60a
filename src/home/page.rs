//! The landing page: what this is, what it costs, how to call it. The dashboard is in `page_dashboard`.

pub use crate::home::page_dashboard::DashboardPage;

use crate::error::ConsoleError;
use crate::home::server_fns::read_front;
use crate::home::types::{Front, Teaser};
use crate::i18n::language;
use crate::t;
use crate::ui::amount::{Price, TokenAmount};
use crate::ui::failure::Failure;
use crate::ui::page_data::with_data;
use crate::ui::snippet::Snippet;
use crate::ui::utc_time::validity;
use leptos::prelude::*;
use leptos_meta::{Meta, Title};

#[component]
pub fn HomePage() -> impl IntoView {
    let front = read_front();
    view! {
        <Title text="" />
        <Meta
            name="description"
            content=t!(
                "Buy packages of Tokens, hand them out through API keys, and call every model through one OpenAI-compatible endpoint."
            )
        />
        <section class="hero">
            <h1>{t!("One wallet of Tokens for every model")}</h1>
            <p class="lead">
                {t!(
                    "Buy a package, create a key, and point any OpenAI client here. Every Token that comes in or goes out is on the \
                     record, to the last one."
                )}
            </p>
            <div class="row">
                <a class="button button-primary" href="/sign-up">
                    {t!("Create an account")}
                </a>
                <a class="button" href="/products">
                    {t!("See the packages")}
                </a>
            </div>
        </section>
        {with_data(front, front_view)}
    }
    .into_any()
}

fn front_view(front: Result<Front, ConsoleError>) -> AnyView {
    match front {
        Ok(front) => view! {
            <PackageTeasers packages=front.packages />
            <HowToCall base_url=front.base_url model_id=front.model_id />
        }
        .into_any(),
        Err(error) => view! { <Failure error /> }.into_any(),
    }
}

#[component]
fn PackageTeasers(packages: Vec<Teaser>) -> impl IntoView {
    if packages.is_empty() {
        return view! { <p class="notice">{t!("No package is on sale at the moment. You can create an account already.")}</p> }.into_any();
    }
    let cards = packages.into_iter().map(|package| {
        view! {
            <li class="card teaser">
                <h3>{package.name}</h3>
                <div class="stat">
                    <span>{t!("Tokens")}</span>
                    <span>
                        <TokenAmount tokens=package.tokens />
                    </span>
                    <span>{t!("valid for {time}", time = validity(package.valid_for_s))}</span>
                </div>
                <p>
                    <strong>
                        <Price money=package.price.clone() />
                    </strong>
                    {package
                        .price
                        .per_million(package.tokens)
                        .map(|price| view! { <span class="muted">" · " {t!("{price} a million", price = price.exact_in(language()))}</span> })}
                </p>
            </li>
        }
    });
    view! {
        <section class="stack">
            <div class="page-head">
                <h2>{t!("Packages on sale")}</h2>
                <a href="/products">{t!("Open the Product Center")}</a>
            </div>
            <ul class="cards">{cards.collect_view()}</ul>
        </section>
    }
    .into_any()
}

/// The two things a client must be told, and a call to try.
#[component]
fn HowToCall(base_url: String, model_id: Option<String>) -> impl IntoView {
    let model_id = model_id.unwrap_or_else(|| "vendor/model".to_string());
    let settings = format!("export OPENAI_BASE_URL={base_url}\nexport OPENAI_API_KEY=sk-toki-…");
    let call = format!(
        "curl {base_url}/chat/completions \\\n  -H \"Authorization: Bearer $OPENAI_API_KEY\" \\\n  \
         -H \"Content-Type: application/json\" \\\n  \
         -d '{{\"model\": \"{model_id}\", \"messages\": [{{\"role\": \"user\", \"content\": \"Hello\"}}]}}'"
    );
    view! {
        <section class="stack">
            <h2>{t!("Call it with what you have")}</h2>
            <Snippet label=t!("Any OpenAI client reads these two") code=settings />
            <Snippet label=t!("Or by hand") code=call />
        </section>
    }
}
