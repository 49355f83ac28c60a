//! How to call with a key: the secret, the one time it is shown, and examples ready to paste.

use crate::keys::types::ShownSecret;
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

/// What the examples have in common.
struct Example<'a> {
    base_url: &'a str,
    model_id: &'a str,
    /// None = it is read from the environment.
    secret: Option<&'a str>,
}

impl Example<'_> {
    fn curl(&self) -> String {
        let secret = self.secret.unwrap_or("$TOKI_API_KEY");
        format!(
            r#"curl {base_url}/chat/completions \
  -H "Authorization: Bearer {secret}" \
  -H "Content-Type: application/json" \
  -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello"}}]}}'"#,
            base_url = self.base_url,
            model = self.model_id,
        )
    }

    fn python(&self) -> String {
        let (import, secret) = match self.secret {
            Some(secret) => ("", format!("\"{secret}\"")),
            None => ("import os\n", "os.environ[\"TOKI_API_KEY\"]".to_string()),
        };
        format!(
            r#"{import}from openai import OpenAI

client = OpenAI(base_url="{base_url}", api_key={secret})
answer = client.chat.completions.create(
    model="{model}",
    messages=[{{"role": "user", "content": "Hello"}}],
)
print(answer.choices[0].message.content)"#,
            base_url = self.base_url,
            model = self.model_id,
        )
    }

    fn node(&self) -> String {
        let secret = match self.secret {
            Some(secret) => format!("\"{secret}\""),
            None => "process.env.TOKI_API_KEY".to_string(),
        };
        format!(
            r#"import OpenAI from "openai";

const client = new OpenAI({{ baseURL: "{base_url}", apiKey: {secret} }});
const answer = await client.chat.completions.create({{
  model: "{model}",
  messages: [{{ role: "user", content: "Hello" }}],
}});
console.log(answer.choices[0].message.content);"#,
            base_url = self.base_url,
            model = self.model_id,
        )
    }
}

/// Examples for curl, Python and Node, with this key where its secret is known and `TOKI_API_KEY` of the environment where not.
#[component]
pub fn Snippets(base_url: String, model_id: Option<String>, secret: Option<ShownSecret>) -> impl IntoView {
    let example = Example {
        base_url: &base_url,
        model_id: model_id.as_deref().unwrap_or("vendor/model"),
        secret: secret.as_ref().map(|secret| secret.0.as_str()),
    };
    let snippets = [("curl", example.curl()), ("Python", example.python()), ("Node", example.node())];
    let hint = secret.is_none().then(|| {
        let name = view! { <code class="mono">"$TOKI_API_KEY"</code> };
        view! { <p class="muted">{tv!("The examples read the key from the environment variable {name}.", name = name)}</p> }
    });
    view! {
        <section class="card stack snippets" id="snippets">
            <h2>{t!("Call with it")}</h2>
            <p class="row">
                {tv!("Base URL: {url}", url = view! { <code class="mono">{base_url.clone()}</code> })}
                <CopyButton text=base_url />
            </p>
            {hint}
            {snippets
                .into_iter()
                .map(|(language, code)| {
                    view! {
                        <details name="snippet" open=language == "curl">
                            <summary>{language}</summary>
                            <pre class="code-block" tabindex="0" role="region" aria-label=t!("Example")><code>{code.clone()}</code></pre>
                            <CopyButton text=code />
                        </details>
                    }
                })
                .collect_view()}
        </section>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_carry_the_key_or_where_to_find_it() {
        let known = Example { base_url: "https://toki.example/v1", model_id: "alpha/one", secret: Some("sk-toki-x") };
        let unknown = Example { secret: None, ..known };
        for code in [known.curl(), known.python(), known.node()] {
            assert!(code.contains("sk-toki-x") && !code.contains("TOKI_API_KEY"), "{code}");
            assert!(code.contains("https://toki.example/v1") && code.contains("alpha/one"), "{code}");
        }
        for code in [unknown.curl(), unknown.python(), unknown.node()] {
            assert!(code.contains("TOKI_API_KEY") && !code.contains("sk-toki-"), "{code}");
        }
    }
}
