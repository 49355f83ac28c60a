//! Code for several programs, a tab each. Without a script: a tab is a radio button, and its panel shows while that is on.

use crate::html::Escaped;
use crate::ui::copy::copy_code_html;
use crate::{push, t};
use leptos::prelude::*;
use leptos::tachys::html::InertElement;

/// A program's tab.
pub struct CodeTab {
    /// Tells it from the others of its group.
    pub section: &'static str,
    /// The program, as the tab says it.
    pub name: &'static str,
    /// What it shows, as HTML: [`code_panel`], or why there is no code.
    pub panel: String,
}

/// The first of `tabs` is on at the beginning. `group`: once on a page, since one tab of a group is on at a time.
#[component]
pub fn CodeTabs(label: &'static str, #[prop(into)] group: String, tabs: Vec<CodeTab>) -> impl IntoView {
    let (label, group) = (Escaped(label), Escaped(&group));
    let room: usize = tabs.iter().map(|tab| tab.panel.len() + TAB_HTML).sum();
    let mut html = String::with_capacity(room);
    push!(html, r#"<div class="code-tabs" role="group" aria-label="{label}">"#);
    for (place, CodeTab { section, name, panel }) in tabs.iter().enumerate() {
        let checked = if place == 0 { " checked" } else { "" };
        push!(html, r#"<input class="visually-hidden" type="radio" name="{group}" id="{group}-{section}"{checked}>"#);
        push!(html, r#"<label for="{group}-{section}">{}</label><div class="code-panel">{panel}</div>"#, Escaped(name));
    }
    html.push_str("</div>");
    InertElement::new(html)
}

/// About what a tab takes beside its panel.
const TAB_HTML: usize = 192;

/// Code, a button that copies it, and what else there is to know, as HTML.
pub fn code_panel(name: &str, note: Option<&str>, code: &str) -> String {
    let (note, label) = (Escaped(note.unwrap_or_default()), t!("Example: {name}", name = name));
    let mut html = format!(r#"<div class="row row-between"><p class="muted">{note}</p>{}</div>"#, copy_code_html());
    push!(html, r#"<pre class="code-block" tabindex="0" role="region" aria-label="{}">"#, Escaped(&label));
    // What is copied is all that stands in it: no space of ours.
    push!(html, "<code>{}</code></pre>", Escaped(code));
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_tab_of_a_group_is_on_and_every_label_belongs_to_its_own() {
        Owner::new().with(|| {
            let html = |group: &'static str| {
                let tabs =
                    ["curl", "python"].map(|name| CodeTab { section: name, name, panel: code_panel(name, None, &format!("{name} <x>")) });
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
