//! What the usage page can be asked for: links to the usual stretches of time, a form for the rest.

use crate::error::ConsoleError;
use crate::preferences::time_zone;
use crate::t;
use crate::ui::control::{Choice, DayFields, Select};
use crate::ui::tabs::{Tab, Tabs};
use crate::usage::page::Asked;
use crate::usage::range::{Preset, Range, is_moment, typed_day};
use crate::usage::types::{Choices, FAILED};
use crate::usage::types_totals::Group;
use leptos::prelude::*;

pub fn preset_words(preset: Preset) -> &'static str {
    match preset {
        Preset::Today => t!("Today"),
        Preset::Week => t!("Last 7 days"),
        Preset::Month => t!("Last 30 days"),
    }
}

pub fn group_words(group: Group) -> &'static str {
    match group {
        Group::Model => t!("Model"),
        Group::Key => t!("Key"),
        Group::Supplier => t!("Supplier"),
        Group::Member => t!("Member"),
    }
}

#[component]
pub fn RangeTabs(range: Range, asked: Asked) -> impl IntoView {
    let tabs = Preset::ALL.map(|preset| Tab {
        name: preset_words(preset).into(),
        href: Asked { range: preset.as_str().into(), from: String::new(), to: String::new(), ..asked.newest() }.address(),
        here: range.preset == Some(preset),
    });
    view! { <Tabs label=t!("Time") tabs=tabs.to_vec() /> }
}

/// What is filtered by is a choice even where it is not known by a name: else the list would say that nothing is.
fn with_asked(mut choices: Vec<(String, String)>, asked: &str) -> Vec<(String, String)> {
    if !asked.is_empty() && choices.iter().all(|(value, _)| value != asked) {
        choices.push((asked.into(), asked.into()));
    }
    choices
}

/// Days that are typed go before the tab that was chosen.
#[component]
pub fn FilterForm(
    range: Range,
    group: Group,
    choices: Choices,
    asked: Asked,
    /// What is wrong with the days of `asked`; `range` is another one then.
    error: Option<ConsoleError>,
) -> impl IntoView {
    let clear = asked.is_filtered().then(|| {
        let Asked { range, from, to, group, .. } = asked.clone();
        let all = Asked { range, from, to, group, ..Asked::default() };
        view! { <a class="button button-quiet" href=all.address()>{t!("Show all")}</a> }
    });
    let preset = range.preset.map(|preset| view! { <input type="hidden" name="range" value=preset.as_str() /> });
    // Of a preset, the days stay empty: what is typed there counts more.
    let zone = time_zone();
    let (from, to) = match range.preset {
        _ if error.is_some() => (typed_day(&asked.from, zone, false), typed_day(&asked.to, zone, true)),
        Some(_) => Default::default(),
        None => range.days(zone),
    };
    // Hours are no days: they stay while nobody changes the days that they are of.
    let hours = (error.is_none() && (is_moment(&asked.from) || is_moment(&asked.to))).then(|| {
        view! {
            <input type="hidden" name="since" value=asked.from.clone() />
            <input type="hidden" name="until" value=asked.to.clone() />
        }
    });
    let groups = Group::ALL.map(|group| Choice { value: group.as_str().into(), name: group_words(group).into() });
    let all = |name: &'static str| std::iter::once(Choice { value: String::new(), name: name.into() });
    let Choices { mut keys, mut models, members, suppliers } = choices;
    // Those that can still call first.
    keys.sort_by(|a, b| (a.deleted, &a.name).cmp(&(b.deleted, &b.name)));
    let keys = keys.into_iter().map(|key| Choice {
        value: key.key_id.to_string(),
        name: if key.deleted { t!("{name} (deleted)", name = key.name) } else { key.name },
    });
    let keys = all(t!("All keys")).chain(keys).collect::<Vec<_>>();
    models.sort();
    let models = models.into_iter().map(|id| Choice { value: id.clone(), name: id });
    let models = all(t!("All models")).chain(models).collect::<Vec<_>>();
    // Not offered before one looks at it: one member and one supplier are many accounts' all.
    let offered = |label: &'static str, name: &'static str, any: &'static str, choices: Vec<(String, String)>, asked: &str| {
        let choices = with_asked(choices, asked);
        (!choices.is_empty()).then(|| {
            let named = choices.into_iter().map(|(value, name)| Choice { value, name });
            let (id, choices, chosen) = (format!("filter-{name}"), all(any).chain(named).collect::<Vec<_>>(), asked.to_string());
            view! {
                <div class="field">
                    <label for=id.clone()>{label}</label>
                    <Select id name choices chosen />
                </div>
            }
        })
    };
    let member = offered(t!("Member"), "member", t!("All members"), members, &asked.member);
    let supplier = offered(t!("Supplier"), "supplier", t!("All suppliers"), suppliers, &asked.supplier);
    let outcomes = all(t!("Any")).chain([Choice { value: FAILED.into(), name: t!("Failed").into() }]).collect::<Vec<_>>();
    view! {
        <form method="get" action="/usage">
            {preset}
            {hours}
            <div class="row filters">
                <DayFields id="filter" from to error />
                <div class="field">
                    <label for="filter-group">{t!("By")}</label>
                    <Select id="filter-group" name="group" choices=groups.to_vec() chosen=group.as_str() />
                </div>
                <div class="field">
                    <label for="filter-key">{t!("Key")}</label>
                    <Select id="filter-key" name="key" choices=keys chosen=asked.key.clone() />
                </div>
                <div class="field">
                    <label for="filter-model">{t!("Model")}</label>
                    <Select id="filter-model" name="model" choices=models chosen=asked.model.clone() />
                </div>
                {member}
                {supplier}
                <div class="field">
                    <label for="filter-outcome">{t!("Outcome of the calls")}</label>
                    <Select id="filter-outcome" name="outcome" choices=outcomes chosen=asked.outcome.clone() />
                </div>
                <button class="button" type="submit">{t!("Filter")}</button>
                {clear}
            </div>
        </form>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filtered_by_is_always_among_the_choices() {
        let alpha = || vec![("alpha".to_string(), "Alpha".to_string())];
        assert_eq!(with_asked(alpha(), ""), alpha());
        assert_eq!(with_asked(alpha(), "alpha"), alpha());
        assert_eq!(with_asked(alpha(), "gone"), [alpha(), vec![("gone".into(), "gone".into())]].concat());
        assert_eq!(with_asked(Vec::new(), "gone"), [("gone".to_string(), "gone".to_string())]);
    }
}
