//! Which language a page is in: what its reader chose, else the one that their browser prefers.

use leptos::prelude::use_context;

/// A language of the console.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    #[default]
    English,
    Chinese,
}

impl Language {
    pub const ALL: [Language; 2] = [Language::English, Language::Chinese];

    /// Its tag (RFC 5646), for `lang` and the cookie.
    pub fn tag(self) -> &'static str {
        self.choose("en", "zh-Hans")
    }

    /// What it calls itself.
    pub fn own_name(self) -> &'static str {
        self.choose("English", "简体中文")
    }

    pub fn from_tag(tag: &str) -> Option<Language> {
        Language::ALL.into_iter().find(|language| language.tag() == tag)
    }

    pub fn choose<T>(self, english: T, chinese: T) -> T {
        match self {
            Language::English => english,
            Language::Chinese => chinese,
        }
    }

    /// The best of ours for an `Accept-Language` (RFC 9110, 12.5.4). Any Chinese is answered in the one that there is.
    pub fn accepted(header: &str) -> Language {
        let mut best = (0, Language::English);
        for range in header.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let tag = parts.next().unwrap_or_default().to_ascii_lowercase();
            let language = match tag.split('-').next() {
                Some("zh") => Language::Chinese,
                Some("en") => Language::English,
                _ => continue,
            };
            let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(1_000, thousandths);
            if weight > best.0 {
                best = (weight, language);
            }
        }
        best.1
    }
}

/// `0.8` as 800. What cannot be read weighs nothing.
fn thousandths(weight: &str) -> u32 {
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    let digits = format!("{fraction:0<3}");
    match (whole.parse::<u32>(), digits.get(..3).map(str::parse::<u32>)) {
        (Ok(whole), Some(Ok(fraction))) => whole.min(1) * 1_000 + fraction,
        _ => 0,
    }
}

tokio::task_local! {
    static SPOKEN: Language;
}

/// Has what `work` writes be in this language, whoever asked for it.
pub fn speaking<T>(language: Language, work: impl FnOnce() -> T) -> T {
    SPOKEN.sync_scope(language, work)
}

/// The same for work that goes on after its page is answered.
pub async fn speaking_on<T>(language: Language, work: impl Future<Output = T>) -> T {
    SPOKEN.scope(language, work).await
}

/// The language of the page that is being rendered, or of the letter that is being written; English outside of both.
pub fn language() -> Language {
    SPOKEN.try_with(|language| *language).ok().or_else(use_context::<Language>).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_browsers_preference_counts_by_weight() {
        for (header, language) in [
            ("", Language::English),
            ("zh-CN,zh;q=0.9,en;q=0.8", Language::Chinese),
            ("en-US,en;q=0.9,zh;q=0.8", Language::English),
            ("de-CH, zh-TW;q=0.5, en;q=0.4", Language::Chinese),
            ("fr", Language::English),
            ("zh;q=0, en;q=0.1", Language::English),
            ("zh;q=many, en;q=0.1", Language::English),
            ("en;q=0.5, zh;q=0.75", Language::Chinese),
        ] {
            assert_eq!(Language::accepted(header), language, "{header}");
        }
    }

    #[tokio::test]
    async fn a_letter_is_in_its_own_language_also_when_it_is_written_later() {
        assert_eq!(language(), Language::English);
        let inner = speaking_on(Language::Chinese, async {
            tokio::task::yield_now().await;
            (language(), speaking(Language::English, language), language())
        });
        assert_eq!(inner.await, (Language::Chinese, Language::English, Language::Chinese));
        assert_eq!(language(), Language::English);
    }

    #[test]
    fn tags_lead_back_to_their_language() {
        for language in Language::ALL {
            assert_eq!(Language::from_tag(language.tag()), Some(language));
        }
        assert_eq!(Language::from_tag("de"), None);
    }
}
