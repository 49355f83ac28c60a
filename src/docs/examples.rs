//! The examples of the docs, for other pages: what is run there is what is shown elsewhere.

use crate::docs::contents::DOCS;
use crate::docs::types::Reader;
use crate::i18n::Language;
use std::sync::LazyLock;

/// The first code in this section of the page about clients, filled for the reader.
pub fn client_example(anchor: &str, reader: &Reader) -> Option<String> {
    example("clients", anchor, reader)
}

/// A call of this endpoint, for curl: `chat/completions`, `messages`.
pub fn endpoint_example(endpoint: &str, reader: &Reader) -> Option<String> {
    match endpoint {
        "chat/completions" => client_example("curl", reader),
        endpoint => example("endpoints", endpoint, reader),
    }
}

fn example(page: &str, anchor: &str, reader: &Reader) -> Option<String> {
    let (_, _, code) = EXAMPLES.iter().find(|(of, at, _)| *of == page && *at == anchor)?;
    Some(reader.fill(code))
}

/// The first code of each section that has some, with page and section. The texts are a part of the program, and a page may show dozens.
static EXAMPLES: LazyLock<Vec<(&str, &str, &str)>> = LazyLock::new(|| {
    // Both languages have the same code.
    DOCS.iter().flat_map(|doc| examples_in(doc.text(Language::English)).map(|(anchor, code)| (doc.name, anchor, code))).collect()
});

fn examples_in(text: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    text.split("\n## ").filter_map(|section| {
        let (_, section) = section.split_once("{#")?;
        let (anchor, section) = section.split_once("}\n")?;
        let (_, fenced) = section.split_once("\n```")?;
        let (_, code) = fenced.split_once('\n')?;
        let (code, _) = code.split_once("\n```")?;
        Some((anchor, code))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_is_the_first_code_of_its_section() {
        let reader = Reader { server_url: "https://toki.example".into(), model_id: Some("alpha/one".into()) };
        let curl = client_example("curl", &reader).expect("an example");
        assert!(curl.starts_with("curl https://toki.example/v1/chat/completions \\\n") && curl.ends_with("}'"), "{curl}");
        for endpoint in ["chat/completions", "responses", "completions", "embeddings", "messages"] {
            let code = endpoint_example(endpoint, &reader).unwrap_or_else(|| panic!("no example of {endpoint}"));
            assert!(code.contains(&format!("/v1/{endpoint} ")) && code.contains("alpha/one"), "{code}");
        }
        assert_eq!(client_example("retries", &reader), None, "a section without code has none of the next one's");
        assert_eq!(client_example("nothing", &reader), None);
    }
}
