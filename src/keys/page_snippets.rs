//! How to call with a key: the secret, the one time it is shown, and examples ready to paste.

use crate::docs::examples::client_example;
use crate::docs::types::Reader;
use crate::keys::types::ShownSecret;
use crate::ui::code_tabs::{CodeTab, CodeTabs, code_panel};
use crate::ui::copy::CopyButton;
use crate::{t, tv};
use leptos::prelude::*;

#[component]
pub fn NewSecret(secret: ShownSecret) -> impl IntoView {
    view! {
        <section class="notice notice-ok" role="status">
            <h2>{t!("Copy your key now")}</h2>
            <p>{t!("You won't see it again: we keep only a fingerprint of it. If it gets lost, make a new secret.")}</p>
            <div class="row">
                <code class="mono" id="new-secret">{secret.0.clone()}</code>
                <CopyButton text=secret.0 label=t!("Copy the key") />
            </div>
        </section>
    }
}

/// A program that calls with a key: what its tab is called, and the section of the docs that has its example.
struct Client {
    name: &'static str,
    section: &'static str,
    /// It speaks Anthropic's protocol, in which not every model answers.
    anthropic: bool,
}

const CLIENTS: [Client; 5] = [
    Client { name: "curl", section: "curl", anthropic: false },
    Client { name: "Python", section: "python", anthropic: false },
    Client { name: "Node.js", section: "node", anthropic: false },
    Client { name: "Claude Code", section: "claude-code", anthropic: true },
    Client { name: "Open WebUI", section: "open-webui", anthropic: false },
];

/// Where the file of settings lies, or what else there is to know.
fn note(section: &str) -> Option<&'static str> {
    match section {
        "python" => Some(t!("With OpenAI’s package: pip install openai.")),
        "node" => Some(t!("With OpenAI’s package: npm install openai.")),
        "claude-code" => Some(t!("In ~/.claude/settings.json, a file of your own.")),
        "open-webui" => Some(t!("As a compose file.")),
        _ => None,
    }
}

/// Code of the docs reads the key from the environment, each language in its way; with this it has the key itself.
fn with_secret(code: &str, secret: &str) -> String {
    let quoted = format!("\"{secret}\"");
    code.replace("import os\n", "")
        .replace("os.environ[\"TOKI_KEY\"]", &quoted)
        .replace("process.env.TOKI_KEY", &quoted)
        .replace("${TOKI_KEY}", secret)
        .replace("$TOKI_KEY", secret)
}

/// The examples of the docs, a tab each, with this key where its secret is known and `TOKI_KEY` of the environment where not.
#[component]
pub fn Snippets(
    /// This server, and a model that the key may call.
    reader: Reader,
    /// One that it may call in Anthropic's protocol.
    anthropic_model_id: Option<String>,
    secret: Option<ShownSecret>,
) -> impl IntoView {
    let hint = secret.is_none().then(|| {
        let name = view! { <code class="mono">"TOKI_KEY"</code> };
        view! { <p class="muted">{tv!("The examples read the key from the environment variable {name}.", name = name)}</p> }
    });
    let anthropic = anthropic_model_id.map(|model_id| Reader { model_id: Some(model_id), ..reader.clone() });
    let tabs = CLIENTS.map(|client| {
        let reader = if client.anthropic { anthropic.as_ref() } else { Some(&reader) };
        let code = reader.and_then(|reader| client_example(client.section, reader));
        let code = code.map(|code| match &secret {
            Some(secret) => with_secret(&code, &secret.0),
            None => code,
        });
        CodeTab { section: client.section, name: client.name, panel: panel(&client, code) }
    });
    let base_url = reader.fill("{{base_url}}");
    view! {
        <section class="card stack snippets" id="snippets">
            <h2>{t!("Call with it")}</h2>
            <p class="row">
                {tv!("Base URL: {url}", url = view! { <code class="mono">{base_url.clone()}</code> })}
                <CopyButton text=base_url />
            </p>
            {hint}
            <CodeTabs label=t!("Clients") group="client" tabs=Vec::from(tabs) />
            <p>
                <a href="/docs/clients">{t!("More clients, in the docs")}</a>
            </p>
        </section>
    }
}

/// As HTML. `code`: none where no model of the key answers in what the client speaks.
fn panel(client: &Client, code: Option<String>) -> String {
    match code {
        Some(code) => code_panel(client.name, note(client.section), &code),
        None => format!(r#"<p class="muted">{}</p>"#, t!("No model that this key can call answers in Anthropic’s protocol.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_carry_the_key_or_where_to_find_it() {
        let reader = Reader { server_url: "https://toki.example".into(), model_id: Some("alpha/one".into()) };
        for Client { name, section, .. } in CLIENTS {
            let code = client_example(section, &reader).expect("the docs have it");
            assert!(code.contains("TOKI_KEY") && code.contains("https://toki.example"), "{name}: {code}");
            let known = with_secret(&code, "sk-toki-x");
            assert!(known.contains("sk-toki-x") && !known.contains("TOKI_KEY") && !known.contains("import os"), "{name}: {known}");
        }
        let python = client_example("python", &reader).expect("an example");
        assert!(with_secret(&python, "sk-toki-x").contains(r#"api_key="sk-toki-x")"#), "{python}");
    }
}
