//! The texts, held against each other, against the routes and against the gateway.

use super::contents::{DOCS, Doc, doc};
use super::markdown::{Block, OPTIONS, article, beginning};
use super::types::Reader;
use crate::gateway::{GatewayError, openapi};
use crate::i18n::Language;
use crate::ids::RequestId;
use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Parser, Tag};
use std::collections::BTreeSet;

fn events(text: &'static str) -> impl Iterator<Item = Event<'static>> {
    Parser::new_ext(text, OPTIONS)
}

fn texts() -> impl Iterator<Item = (&'static Doc, Language, &'static str)> {
    DOCS.iter().flat_map(|doc| Language::ALL.map(|language| (doc, language, doc.text(language))))
}

/// Every heading: level and anchor.
fn headings(text: &'static str) -> Vec<(HeadingLevel, String)> {
    let of = |event| match event {
        Event::Start(Tag::Heading { level, id, .. }) => Some((level, id.map(String::from).unwrap_or_default())),
        _ => None,
    };
    events(text).filter_map(of).collect()
}

/// What a page consists of beside its words: blocks of code with what is in them, tables, lists and where links lead, in order.
fn skeleton(text: &'static str) -> Vec<String> {
    let (mut found, mut in_code) = (Vec::new(), false);
    for event in events(text) {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                in_code = true;
                found.push(info.to_string());
            }
            Event::Start(Tag::CodeBlock(CodeBlockKind::Indented)) => panic!("code without fences"),
            Event::End(pulldown_cmark::TagEnd::CodeBlock) => in_code = false,
            Event::Text(code) if in_code => found.push(code.to_string()),
            Event::Start(Tag::Heading { level, id, .. }) => found.push(format!("{level} {id:?}")),
            Event::Start(Tag::TableRow | Tag::TableHead | Tag::Item) => found.push("row".into()),
            Event::Start(Tag::TableCell) => found.push("cell".into()),
            _ => {}
        }
    }
    found
}

fn links(text: &'static str) -> BTreeSet<String> {
    events(text)
        .filter_map(|event| if let Event::Start(Tag::Link { dest_url, .. }) = event { Some(dest_url.into()) } else { None })
        .collect()
}

#[test]
fn both_languages_say_the_same_with_the_same_code() {
    for doc in &DOCS {
        let [english, chinese] = Language::ALL.map(|language| doc.text(language));
        assert_eq!(skeleton(english), skeleton(chinese), "{}", doc.name);
        assert_eq!(links(english), links(chinese), "{}", doc.name);
        assert!(!english.chars().any(is_chinese) && chinese.chars().filter(|c| is_chinese(*c)).count() > 100, "{}", doc.name);
    }
}

fn is_chinese(c: char) -> bool {
    ('\u{4e00}'..='\u{9fff}').contains(&c)
}

#[test]
fn every_text_can_be_shown_found_and_linked_to() {
    for (doc, language, text) in texts() {
        let place = format!("{} {}", doc.name, language.tag());
        let article = article(text, &Reader::default());
        assert_eq!(article.title, doc.title(language), "{place}");
        let begun = beginning(text, &Reader::default());
        assert_eq!((&begun.title, &begun.description), (&article.title, &article.description), "{place}");
        let length = article.description.chars().count();
        assert!((language.choose(60, 20)..=180).contains(&length), "{place}: a description of {length} characters");
        let headings = headings(text);
        assert!(matches!(headings.first(), Some((HeadingLevel::H1, _))), "{place}");
        let anchors: Vec<&String> = headings.iter().skip(1).map(|(_, anchor)| anchor).collect();
        assert!(headings.iter().skip(1).all(|(level, _)| *level != HeadingLevel::H1), "{place}");
        assert!(anchors.iter().all(|anchor| !anchor.is_empty()), "{place}: a heading without an anchor");
        assert_eq!(anchors.iter().collect::<BTreeSet<_>>().len(), anchors.len(), "{place}: an anchor stands twice");
        assert!(!text.contains("!\n") && !text.contains("! ") && !text.contains('！'), "{place} shouts");
    }
}

#[test]
fn no_text_has_html_nor_places_to_fill_outside_of_code() {
    for (doc, language, text) in texts() {
        let (mut in_code, mut in_heading) = (false, false);
        for event in events(text) {
            match event {
                Event::Html(html) | Event::InlineHtml(html) => panic!("{} {}: {html}", doc.name, language.tag()),
                Event::Start(Tag::CodeBlock(_)) => in_code = true,
                Event::End(pulldown_cmark::TagEnd::CodeBlock) => in_code = false,
                Event::Start(Tag::Heading { .. }) => in_heading = true,
                Event::End(pulldown_cmark::TagEnd::Heading(_)) => in_heading = false,
                Event::Start(Tag::Link { .. }) => assert!(!in_heading, "{}: headings are links themselves", doc.name),
                Event::Text(text) => assert!(in_code || !text.contains("{{"), "{}: {text}", doc.name),
                _ => {}
            }
        }
        let reader = Reader { server_url: "https://toki.example".into(), model_id: Some("alpha/one".into()) };
        for block in article(text, &reader).blocks {
            let text = match block {
                Block::Html(html) => html,
                Block::Snippet(snippet) => snippet.code.replace("${{ secrets.TOKI_KEY }}", ""),
            };
            assert!(!text.contains("{{"), "{}: {text}", doc.name);
        }
    }
}

