//! Which pages there are, in the order in which they are read.

use crate::i18n::Language;
use crate::t;

/// A page, in both languages.
#[derive(Debug, PartialEq, Eq)]
pub struct Doc {
    /// Its name in addresses.
    pub name: &'static str,
    pub part: Part,
    english: &'static str,
    chinese: &'static str,
}

/// The parts that the pages are listed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Start,
    Calls,
    Tokens,
}

/// A page whose texts are the files of that name.
macro_rules! doc {
    ($part:ident, $name:literal) => {
        Doc {
            name: $name,
            part: Part::$part,
            english: include_str!(concat!("en/", $name, ".md")),
            chinese: include_str!(concat!("zh/", $name, ".md")),
        }
    };
}

pub const DOCS: [Doc; 10] = [
    doc!(Start, "quickstart"),
    doc!(Start, "authentication"),
    doc!(Start, "clients"),
    doc!(Calls, "endpoints"),
    doc!(Calls, "chat-completions"),
    doc!(Calls, "streaming"),
    doc!(Calls, "errors"),
    doc!(Calls, "limits"),
    doc!(Tokens, "token-plan"),
    doc!(Tokens, "key-hygiene"),
];

/// The page of this name.
pub fn doc(name: &str) -> Option<&'static Doc> {
    DOCS.iter().find(|doc| doc.name == name)
}

impl Doc {
    pub fn path(&self) -> String {
        format!("/docs/{}", self.name)
    }

    pub fn text(&self, language: Language) -> &'static str {
        language.choose(self.english, self.chinese)
    }

    /// The heading that the text begins with.
    pub fn title(&self, language: Language) -> &'static str {
        self.text(language).lines().next().unwrap_or_default().trim_start_matches("# ")
    }

    /// The pages before and after it.
    pub fn neighbours(&self) -> [Option<&'static Doc>; 2] {
        let Some(place) = DOCS.iter().position(|doc| doc == self) else { return [None, None] };
        [place.checked_sub(1), place.checked_add(1)].map(|place| DOCS.get(place?))
    }
}

impl Part {
    pub const ALL: [Part; 3] = [Part::Start, Part::Calls, Part::Tokens];

    pub fn title(self) -> &'static str {
        match self {
            Part::Start => t!("Begin"),
            Part::Calls => t!("Calls"),
            Part::Tokens => t!("Tokens and keys"),
        }
    }

    pub fn docs(self) -> impl Iterator<Item = &'static Doc> {
        DOCS.iter().filter(move |doc| doc.part == self)
    }
}
