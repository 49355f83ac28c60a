//! The Rust example of the docs, so that it is linted and its crates are compiled; `docs::tests` holds that they are the same, and
//! `examples.py` runs what the page shows.
#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a program of its own, which has an environment and prints")]

use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let request = json!({"model": "sandbox/echo", "messages": [{"role": "user", "content": "Hello"}]});
    let response = reqwest::Client::new()
        .post("http://127.0.0.1:3000/v1/chat/completions")
        .bearer_auth(std::env::var("TOKI_KEY")?)
        .json(&request)
        .send()
        .await?;
    let answer: Value = response.error_for_status()?.json().await?;
    println!("{}", answer["choices"][0]["message"]["content"]);
    Ok(())
}
