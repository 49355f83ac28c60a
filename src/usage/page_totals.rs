//! What a stretch of time came to: the sums, a bar for each hour or day, and a line for each model, key, supplier or member.

use crate::html::{escaped, link};
use crate::preferences::time_zone;
use crate::t;
use crate::tokens::{Tokens, grouped};
use crate::ui::amount::{TokenAmount, amount_html, exact_html};
use crate::ui::chart::{Bucket, Colours, Series, StackedBars};
use crate::ui::stat::Stat;
use crate::ui::table::{Head, TextTable};
use crate::ui::utc_time::day;
use crate::usage::page::Asked;
use crate::usage::page_filter::group_words;
use crate::usage::range::{Range, Unit};
use crate::usage::types::FAILED;
use crate::usage::types_totals::{Group, Part, Sums};
use crate::utc::UtcTime;
use leptos::prelude::*;

#[component]
pub fn Totals(range: Range, group: Group, mut parts: Vec<Part>, mut of_group: Vec<(String, String)>, asked: Asked) -> impl IntoView {
    let former = parts.iter_mut().find(|part| part.before_handover());
    let handed_over = former.is_some();
    if let Some(part) = former {
        part.name = t!("Before a key was handed over").into();
        // By its id, which is the same in all languages, and after all others, whose colours it leaves as they are.
        of_group.push((part.id.clone(), part.name.clone()));
    }
    let all: Sums = parts.iter().map(|part| part.sums).sum();
    // Of all, so that each has its colour whatever is shown.
    let colours = Colours::of_named(of_group);
    let series = parts.iter().map(|part| Series { name: part.name.clone(), values: part.charged.clone() }).collect();
    view! {
        <Cards all />
        <div class="card">
            <h2>{t!("Tokens charged")}</h2>
            <StackedBars
                id="usage"
                label=chart_label(&range, group)
                heading=match range.unit {
                    Unit::Hour => t!("Hour"),
                    Unit::Day => t!("Day"),
                }
                buckets=buckets(&range, &asked)
                series
                colours
            />
        </div>
        {(!parts.is_empty()).then(|| parts_table(group, &parts, all, &asked))}
        {handed_over
            .then(|| {
                let words = t!("What keys used before they were handed over, to the end of that hour, is counted apart.");
                view! { <p class="muted">{words}</p> }
            })}
    }
}

#[component]
fn Cards(all: Sums) -> impl IntoView {
    let failed = match all.failed {
        0 => t!("None failed").to_string(),
        failed => t!("{calls} failed on the supplier's or our side", calls = Tokens(failed).exact()),
    };
    let cached = t!("{tokens} of it cached", tokens = all.cached.exact());
    view! {
        <div class="cards cards-stats">
            <div class="card">
                <Stat label=t!("Charged")>
                    <TokenAmount tokens=all.charged />
                </Stat>
            </div>
            <div class="card">
                <Stat label=t!("Calls") note=Some(failed.into_any())>
                    {Tokens(all.calls).exact()}
                </Stat>
            </div>
            <div class="card">
                <Stat label=t!("Input") note=Some(cached.into_any())>
                    <TokenAmount tokens=all.input />
                </Stat>
            </div>
            <div class="card">
                <Stat label=t!("Output")>
                    <TokenAmount tokens=all.output />
                </Stat>
            </div>
        </div>
    }
}

fn chart_label(range: &Range, group: Group) -> String {
    let (from, to) = (day(range.start().into()), day(range.last()));
    match group {
        Group::Model => t!("Tokens charged by model, {from} to {to}", from = from, to = to),
        Group::Key => t!("Tokens charged by key, {from} to {to}", from = from, to = to),
        Group::Supplier => t!("Tokens charged by supplier, {from} to {to}", from = from, to = to),
        Group::Member => t!("Tokens charged by member, {from} to {to}", from = from, to = to),
    }
}

/// A bar leads to its hours, an hour to its calls.
pub fn buckets(range: &Range, asked: &Asked) -> Vec<Bucket> {
    let alone = range.starts.len() == 1;
    let finer = |place| {
        let (from, to) = range.bucket(place, time_zone());
        Asked { range: String::new(), from, to, ..asked.newest() }.address()
    };
    let buckets = range.starts.iter().enumerate().map(|(place, start)| {
        let (start, href) = (UtcTime::from(*start), (!alone).then(|| finer(place)));
        match range.unit {
            Unit::Hour => Bucket::hour(start, href),
            Unit::Day => Bucket::day(start, href),
        }
    });
    buckets.collect()
}

fn parts_table(group: Group, parts: &[Part], all: Sums, asked: &Asked) -> AnyView {
    let heads = vec![
        Head::text(group_words(group)),
        Head::number(t!("Calls")),
        Head::number(t!("Failed")),
        Head::number(t!("Input")),
        Head::number(t!("Output")),
        Head::figure(t!("Charged")),
        Head::number(t!("Share")),
    ];
    let mut table = TextTable::new(heads, parts.len());
    for Part { id, name, sums, .. } in parts {
        let only = match group {
            Group::Model => Some(Asked { model: id.clone(), ..asked.newest() }),
            Group::Key => Some(Asked { key: id.clone(), ..asked.newest() }),
            Group::Supplier => Some(Asked { supplier: id.clone(), ..asked.newest() }),
            // What was before a handover is of nobody who could be asked for.
            Group::Member => (!id.is_empty()).then(|| Asked { member: id.clone(), ..asked.newest() }),
        };
        let head = match &only {
            Some(only) if group == Group::Member => format!(r#"<span class="address">{}</span>"#, link(&only.address(), name)),
            Some(only) => link(&only.address(), name).to_string(),
            None => escaped(name),
        };
        let failed = grouped(sums.failed).to_string();
        let failed = match only.filter(|_| sums.failed > 0) {
            Some(only) => link(&Asked { outcome: FAILED.into(), ..only }.address(), &failed).to_string(),
            None => failed,
        };
        let calls = grouped(sums.calls).to_string();
        let [input, output] = [sums.input, sums.output].map(|tokens| amount_html(tokens).to_string());
        let charged = exact_html(sums.charged).to_string();
        let share = escaped(&share(sums.charged, all.charged));
        table.row(head, [calls.as_str(), &failed, &input, &output, &charged, &share]);
    }
    table.view(t!("What was used by each").into())
}

/// `12 %`, of nothing nothing.
fn share(part: Tokens, all: Tokens) -> String {
    match (part.0, all.0) {
        (0, _) | (_, 0) => "0 %".into(),
        (part, all) => match i128::from(part) * 100 / i128::from(all) {
            0 => "< 1 %".into(),
            percent => format!("{percent} %"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_whole_per_cent_and_never_none_of_something() {
        let shares = [(0, 0), (0, 7), (1, 1_000), (1, 3), (7, 7), (i64::MAX, i64::MAX)];
        assert_eq!(shares.map(|(part, all)| share(Tokens(part), Tokens(all))), ["0 %", "0 %", "< 1 %", "33 %", "100 %", "100 %"]);
    }
}
