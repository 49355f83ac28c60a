//! Keeps what is marked `data-live` up to date for as long as the page can be seen: the server says when something of the account changed
//! (`GET /live`), and the page is read anew. Without JavaScript, or without that stream, a page is as old as it is.

use crate::islands::live::{Seen, refresh};
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos::wasm_bindgen::JsCast;
use leptos::wasm_bindgen::closure::Closure;
use leptos::web_sys::EventSource;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// Changes that come together are read together.
const GATHER: Duration = Duration::from_millis(300);

/// `since`: when the page began to be read, for the server to say whether anything changed meanwhile.
#[island]
pub fn Follow(since: String) -> impl IntoView {
    Effect::new(move |_| {
        let following = Rc::new(Following { since: since.clone(), ..Following::default() });
        following.clone().look();
        let look = Closure::<dyn Fn()>::new(move || following.clone().look());
        let _ = document().add_event_listener_with_callback("visibilitychange", look.as_ref().unchecked_ref());
        // It ends with the page.
        look.forget();
    });
}

#[derive(Default)]
struct Following {
    since: String,
    connection: RefCell<Option<Connection>>,
    seen: RefCell<Seen>,
    due: Cell<bool>,
}

/// A stream, and what it calls.
struct Connection {
    source: EventSource,
    _told: Closure<dyn Fn()>,
}

impl Following {
    /// A page that nobody sees holds no connection: browsers have few for each server. One that is seen again asks once.
    fn look(self: Rc<Self>) {
        let mut connection = self.connection.borrow_mut();
        match (document().hidden(), connection.take()) {
            (true, Some(connection)) => connection.source.close(),
            (false, None) => *connection = self.clone().connect(),
            (_, kept) => *connection = kept,
        }
    }

    fn connect(self: Rc<Self>) -> Option<Connection> {
        let source = EventSource::new(&format!("/live?since={}", self.since)).ok()?;
        let told = Closure::<dyn Fn()>::new(move || self.clone().told());
        source.set_onmessage(Some(told.as_ref().unchecked_ref()));
        Some(Connection { source, _told: told })
    }

    fn told(self: Rc<Self>) {
        if self.due.replace(true) {
            return;
        }
        let read = move || {
            spawn_local(async move {
                self.due.set(false);
                let mut seen = self.seen.take();
                // What could not be read now is read with the next change.
                let _ = refresh(&mut seen).await;
                self.seen.replace(seen);
            });
        };
        set_timeout(read, GATHER);
    }
}
