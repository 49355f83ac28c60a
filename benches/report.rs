//! The lines of the table: median ratio, bar, verdict, and the absolute figures that the ratio comes from.

/// What a figure is measured against.
#[derive(Clone, Copy)]
pub enum Bar {
    AtLeast(f64),
    AtMost(f64),
}
pub use Bar::{AtLeast, AtMost};

impl Bar {
    fn verdict(self, figure: f64) -> (&'static str, String) {
        let (met, bar) = match self {
            AtLeast(bar) => (figure >= bar, format!(">= {bar}")),
            AtMost(bar) => (figure <= bar, format!("<= {bar}")),
        };
        (if met { "PASS" } else { MISS }, bar)
    }
}

const MISS: &str = "MISS";

/// One figure over all rounds.
pub struct Line {
    what: String,
    ratios: Vec<f64>,
    absolute: String,
}

impl Line {
    /// Calls a second: candidate over baseline.
    pub fn rates(what: &str, callers: usize, rounds: impl Iterator<Item = (f64, f64)>) -> Line {
        Line::new(&with_callers(what, callers), rounds, |candidate, baseline| candidate / baseline, "/s")
    }

    pub fn micros(what: &str, rounds: impl Iterator<Item = (f64, f64)>) -> Line {
        Line::new(&with_callers(what, 1), rounds, |candidate, baseline| candidate / baseline, " µs")
    }

    /// A figure that needs no baseline.
    pub fn plain(what: &str, figures: impl Iterator<Item = f64>) -> Line {
        Line { what: what.into(), ratios: figures.collect(), absolute: String::new() }
    }

    pub fn new(what: &str, rounds: impl Iterator<Item = (f64, f64)>, ratio: impl Fn(f64, f64) -> f64, unit: &str) -> Line {
        let (mut candidates, mut baselines, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for (candidate, baseline) in rounds {
            candidates.push(candidate);
            baselines.push(baseline);
            ratios.push(ratio(candidate, baseline));
        }
        let absolute = format!("{}{unit} : {}{unit}", figure(median(&mut candidates)), figure(median(&mut baselines)));
        Line { what: what.into(), ratios, absolute }
    }

    /// Whether its bar is met, if it has one.
    pub fn print(mut self, bar: Option<Bar>) -> bool {
        let middle = median(&mut self.ratios);
        let (verdict, bar) = bar.map_or(("", String::new()), |bar| bar.verdict(middle));
        // `median` has sorted them.
        let (least, most) = (self.ratios.first().copied().unwrap_or(f64::NAN), self.ratios.last().copied().unwrap_or(f64::NAN));
        println!("{verdict:4}  {:<54} {middle:7.2}  {bar:7} {least:7.2} – {most:<7.2} {}", self.what, self.absolute);
        verdict != MISS
    }
}

fn with_callers(what: &str, callers: usize) -> String {
    format!("{what}, {callers} caller{}", if callers == 1 { "" } else { "s" })
}

/// Sorts the figures, and gives the one in the middle.
pub fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

fn figure(number: f64) -> String {
    if number < 10.0 { format!("{number:.2}") } else { format!("{number:.0}") }
}

pub fn heading(text: &str) {
    println!("\n      {text:<54}  median  bar     least – most    absolute");
}

pub fn note(text: &str) {
    println!("      {text}");
}
