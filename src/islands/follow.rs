//! Keeps what is marked `data-live` up to date for as long as the page can be seen: the server says when something of the account changed
//! (`GET /live`), and the page is read anew. Where that stream is refused, the page is read anew each [`POLL_EACH`], until there is one.
//! Without JavaScript a page is as old as it is.

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
/// How often a page without a stream is read, and asks for a stream again.
const POLL_EACH: Duration = Duration::from_secs(15);

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
    _lost: Closure<dyn Fn()>,
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
        let following = self.clone();
        let told = Closure::<dyn Fn()>::new(move || following.clone().told());
        source.set_onmessage(Some(told.as_ref().unchecked_ref()));
        let lost = Closure::<dyn Fn()>::new(move || self.clone().lost());
        source.set_onerror(Some(lost.as_ref().unchecked_ref()));
        Some(Connection { source, _told: told, _lost: lost })
    }

    /// A stream that broke off is connected again by the browser. One that was refused, as while the database is away, is closed for good.
    fn lost(self: Rc<Self>) {
        if self.is_refused() {
            set_timeout(move || self.poll(), POLL_EACH);
        }
    }

    fn is_refused(&self) -> bool {
        self.connection.borrow().as_ref().is_some_and(|connection| connection.source.ready_state() == EventSource::CLOSED)
    }

    /// Reads the page and asks for a stream again, unless the page was left, or has asked, meanwhile.
    fn poll(self: Rc<Self>) {
        if self.is_refused() {
            drop(self.connection.take());
            self.clone().told();
            self.look();
        }
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
