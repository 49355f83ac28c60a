//! The guide's charts: few points and many, nothing and far too much.

use crate::i18n::language;
use crate::tokens::Tokens;
use crate::ui::chart::{Band, Bucket, Colours, LineChart, Series, Sparkline, StackedBars};
use crate::ui::stat::{Change, Stat};
use crate::ui::style_guide::Part;
use leptos::prelude::*;

const MODELS: [&str; 6] =
    ["acme/large-2", "acme/small-2", "borealis/chat", "borealis/embed", "cirrus/vision-with-a-long-name", "delta/one"];

/// Days that end on the last of December, followed by none.
fn days(count: usize) -> Vec<Bucket> {
    const MONTHS: [(&str, usize); 4] = [("Sep", 30), ("Oct", 31), ("Nov", 30), ("Dec", 31)];
    let all = MONTHS.iter().flat_map(|(month, days)| (1..=*days).map(move |day| format!("{day} {month}")));
    let all: Vec<String> = all.collect();
    let from = all.len().saturating_sub(count);
    all.into_iter().skip(from).map(|short| Bucket { name: format!("{short} 2026"), short, href: None }).collect()
}

/// Numbers that look like use, the same every time: weekends are quiet, and the larger of two models is not always ahead.
fn use_of(model: usize, day: usize) -> Tokens {
    let weekday = if day % 7 < 5 { 10 } else { 3 };
    let wobble = (day * 37 + model * 53) % 41 + 20;
    Tokens(i64::try_from(weekday * wobble * 2_300 / (model * model + 2)).unwrap_or_default())
}

fn uses(models: usize, days: usize) -> Vec<Series> {
    let series = MODELS
        .iter()
        .take(models)
        .enumerate()
        .map(|(model, name)| Series { name: (*name).into(), values: (0..days).map(|day| use_of(model, day)).collect() });
    series.collect()
}

/// Charts in the width of a card: `theme` makes their ids differ.
#[component]
pub fn Charts(theme: &'static str) -> impl IntoView {
    let linked = days(7).into_iter().map(|day| Bucket { href: Some(format!("#{theme}-linked-table")), ..day }).collect();
    let since = language().choose("yesterday", "昨天");
    let trend = (0..14).map(|day| use_of(0, day)).collect();
    view! {
        <Part title="Charts">
            <div class="card">
                <Stat label="Tokens charged today" change=Change { now: Tokens(1_234_567), before: Tokens(1_102_000), since }>
                    "1.23 M"
                </Stat>
                <Sparkline values=trend label="Tokens of the last 14 days" name="14 days" />
            </div>
            <div class="card">
                <h3>"Seven days, each a link"</h3>
                <StackedBars
                    id=format!("{theme}-linked")
                    label="Tokens of the last 7 days by model"
                    heading="Day"
                    buckets=linked
                    series=uses(3, 7)
                    colours=Colours::of(MODELS)
                />
            </div>
            <div class="card">
                <h3>"Nothing"</h3>
                <StackedBars
                    id=format!("{theme}-nothing")
                    label="Tokens of the last 7 days: none"
                    heading="Day"
                    buckets=days(7)
                    series=vec![Series { name: MODELS[1].into(), values: vec![Tokens(0); 7] }]
                />
            </div>
        </Part>
    }
}

/// Charts in the width of a page, in the reader's theme.
#[component]
pub fn WideCharts() -> impl IntoView {
    let stacked = |id: &'static str, title: &'static str, count: usize, series: Vec<Series>| {
        view! {
            <div class="card">
                <h3>{title}</h3>
                <StackedBars id=id label=format!("Tokens by model: {title}") heading="Day" buckets=days(count) series colours=Colours::of(MODELS) />
            </div>
        }
    };
    let huge =
        vec![Series { name: MODELS[0].into(), values: (0..31).map(|day| if day == 11 { Tokens::MOST } else { use_of(0, day) }).collect() }];
    let begun = uses(6, 31).into_iter().map(|series| {
        let values = series.values.into_iter().take(30).chain([Tokens(900)]).collect();
        Series { name: series.name, values }
    });
    let mut small = uses(5, 7);
    if let Some(largest) = small.first_mut() {
        largest.values.iter_mut().for_each(|value| value.0 *= 40);
    }
    let balance: Vec<Tokens> = (0..21).map(|day| Tokens(5_000_000 - day * 163_000 + day * day * 1_900)).collect();
    let forecast = (1..=10)
        .map(|day| Band {
            expected: Tokens(2_500_000 - day * 110_000),
            low: Tokens(2_500_000 - day * 170_000),
            high: Tokens(2_500_000 - day * 60_000),
        })
        .collect();
    view! {
        <Part title="Charts, in the width of a page">
            {stacked("wide-31", "31 days, six models", 31, uses(6, 31))}
            {stacked("wide-begun", "The last day has just begun", 31, begun.collect())}
            {stacked("wide-small", "Small parts", 7, small)}
            <div class="card">
                <h3>"Balance and forecast"</h3>
                <LineChart
                    id="wide-line"
                    label="Balance of the last 21 days, and of the next 10 at this pace"
                    heading="Day"
                    name="Balance"
                    buckets=days(31)
                    values=balance
                    forecast
                />
            </div>
            {stacked("wide-90", "90 days", 90, uses(5, 90))}
            {stacked("wide-1", "One day", 1, uses(2, 1))}
            {stacked("wide-huge", "One that is far larger", 31, huge)}
        </Part>
    }
}
