//! The place of what is not there yet, as large as that will be. Pages come whole from the server: this is for parts that a script fetches.

use crate::t;
use leptos::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkeletonKind {
    /// So many lines of text.
    Lines(usize),
    /// A number with its label.
    Stat,
    Chart,
}

#[component]
pub fn Skeleton(kind: SkeletonKind) -> impl IntoView {
    let (class, bars) = match kind {
        SkeletonKind::Lines(lines) => ("skeleton", lines),
        SkeletonKind::Stat => ("skeleton skeleton-stat", 3),
        SkeletonKind::Chart => ("skeleton skeleton-chart", 1),
    };
    let bars = (0..bars).map(|_| view! { <span></span> }).collect_view();
    view! {
        <div class=class role="status" aria-busy="true">
            <span class="visually-hidden">{t!("Loading")}</span>
            {bars}
        </div>
    }
}
