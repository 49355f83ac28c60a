//! A line as high as a word: which way a number beside it goes. Without scale or values; the number has those.

use crate::push;
use crate::tokens::Tokens;
use crate::ui::chart::figure::COLUMN;
use crate::ui::chart::scale::Scale;
use leptos::prelude::*;

const HEIGHT: i64 = 100;

/// The line from edge to edge, and where it ends. The base of the chart is zero.
fn path(values: &[Tokens]) -> (String, String) {
    let scale = Scale::exactly(values.iter().copied().max().unwrap_or_default());
    let points = values.iter().zip(0_i64..).map(|(value, n)| (n * COLUMN, HEIGHT - scale.height(*value, HEIGHT)));
    let mut line = String::new();
    for (x, y) in points.clone() {
        push!(line, "{}{x} {y}", if x == 0 { 'M' } else { 'L' });
    }
    (line, points.last().map(|(x, y)| format!("M{x} {y}h0")).unwrap_or_default())
}

/// `label` says what the eye sees: `Tokens of the last 14 days, rising`. `name` is what stands at the line's end: `14 days`.
#[component]
pub fn Sparkline(values: Vec<Tokens>, #[prop(into)] label: String, #[prop(into)] name: String) -> impl IntoView {
    let (line, end) = path(&values);
    let steps = i64::try_from(values.len()).unwrap_or(1).saturating_sub(1).max(1);
    let view_box = format!("0 0 {} {HEIGHT}", steps * COLUMN);
    view! {
        <div class="sparkline">
            <svg viewBox=view_box preserveAspectRatio="none" role="img" aria-label=label>
                <path class="chart-line series-1" d=line />
                <path class="chart-dot series-1" d=end />
            </svg>
            <span aria-hidden="true">{name}</span>
        </div>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_is_at_the_top_and_nothing_at_the_base() {
        assert_eq!(path(&[0, 7, 3].map(Tokens)), ("M0 100L100 0L200 58".into(), "M200 58h0".into()));
        assert_eq!(path(&[0, 0].map(Tokens)), ("M0 100L100 100".into(), "M100 100h0".into()));
        assert_eq!(path(&[]), (String::new(), String::new()));
    }
}
