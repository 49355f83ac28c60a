//! The guide's type, in both languages, and its colours with their measured contrasts.

use crate::i18n::Language;
use crate::ui::style_guide::Part;
use crate::ui::style_guide::contrast::{measured, pairs};
use crate::ui::table::{CardTable, Head, Row};
use leptos::prelude::*;

#[component]
pub fn Type() -> impl IntoView {
    let sample = |language: Language| {
        let say = |english: &'static str, chinese: &'static str| language.choose(english, chinese);
        view! {
            <div class="card" lang=language.tag()>
                <p class="type-40">"1,234,567"</p>
                <p class="type-28">{say("Every Token accounted for", "每个 Token 都有据可查")}</p>
                <p class="type-20">{say("Balance, keys and usage", "余额、密钥与用量")}</p>
                <p class="type-16">{say("Buy a package, create a key, make a call.", "购买套餐，创建密钥，开始调用。")}</p>
                <p>{say("The next call sees it: a purchase, an edit, a switched-off key.", "购买、修改、停用密钥，下一次调用即刻生效。")}</p>
                <p class="muted">{say("Quiet: times, hints, what stands beside a number.", "次要：时间、提示、数字旁的说明。")}</p>
                <p class="mono">"sk-toki-4f9c…e21b · acme/large-2"</p>
                <table class="number">
                    <tbody>
                        <tr><td>"1,111,111"</td><td>"$11.11"</td></tr>
                        <tr><td>"8,008,088"</td><td>"$80.08"</td></tr>
                    </tbody>
                </table>
            </div>
        }
    };
    view! {
        <Part title="Type">
            <div class="themes">{Language::ALL.map(sample).into_iter().collect_view()}</div>
        </Part>
    }
}

/// Every pair of colours that meets on a page. `theme` is one of the two.
#[component]
pub fn Colours(theme: &'static str) -> impl IntoView {
    let at = usize::from(theme == "dark");
    let rows = pairs().into_iter().map(move |pair| {
        let ratio = measured(&pair).and_then(|both| both.get(at).copied()).unwrap_or_default();
        let names = format!("{} on {}", pair.front, pair.back);
        // Colours of things, not of text, are shown as things.
        let front = format!("var(--{})", pair.front);
        let shape = if pair.least < 450 {
            view! { <rect x="8" y="8" width="40" height="12" rx="3" fill=front /> }.into_any()
        } else {
            view! { <text x="28" y="19" text-anchor="middle" font-size="13" font-weight="600" fill=front>"Aa 文"</text> }.into_any()
        };
        let swatch = view! {
            <svg class="swatch" width="56" height="28" aria-hidden="true">
                <rect width="56" height="28" rx="6" fill=format!("var(--{})", pair.back) stroke="var(--line)" />
                {shape}
            </svg>
        };
        let cell = view! { <span class="row">{swatch} <span class="mono">{names}</span></span> };
        Row(vec![cell.into_any(), hundredths(ratio).into_any(), hundredths(pair.least).into_any()])
    });
    let heads = vec![Head::text("Pair"), Head::number("Measured"), Head::number("At least")];
    view! {
        <Part title="Colours">
            <details>
                <summary>"Pairs and their contrasts"</summary>
                <CardTable caption="Pairs of colours" heads rows=rows.collect() />
            </details>
        </Part>
    }
}

fn hundredths(ratio: u32) -> String {
    format!("{}.{:02}", ratio / 100, ratio % 100)
}
