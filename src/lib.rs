//! The module tree of TOKI Token Plan and every crate-level gate. Owns no behaviour but the browser's entry point.
//!
//! `ssr` builds the `toki` binary, `hydrate` the browser's WebAssembly; they are never on together.
#![recursion_limit = "512"]

#[cfg(not(erase_components))]
compile_error!(
    "server and browser must agree on `--cfg erase_components`: unset RUSTFLAGS, which hides .cargo/config.toml, or add it there"
);

pub mod accounts;
pub mod app;
pub mod catalog;
pub mod checkout;
pub mod codes;
pub mod error;
pub mod home;
pub mod ids;
pub mod journal;
pub mod keys;
pub mod money;
pub mod suppliers;
pub mod tokens;
pub mod ui;
pub mod usage;
pub mod utc;
pub mod wallet;

#[cfg(feature = "ssr")]
pub mod cli;
#[cfg(feature = "ssr")]
pub mod gateway;
#[cfg(feature = "ssr")]
pub mod mail;
#[cfg(feature = "ssr")]
pub mod operators;
#[cfg(feature = "ssr")]
pub mod seal;
#[cfg(feature = "ssr")]
pub mod secret;
#[cfg(feature = "ssr")]
pub mod server;

/// Takes over the server-rendered page in the browser.
#[cfg(feature = "hydrate")]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate() {
    console_error_panic_hook::set_once();
    leptos::mount::hydrate_body(app::App);
}
