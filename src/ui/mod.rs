//! Components that belong to no domain. They show what they are given and fetch nothing, but for the frame's viewer.

pub mod amount;
pub mod copy;
pub mod error_text;
pub mod form;
pub mod layout;
pub mod utc_time;
