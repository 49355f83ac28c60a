//! Where preferences are chosen with a click: at the foot of every page. All that there is to choose is on the settings page
//! (`page_settings`).

use crate::i18n::{Language, language};
use crate::islands::local_zone::LocalZone;
use crate::preferences::server_fns::SetPreferences;
use crate::preferences::types::{Preferences, Theme};
use crate::t;
use chrono_tz::Tz;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;

#[component]
pub fn PreferencesForm() -> impl IntoView {
    let Preferences { theme, time_zone, .. } = use_context().unwrap_or_default();
    view! {
        <footer class="page-foot">
            <form method="post" action=SetPreferences::PATH class="preferences">
                <Choices label=t!("Language")>
                    {Language::ALL
                        .map(|each| {
                            view! { <Choice name="language" value=each.tag() chosen=each == language() lang=each.tag()>{each.own_name()}</Choice> }
                        })
                        .into_iter()
                        .collect_view()}
                </Choices>
                <Choices label=t!("Colours")>
                    {Theme::ALL
                        .map(|each| view! { <Choice name="theme" value=each.as_str() chosen=each == theme>{theme_word(each)}</Choice> })
                        .into_iter()
                        .collect_view()}
                </Choices>
                <Choices label=t!("Times")>
                    <Choice name="time_zone" value="UTC" chosen=time_zone == Tz::UTC>
                        "UTC"
                    </Choice>
                    {(time_zone != Tz::UTC)
                        .then(|| view! { <Choice name="time_zone" value=time_zone.name() chosen=true>{place(time_zone)}</Choice> })}
                    <LocalZone known=time_zone.name().to_string() label=t!("Local time").to_string() />
                </Choices>
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

#[component]
fn Choices(label: &'static str, children: Children) -> impl IntoView {
    view! {
        <div class="choices-row" role="group" aria-label=label>
            {children()}
        </div>
    }
}

#[component]
fn Choice(
    name: &'static str,
    value: &'static str,
    chosen: bool,
    #[prop(optional)] lang: Option<&'static str>,
    children: Children,
) -> impl IntoView {
    view! {
        <button class="choice-button" type="submit" name=name value=value aria-pressed=chosen.to_string() lang=lang>
            {children()}
        </button>
    }
}
