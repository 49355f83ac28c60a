//! What can be preferred, and the cookies that say so.

use crate::i18n::Language;
use chrono_tz::Tz;

/// Colours: as the system has them, or one of the two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    #[default]
    System,
    Light,
    Dark,
}

impl Theme {
    pub const ALL: [Theme; 3] = [Theme::System, Theme::Light, Theme::Dark];

    pub fn as_str(self) -> &'static str {
        match self {
            Theme::System => "system",
            Theme::Light => "light",
            Theme::Dark => "dark",
        }
    }

    pub fn parse(text: &str) -> Option<Theme> {
        Theme::ALL.into_iter().find(|theme| theme.as_str() == text)
    }

    /// For CSS `color-scheme`.
    pub fn color_scheme(self) -> &'static str {
        match self {
            Theme::System => "light dark",
            Theme::Light => "light",
            Theme::Dark => "dark",
        }
    }
}

/// One preference, by the name of its cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preference {
    Language(Language),
    Theme(Theme),
    /// Of the IANA database.
    TimeZone(Tz),
}

impl Preference {
    /// What a form or a cookie says; `None` for what is no preference of ours.
    pub fn parse(name: &str, value: &str) -> Option<Preference> {
        match name {
            "language" => Language::from_tag(value).map(Preference::Language),
            "theme" => Theme::parse(value).map(Preference::Theme),
            "time_zone" => value.parse().ok().map(Preference::TimeZone),
            _ => None,
        }
    }

    /// Kept for a year. No script has to read it.
    pub fn cookie(self, secure: bool) -> String {
        let (name, value) = match self {
            Preference::Language(language) => ("language", language.tag()),
            Preference::Theme(theme) => ("theme", theme.as_str()),
            Preference::TimeZone(zone) => ("time_zone", zone.name()),
        };
        let secure = if secure { "; Secure" } else { "" };
        format!("{name}={value}; Path=/; Max-Age=31536000; SameSite=Lax; HttpOnly{secure}")
    }
}

/// All preferences of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preferences {
    pub language: Language,
    pub theme: Theme,
    pub time_zone: Tz,
}

impl Default for Preferences {
    fn default() -> Preferences {
        Preferences { language: Language::default(), theme: Theme::default(), time_zone: Tz::UTC }
    }
}

impl Preferences {
    /// What the cookies say (`a=b; c=d`), and for the language else what the browser accepts. Anything else in either counts for nothing.
    pub fn read(cookies: &str, accept_language: &str) -> Preferences {
        let mut preferences = Preferences { language: Language::accepted(accept_language), ..Preferences::default() };
        for (name, value) in cookies.split(';').filter_map(|cookie| cookie.trim().split_once('=')) {
            match Preference::parse(name, value) {
                Some(Preference::Language(language)) => preferences.language = language,
                Some(Preference::Theme(theme)) => preferences.theme = theme,
                Some(Preference::TimeZone(zone)) => preferences.time_zone = zone,
                None => {}
            }
        }
        preferences
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_cookie_says_is_read_back() {
        for preference in
            [Preference::Language(Language::Chinese), Preference::Theme(Theme::Dark), Preference::TimeZone(Tz::Asia__Shanghai)]
        {
            let cookie = preference.cookie(true);
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            assert_eq!(Preference::parse(name, value), Some(preference));
        }
    }

    #[test]
    fn cookies_win_over_the_browser_and_nonsense_counts_for_nothing() {
        let read = |cookies| Preferences::read(cookies, "zh-CN");
        assert_eq!(read("").language, Language::Chinese);
        assert_eq!(read("a=b; language=en; theme=dark").language, Language::English);
        assert_eq!(
            read("language=xx; theme=; time_zone=Nowhere/Land"),
            Preferences { language: Language::Chinese, ..Preferences::default() }
        );
        assert_eq!(read("time_zone=Europe/Zurich").time_zone, Tz::Europe__Zurich);
    }
}
