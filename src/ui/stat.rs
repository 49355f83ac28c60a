//! One number and what it counts. The number is the child; a note may say more.

use leptos::prelude::*;

#[component]
pub fn Stat(label: &'static str, #[prop(into, optional)] note: String, children: Children) -> impl IntoView {
    view! {
        <div class="stat">
            <span>{label}</span>
            <span>{children()}</span>
            {(!note.is_empty()).then(|| view! { <span>{note}</span> })}
        </div>
    }
}
