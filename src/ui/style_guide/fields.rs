//! The guide's fields: what is typed, chosen and turned, each as it is, wrong, and fixed.

use crate::accounts::page::PasswordField;
use crate::codes::page::CodeField;
use crate::error::{CodeProblem, ConsoleError, Field, Problem};
use crate::ui::control::{Choice, DayFields, Select, Switch, SwitchForm, TextArea};
use crate::ui::form::Labelled;
use crate::ui::style_guide::{self, Part};
use leptos::prelude::*;

/// `theme` makes the ids of the two renderings differ.
#[component]
pub fn Fields(theme: &'static str) -> impl IntoView {
    view! {
        <Part title="Fields">
            <Typed theme />
            <Chosen theme />
            <Turned />
        </Part>
    }
}

#[component]
fn Typed(theme: &'static str) -> impl IntoView {
    let id = move |name: &str| format!("{theme}-{name}");
    let no_name = ConsoleError::invalid(Field::Name, Problem::Empty);
    let no_network = ConsoleError::invalid(Field::Networks, Problem::Malformed);
    let short = ConsoleError::invalid(Field::Password, Problem::TooShort);
    let unknown = ConsoleError::Code(CodeProblem::Unknown);
    let [password, password_wrong, code, code_wrong] = match theme {
        "light" => ["light-password", "light-password-wrong", "light-code", "light-code-wrong"],
        _ => ["dark-password", "dark-password-wrong", "dark-code", "dark-code-wrong"],
    };
    view! {
        <Labelled id=id("hinted") label="Quota" field=Field::Quota error=None hint="Empty means no limit of its own.">
            <input id=id("hinted") type="text" inputmode="numeric" placeholder="1,000,000" aria-describedby=id("hinted-hint") />
        </Labelled>
        <Labelled id=id("wrong") label="Name" field=Field::Name error=Some(no_name)>
            <input id=id("wrong") type="text" aria-describedby=id("wrong-error") />
        </Labelled>
        <Labelled id=id("off") label="E-mail" field=Field::Email error=None>
            <input id=id("off") type="email" value="ada@example.com" disabled />
        </Labelled>
        <Labelled id=id("lines") label="Networks" field=Field::Networks error=None hint="One a line.">
            <TextArea id=id("lines") name="networks" text="203.0.113.0/24\n2001:db8::/32".into() described_by=id("lines-hint") />
        </Labelled>
        <Labelled id=id("lines-wrong") label="Networks, mistyped" field=Field::Networks error=Some(no_network)>
            <TextArea id=id("lines-wrong") name="networks" text="203.0.113".into() described_by=id("lines-wrong-error") />
        </Labelled>
        <PasswordField error=None autocomplete="current-password" id=password />
        <PasswordField error=Some(short) autocomplete="new-password" id=password_wrong />
        <CodeForm id=code error=None />
        <CodeForm id=code_wrong error=Some(unknown) />
    }
}

/// With the button that always stands beside it.
#[component]
fn CodeForm(id: &'static str, error: Option<ConsoleError>) -> impl IntoView {
    view! {
        <div class="row">
            <CodeField error id value=String::new() />
            <button class="button" type="button">"Redeem"</button>
        </div>
    }
}

#[component]
fn Chosen(theme: &'static str) -> impl IntoView {
    let id = move |name: &str| format!("{theme}-{name}");
    let choices = || ["Every supplier", "Acme", "Borealis"].map(|name| Choice { value: name.into(), name: name.into() }).to_vec();
    let unknown = ConsoleError::invalid(Field::Supplier, Problem::Unknown);
    let reversed = ConsoleError::invalid(Field::Day, Problem::Reversed);
    let [empty, wrong] = match theme {
        "light" => ["light-days", "light-days-wrong"],
        _ => ["dark-days", "dark-days-wrong"],
    };
    let days = |id: &'static str, from: &str, to: &str, error: Option<ConsoleError>| {
        view! { <div class="row filters"><DayFields id from=from.into() to=to.into() error /></div> }
    };
    view! {
        <Labelled id=id("select") label="Supplier" field=Field::Supplier error=None>
            <Select id=id("select") name="supplier" choices=choices() chosen="Acme" />
        </Labelled>
        <Labelled id=id("select-wrong") label="Supplier, gone" field=Field::Supplier error=Some(unknown)>
            <Select id=id("select-wrong") name="supplier" choices=choices() chosen="" described_by=id("select-wrong-error") />
        </Labelled>
        <Labelled id=id("select-off") label="Supplier, fixed" field=Field::Supplier error=None>
            <Select id=id("select-off") name="supplier" choices=choices() chosen="Borealis" disabled=true />
        </Labelled>
        {days(empty, "", "", None)}
        {days(wrong, "2026-12-24", "2026-12-01", Some(reversed))}
        <label class="choice">
            <input type="radio" name=id("start") checked />
            <span>"Start now" <span class="choice-line muted">"It pays beside what you have."</span></span>
        </label>
        <label class="choice">
            <input type="radio" name=id("start") />
            <span>"Start after the current one" <span class="choice-line muted">"It waits until that is over."</span></span>
        </label>
    }
}

#[component]
fn Turned() -> impl IntoView {
    view! {
        <Switch name="on" label="Low balance" note="A mail when 10 % are left" on=true />
        <Switch name="off" label="Every purchase" on=false />
        <Switch name="fixed" label="Security" note="Always on" on=true disabled=true />
        <div class="row">{[true, false].map(switch_form).into_iter().collect_view()}</div>
    }
}

fn switch_form(on: bool) -> impl IntoView {
    let words = ["Disabled", "Enabled"];
    view! { <SwitchForm action=style_guide::PATH name="status" values=words words on label="Enabled: Support bot" /> }
}
