//! Where preferences are chosen with a click: at the foot of every page. All that there is to choose is on the settings page
//! (`page_settings`).

use crate::html::{Escaped, push_all};
use crate::i18n::{Language, language};
use crate::islands::local_zone::LocalZone;
use crate::preferences::server_fns::SetPreferences;
use crate::preferences::types::{Preferences, Theme};
use crate::{push, t};
use chrono_tz::Tz;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos::tachys::html::InertElement;

#[component]
pub fn PreferencesForm() -> impl IntoView {
    let Preferences { theme, time_zone, .. } = use_context().unwrap_or_default();
    let languages = Language::ALL.map(|each| Choice::new("language", each.tag(), each.own_name(), each == language()).in_language(each));
    let themes = Theme::ALL.map(|each| Choice::new("theme", each.as_str(), theme_word(each), each == theme));
    let utc = Choice::new("time_zone", "UTC", "UTC", time_zone == Tz::UTC);
    let place = place(time_zone);
    let other = (time_zone != Tz::UTC).then(|| Choice::new("time_zone", time_zone.name(), &place, true));
    let times = [Some(utc), other];
    view! {
        <footer class="page-foot">
            <form method="post" action=SetPreferences::PATH class="preferences">
                <Choices label=t!("Language") choices=&languages />
                <Choices label=t!("Colours") choices=&themes />
                <div class="choices-row" role="group" aria-label=t!("Times")>
                    {InertElement::new(buttons_html(times.iter().flatten()))}
                    <LocalZone known=time_zone.name().to_string() label=t!("Local time").to_string() />
                </div>
            </form>
        </footer>
    }
}

pub fn theme_word(theme: Theme) -> &'static str {
    match theme {
        Theme::System => t!("System"),
        Theme::Light => t!("Light"),
        Theme::Dark => t!("Dark"),
    }
}

/// `Europe/Zurich` as people read it.
fn place(zone: Tz) -> String {
    zone.name().rsplit('/').next().unwrap_or_default().replace('_', " ")
}

/// A button that chooses. As text: every page has all of them.
struct Choice<'a> {
    name: &'static str,
    value: &'static str,
    words: &'a str,
    chosen: bool,
    language: Option<Language>,
}

impl<'a> Choice<'a> {
    fn new(name: &'static str, value: &'static str, words: &'a str, chosen: bool) -> Choice<'a> {
        Choice { name, value, words, chosen, language: None }
    }

    /// Its words are of this language, whatever the page's is.
    fn in_language(self, language: Language) -> Choice<'a> {
        Choice { language: Some(language), ..self }
    }
}

#[component]
fn Choices<'a>(label: &'static str, choices: &'a [Choice<'a>]) -> impl IntoView {
    let mut html = String::new();
    push_all(&mut html, &[r#"<div class="choices-row" role="group" aria-label=""#, label, r#"">"#, &buttons_html(choices), "</div>"]);
    InertElement::new(html)
}

fn buttons_html<'a>(choices: impl IntoIterator<Item = &'a Choice<'a>>) -> String {
    let mut html = String::new();
    for Choice { name, value, words, chosen, language } in choices {
        let chosen = if *chosen { "true" } else { "false" };
        push!(html, r#"<button class="choice-button" type="submit" name="{name}" value="{value}" aria-pressed="{chosen}""#);
        if let Some(language) = language {
            push_all(&mut html, &[r#" lang=""#, language.tag(), r#"""#]);
        }
        push!(html, ">{}</button>", Escaped(words));
    }
    html
}
