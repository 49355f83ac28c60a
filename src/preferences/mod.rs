//! How a browser wants its pages: language, theme, time zone. Kept in cookies and read with each request, so that a page is right from
//! its first byte, for visitors too.

pub mod page;
pub mod server_fns;
pub mod types;
