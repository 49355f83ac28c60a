//! The balance as a line: how it went, and where it goes at this pace.

use crate::home::types::BurnDown;
use crate::t;
use crate::ui::chart::{Band, Bucket, LineChart};
use crate::wallet::types::Expected;
use leptos::prelude::*;

#[component]
pub fn BurnDownChart(burn_down: BurnDown) -> impl IntoView {
    let BurnDown { days, balances, course } = burn_down;
    let label = t!(
        "Balance by day, today as it is now: the last {back} days and, at this pace, the next {ahead}",
        back = balances.len(),
        ahead = course.len()
    );
    let forecast: Vec<Band> = course.into_iter().map(|Expected { likely, low, high }| Band { expected: likely, low, high }).collect();
    view! {
        <section class="card">
            <div class="page-head">
                <h2>{t!("Balance by day")}</h2>
                <a href="/wallet">{t!("Wallet")}</a>
            </div>
            <LineChart
                id="burn-down"
                label
                heading=t!("Day")
                name=t!("Balance")
                buckets=days.into_iter().map(|day| Bucket::day(day, None)).collect()
                values=balances
                forecast
            />
        </section>
    }
}