#[test]
fn every_link_leads_somewhere() {
    let routes = include_str!("../app.rs");
    for (place, language, text) in texts() {
        for link in links(text) {
            let (path, anchor) = link.split_once('#').map_or((link.as_str(), None), |(path, anchor)| (path, Some(anchor)));
            let page = if path.is_empty() { Some(place) } else { path.strip_prefix("/docs/").and_then(doc) };
            let exists = match (page, anchor) {
                (Some(page), Some(anchor)) => headings(page.text(language)).iter().any(|(_, there)| there == anchor),
                (Some(_), None) => !path.is_empty(),
                (None, anchor) => anchor.is_none() && routes.contains(&format!("path!(\"{path}\")")),
            };
            assert!(exists, "{} {}: {link}", place.name, language.tag());
        }
    }
}

/// The text below a heading, up to the next one.
fn section(text: &'static str, anchor: &str) -> Option<&'static str> {
    let (_, below) = text.split_once(&format!(" {{#{anchor}}}\n"))?;
    below.split("\n#").next()
}

#[test]
fn every_failure_of_the_gateway_is_explained() {
    let every = GatewayError::every();
    let mut explained = BTreeSet::new();
    for error in &every {
        let anchor = match error {
            GatewayError::InvalidField { .. } => "invalid_field",
            GatewayError::UpstreamRefused { .. } => "refused_by_supplier",
            error => error.code().unwrap_or_else(|| panic!("{error:?} has no code, and no section")),
        };
        explained.insert(anchor);
        let anthropic = error.anthropic(RequestId::generate())["error"]["type"].as_str().expect("a type").to_string();
        let headers = error.extra_headers();
        let names = headers.iter().map(|(name, value)| match name.as_str() {
            "www-authenticate" | "x-should-retry" => format!("`{name}: {}`", value.to_str().expect("text")),
            name => format!("`{name}`"),
        });
        let said = [format!("**{}**", error.status().as_u16()), format!("`{}`", error.kind()), format!("`{anthropic}`")];
        for language in Language::ALL {
            let text = doc("errors").expect("the page").text(language);
            let section = section(text, anchor).unwrap_or_else(|| panic!("{anchor} has no section, {}", language.tag()));
            for said in said.iter().cloned().chain(names.clone()).chain([language.choose("Trying again: ", "重试：").to_string()]) {
                assert!(section.contains(&said), "{anchor} {}: {said}", language.tag());
            }
        }
    }
    let sections = headings(doc("errors").expect("the page").text(Language::English));
    let of_codes: BTreeSet<&str> =
        sections.iter().filter(|(level, _)| *level == HeadingLevel::H3).map(|(_, anchor)| anchor.as_str()).collect();
    assert_eq!(of_codes, explained, "a section about an error that there is not");
}

#[test]
fn the_broken_stream_that_is_shown_is_the_one_that_is_sent() {
    let event = format!("data: {}\n", GatewayError::UpstreamBroken.openai());
    assert!(doc("streaming").expect("the page").text(Language::English).contains(&event), "{event}");
}

#[test]
fn sizes_are_those_of_the_gateway() {
    let document = openapi::document();
    let fields = |path: &str| {
        document["paths"][format!("/v1/{path}")]["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"].clone()
    };
    let most = |value: &serde_json::Value| value.as_i64().expect("a number");
    let sizes = [
        most(&fields("chat/completions")["messages"]["maxItems"]),
        most(&fields("completions")["prompt"]["anyOf"][1]["maxItems"]),
        most(&fields("embeddings")["input"]["anyOf"][1]["maxItems"]),
        most(&fields("chat/completions")["n"]["anyOf"][0]["maximum"]),
        most(&document["components"]["schemas"]["ModelId"]["maxLength"]),
        most(&document["paths"]["/v1/messages"]["post"]["parameters"][0]["schema"]["maxLength"]),
    ];
    for language in Language::ALL {
        let text = section(doc("limits").expect("the page").text(language), "sizes").expect("sizes");
        for size in sizes {
            let size = crate::tokens::Tokens(size).exact();
            assert!(text.contains(&format!(" {size}")), "{size} {}", language.tag());
        }
    }
}

/// What is compiled as an example of this package is what readers copy.
#[test]
fn the_rust_example_is_the_one_that_is_compiled() {
    let reader = Reader { server_url: "http://127.0.0.1:3000".into(), model_id: Some("sandbox/echo".into()) };
    let blocks = article(doc("clients").expect("the page").text(Language::English), &reader).blocks;
    let rust = blocks.into_iter().find_map(|block| match block {
        Block::Snippet(snippet) if snippet.language == "rust" => Some(snippet.code),
        _ => None,
    });
    assert!(include_str!("../../tests/docs/call.rs").ends_with(&format!("\n\n{}\n", rust.expect("an example"))));
}

#[test]
fn pages_follow_each_other() {
    let names = |doc: &Doc| doc.neighbours().map(|doc| doc.map(|doc| doc.name));
    assert_eq!(names(&DOCS[0]), [None, Some(DOCS[1].name)]);
    assert_eq!(names(&DOCS[9]), [Some(DOCS[8].name), None]);
    assert_eq!(doc("nothing"), None);
}
