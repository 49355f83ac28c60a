//! A button of a form that sends the browser's own time zone. It shows only where a script can ask for it, and only when it would change
//! something.

use leptos::prelude::*;
use leptos::web_sys::js_sys::{Array, Intl, Object, Reflect};

/// `known`: the zone that times are in already, by its name in the IANA database.
#[island]
pub fn LocalZone(known: String, label: String) -> impl IntoView {
    let zone = RwSignal::new(None::<String>);
    Effect::new(move |_| {
        let options = Intl::DateTimeFormat::new(&Array::new(), &Object::new()).resolved_options();
        let own = Reflect::get(&options, &"timeZone".into()).ok().and_then(|name| name.as_string());
        zone.set(own.filter(|own| *own != known && own != "UTC"));
    });
    view! {
        <button class="choice-button" type="submit" name="time_zone" value=move || zone.get() aria-pressed="false" hidden=move || zone.get().is_none()>
            {label}
        </button>
    }
}
