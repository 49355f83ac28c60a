//! All that the browser runs: components that need a script, and nothing else. The server renders them like any other, and the browser
//! wakes them one by one. Each works on what it is given; a page stays whole and usable without any of them.

pub mod copy;
mod dom;
pub mod explain;
pub mod follow;
pub mod live;
pub mod local_zone;
pub mod palette;
pub mod print;
pub mod reveal;
pub mod switches;
mod ticks;
pub mod trial;

/// The header with which a script says that it keeps only a part of the page it asks for. Nobody sees the rest, so what the page would show
/// once stays for whoever looks at it (`server::request_ctx`).
pub const IN_PART: &str = "x-toki-in-part";
