//! Charts, drawn on the server. The shapes are an SVG that stretches with its place; all text is HTML above it, so that it neither
//! stretches nor shrinks. What is drawn is named where it ends, or, where there is no room beside it, right below. Over each stretch of
//! time lies a column that can be focused and pointed at, and then opened where there is a finer view of it: CSS alone shows its values at
//! the names. A table says the same in `<details>`. A chart stands on a card.

mod colour;
mod figure;
mod label;
mod line;
mod scale;
mod sparkline;
mod stacked;

#[cfg(test)]
mod snapshot_tests;

pub use colour::Colours;
pub use line::{Band, LineChart};
pub use sparkline::Sparkline;
pub use stacked::{Series, StackedBars};

use crate::ui::utc_time::written;
use crate::utc::UtcTime;

/// A stretch of time, or whatever else the values of a chart stand side by side for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// In full: `24 Dec 2026`.
    pub name: String,
    /// Below the chart, where there is room for few words: `24 Dec`.
    pub short: String,
    /// Where a finer view of it is.
    pub href: Option<String>,
}

impl Bucket {
    /// A day of the reader.
    pub fn day(time: UtcTime, href: Option<String>) -> Bucket {
        let written = written(time);
        Bucket { name: written.day().to_string(), short: written.short_day().to_string(), href }
    }

    /// An hour of the reader.
    pub fn hour(time: UtcTime, href: Option<String>) -> Bucket {
        let written = written(time);
        Bucket { name: written.minute().to_string(), short: written.hour().to_string(), href }
    }
}
