//! Whole charts as HTML, so that a change of any is seen in review.

use crate::tokens::Tokens;
use crate::ui::chart::{Band, Bucket, LineChart, Series, Sparkline, StackedBars};
use leptos::prelude::*;

fn buckets(count: usize, linked: bool) -> Vec<Bucket> {
    let bucket = |day: usize| Bucket {
        name: format!("{day} Dec 2026"),
        short: format!("{day} Dec"),
        href: linked.then(|| format!("/usage?day={day}")),
    };
    (1..=count).map(bucket).collect()
}

fn series(name: &str, values: &[i64]) -> Series {
    Series { name: name.into(), values: values.iter().copied().map(Tokens).collect() }
}

/// A tag a line.
fn html(view: impl IntoView) -> String {
    view.to_html().replace("<!>", "").replace("><", ">\n<")
}

fn rendered<V: IntoView>(view: impl FnOnce() -> V) -> String {
    Owner::new().with(|| html(view()))
}

fn bars(buckets: Vec<Bucket>, series: Vec<Series>) -> String {
    rendered(|| view! { <StackedBars id="bars" label="Tokens by model" heading="Day" buckets series /> })
}

#[test]
fn stacked_bars() {
    let series = vec![series("alpha/one", &[1_200, 0, 800]), series("beta", &[300, 1, 0])];
    insta::assert_snapshot!(bars(buckets(3, true), series));
}

#[test]
fn a_line_with_its_forecast() {
    let forecast = vec![Band { expected: Tokens(40), low: Tokens(20), high: Tokens(60) }];
    insta::assert_snapshot!(rendered(|| view! {
        <LineChart
            id="line"
            label="Balance"
            heading="Day"
            name="Balance"
            buckets=buckets(3, false)
            values=vec![Tokens(100), Tokens(70)]
            forecast
        />
    }));
}

#[test]
fn a_sparkline() {
    insta::assert_snapshot!(rendered(
        || view! { <Sparkline values=vec![Tokens(1), Tokens(3), Tokens(2)] label="Rising" name="14 days" /> }
    ));
}

#[test]
fn any_number_of_columns_and_any_values_are_drawn() {
    for count in [0, 1, 7, 31, 90] {
        for value in [0, 1, 1_234_567, i64::MAX] {
            let html = bars(buckets(count, false), vec![series("a", &vec![value; count]), series("b", &vec![value; count])]);
            assert_eq!(html.matches("class=\"chart-column\"").count(), count, "{count} of {value}");
            assert!(!html.contains("style=") && !html.contains("NaN"), "{html}");
        }
    }
}
