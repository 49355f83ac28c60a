//! Code for several programs, a tab each. Without a script: a tab is a radio button, and its panel shows while that is on.

use crate::t;
use crate::ui::copy::CopyCode;
use leptos::prelude::*;

/// A program's tab.
pub struct CodeTab {
    /// Tells it from the others of its group.
    pub section: &'static str,
    /// The program, as the tab says it.
    pub name: &'static str,
    /// What it shows: [`code_panel`], or why there is no code.
    pub panel: AnyView,
}

/// The first of `tabs` is on at the beginning. `group`: once on a page, since one tab of a group is on at a time.
#[component]
pub fn CodeTabs(label: &'static str, #[prop(into)] group: String, tabs: Vec<CodeTab>) -> impl IntoView {
    let tabs = tabs.into_iter().enumerate().map(|(place, CodeTab { section, name, panel })| {
        let id = format!("{group}-{section}");
        view! {
            <input class="visually-hidden" type="radio" name=group.clone() id=id.clone() checked={place == 0} />
            <label for=id>{name}</label>
            <div class="code-panel">{panel}</div>
        }
    });
    let tabs = tabs.collect_view();
    view! {
        <div class="code-tabs" role="group" aria-label=label>
            {tabs}
        </div>
    }
}

/// Code, a button that copies it, and what else there is to know.
pub fn code_panel(name: &'static str, note: Option<&'static str>, code: String) -> AnyView {
    view! {
        <div class="row row-between">
            <p class="muted">{note}</p>
            <CopyCode />
        </div>
        <pre class="code-block" tabindex="0" role="region" aria-label=t!("Example: {name}", name = name)><code>{code}</code></pre>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_tab_of_a_group_is_on_and_every_label_belongs_to_its_own() {
        Owner::new().with(|| {
            let html = |group: &'static str| {
                let tabs =
                    ["curl", "python"].map(|name| CodeTab { section: name, name, panel: code_panel(name, None, format!("{name} <x>")) });
                view! { <CodeTabs label="Clients" group tabs=Vec::from(tabs) /> }.to_html()
            };
            let (one, other) = (html("one"), html("other"));
            assert_eq!((one.matches(" checked").count(), other.matches(" checked").count()), (1, 1), "{one}");
            for id in ["one-curl", "one-python"] {
                assert!(one.contains(&format!(r#"id="{id}""#)) && one.contains(&format!(r#"for="{id}""#)), "{one}");
                assert!(!other.contains(id), "{other}");
            }
            assert!(one.contains("curl &lt;x&gt;") && one.find(" checked") < one.find("one-python"), "{one}");
        });
    }
}
