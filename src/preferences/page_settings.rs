//! Preferences on the settings page: all that there is to choose, a form each. The foot of every page has the quick switches.

use crate::html::Escaped;
use crate::i18n::{Language, language};
use crate::preferences::page::theme_word;
use crate::preferences::server_fns::SetPreferences;
use crate::preferences::types::{Preferences, Theme};
use crate::preferences::zones::{Region, place_name};
use crate::ui::form::{FormDone, FormError, error_of};
use crate::{push, t};
use chrono_tz::Tz;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos::tachys::html::InertElement;

#[component]
pub fn PreferencesSection() -> impl IntoView {
    let Preferences { theme, time_zone, .. } = use_context().unwrap_or_default();
    let languages = Language::ALL
        .map(|each| {
            view! {
                <option value=each.tag() lang=each.tag() selected=each == language()>
                    {each.own_name()}
                </option>
            }
        })
        .into_iter()
        .collect_view();
    let themes = Theme::ALL
        .map(|each| view! { <option value=each.as_str() selected=each == theme>{theme_word(each)}</option> })
        .into_iter()
        .collect_view();
    view! {
        <section class="card stack" id="preferences">
            <h2>{t!("Language, colours and time zone")}</h2>
            <p class="muted">{t!("They hold for this browser. Mails to you are in the language that you choose.")}</p>
            <FormError error=error_of(SetPreferences::PATH) />
            <FormDone path=SetPreferences::PATH>{t!("Saved. Pages look like this from now on.")}</FormDone>
            <div class="preference-forms">
                <PreferenceForm name="language" label=t!("Language") save=t!("Save the language")>
                    {languages}
                </PreferenceForm>
                <PreferenceForm name="theme" label=t!("Colours") save=t!("Save the colours")>
                    {themes}
                </PreferenceForm>
                <PreferenceForm name="time_zone" label=t!("Time zone") save=t!("Save the time zone")>
                    <ZoneOptions chosen=time_zone />
                </PreferenceForm>
            </div>
        </section>
    }
}

/// A list to choose from, whose choices are the children, and the button that keeps it. They stand side by side, so what the button keeps is
/// said in full only to those who do not see it beside its list.
#[component]
fn PreferenceForm(name: &'static str, label: &'static str, save: &'static str, children: Children) -> impl IntoView {
    let id = format!("preference-{name}");
    view! {
        <form method="post" action=SetPreferences::PATH class="row">
            <div class="field">
                <label for=id.clone()>{label}</label>
                <select id=id name=name>
                    {children()}
                </select>
            </div>
            <button class="button" type="submit" aria-label=save>
                {t!("Save")}
            </button>
        </form>
    }
}

/// UTC, then every place by the part of the world. A browser may have told another name before: it can be kept.
#[component]
fn ZoneOptions(chosen: Tz) -> impl IntoView {
    // As text: there are hundreds.
    let mut html = String::new();
    push_option(&mut html, Tz::UTC, chosen);
    for region in Region::ALL {
        push!(html, r#"<optgroup label="{}">"#, region_word(region));
        region.zones().for_each(|zone| push_option(&mut html, zone, chosen));
        html.push_str("</optgroup>");
    }
    if chosen != Tz::UTC && Region::of(chosen).is_none() {
        push!(html, r#"<optgroup label="{}">"#, t!("Other zones"));
        push_option(&mut html, chosen, chosen);
        html.push_str("</optgroup>");
    }
    InertElement::new(html)
}

fn push_option(html: &mut String, zone: Tz, chosen: Tz) {
    let selected = if zone == chosen { " selected" } else { "" };
    push!(html, r#"<option value="{}"{selected}>{}</option>"#, zone.name(), Escaped(&place_name(zone)));
}

fn region_word(region: Region) -> &'static str {
    match region {
        Region::Africa => t!("Africa"),
        Region::America => t!("America"),
        Region::Antarctica => t!("Antarctica"),
        Region::Arctic => t!("Arctic"),
        Region::Asia => t!("Asia"),
        Region::Atlantic => t!("Atlantic"),
        Region::Australia => t!("Australia"),
        Region::Europe => t!("Europe"),
        Region::Indian => t!("Indian Ocean"),
        Region::Pacific => t!("Pacific"),
    }
}
