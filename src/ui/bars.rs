//! A small bar chart: zero-based, one series, each bar says its value. For a glance; the page beside it has the numbers.

use leptos::prelude::*;

/// One bar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bar {
    pub value: i64,
    /// What the bar says on hover: `4 Feb 2026: 1,234 Tokens`.
    pub text: String,
}

const WIDTH: i64 = 20;
const GAP: i64 = 4;
const HEIGHT: i64 = 72;

/// A value above zero shows, however small it is beside the largest.
fn height(value: i64, largest: i64) -> i64 {
    if value <= 0 || largest <= 0 {
        return 0;
    }
    let scaled = i128::from(value) * i128::from(HEIGHT) / i128::from(largest);
    i64::try_from(scaled).unwrap_or(HEIGHT).clamp(2, HEIGHT)
}

/// `label` is the chart in a sentence, for whoever cannot see it.
#[component]
pub fn Bars(bars: Vec<Bar>, #[prop(into)] label: String) -> impl IntoView {
    let largest = bars.iter().map(|bar| bar.value).max().unwrap_or(0);
    let view_box = format!("0 0 {} {HEIGHT}", bars.len().max(1) as i64 * WIDTH);
    let rects = bars.into_iter().zip(0_i64..).map(|(bar, n)| {
        let height = height(bar.value, largest);
        view! {
            <rect x=n * WIDTH + GAP / 2 y=HEIGHT - height width=WIDTH - GAP height=height>
                <title>{bar.text}</title>
            </rect>
        }
    });
    view! {
        <svg class="bars" viewBox=view_box preserveAspectRatio="none" role="img" aria-label=label>
            {rects.collect_view()}
        </svg>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn height_is_zero_based_and_never_hides_a_value() {
        assert_eq!([0, 50, 100].map(|value| height(value, 100)), [0, 36, 72]);
        assert_eq!(height(1, i64::MAX), 2);
        assert_eq!(height(i64::MAX, i64::MAX), HEIGHT);
        assert_eq!(height(0, 0), 0);
    }
}
