//! Components that belong to no domain. They show what they are given and fetch nothing, but for the frame's viewer.

pub mod amount;
pub mod badge;
pub mod banner;
pub mod chart;
pub mod code_tabs;
pub mod control;
pub mod copy;
pub mod empty_state;
pub mod error_text;
pub mod fact;
pub mod failure;
pub mod form;
pub mod form_input;
pub mod hydration;
pub mod icon;
pub mod last_form;
pub mod layout;
pub mod overlay;
pub mod page_data;
pub mod pages;
pub mod quota;
pub mod skeleton;
pub mod snippet;
pub mod stat;
pub mod style_guide;
pub mod table;
pub mod tabs;
pub mod utc_time;

#[cfg(test)]
mod style_tests;
