//! The operator's page of payment events that fit no order: what the provider said, what the order says, and what is to be done.

use crate::checkout::page::{failed_view, status_word};
use crate::checkout::server_fns_events::{ResolveEvent, show_quarantine};
use crate::checkout::types_events::{Decided, EventOutcome, OrderAbout, Quarantine, QuarantinedEvent, ResolvedEvent};
use crate::error::{ConsoleError, Field};
use crate::i18n::language;
use crate::t;
use crate::ui::empty_state::EmptyState;
use crate::ui::fact::Fact;
use crate::ui::form::{FormDone, FormError, Labelled, error_of};
use crate::ui::last_form::typed;
use crate::ui::page_data::with_data;
use crate::ui::snippet::Snippet;
use crate::ui::table::{CardTable, Head, Row};
use crate::ui::utc_time::UtcTime;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos_meta::Title;

#[component]
pub fn PaymentEventsPage() -> impl IntoView {
    let quarantine = show_quarantine();
    view! {
        <Title text=t!("Payments that fit no order") />
        <div class="page-head">
            <h1>{t!("Payments that fit no order")}</h1>
        </div>
        <p class="muted">
            {t!("The payment provider told of these, and they contradict the order that they name, or name none. Nothing was done for them.")}
        </p>
        {with_data(quarantine, quarantine_view)}
    }
    .into_any()
}

fn quarantine_view(quarantine: Result<Quarantine, ConsoleError>) -> AnyView {
    let Quarantine { open, more, resolved, decided } = match quarantine {
        Ok(quarantine) => quarantine,
        Err(error) => return failed_view(error, "/dashboard", t!("Go to the dashboard")),
    };
    // About an event that is still here it is said beside it.
    let refused = error_of(ResolveEvent::PATH);
    let about = typed(ResolveEvent::PATH, "event_id", "");
    let elsewhere = refused.filter(|_| !open.iter().any(|event| event.event_id == about));
    let decided = decided.map(|decided| view! { <FormDone path=ResolveEvent::PATH>{decided_words(&decided)}</FormDone> });
    let more = (more > 0).then(|| view! { <p class="muted">{t!("{count} more follow when these are decided.", count = more)}</p> });
    let waiting = if open.is_empty() {
        view! {
            <EmptyState
                title=t!("Nothing waits for you")
                text=t!("Every payment that was told of fits its order, or somebody has decided about it.")
                action_href="/dashboard"
                action_label=t!("Go to the dashboard")
            />
        }
        .into_any()
    } else {
        let cards = open.into_iter().map(|event| {
            let refused = refused.filter(|_| event.event_id == about);
            view! { <EventCard event refused /> }.into_any()
        });
        cards.collect_view().into_any()
    };
    view! {
        <FormError error=elsewhere />
        {decided}
        {waiting}
        {more}
        {(!resolved.is_empty()).then(|| view! { <ResolvedTable resolved /> })}
    }
    .into_any()
}

fn decided_words(decided: &Decided) -> String {
    let Decided { event_id, outcome, reason } = decided;
    match (outcome, reason) {
        (EventOutcome::Quarantined, Some(reason)) => {
            t!("{event} fits no order still: {reason}.", event = event_id, reason = reason)
        }
        (outcome, _) => t!("{event}: {outcome}.", event = event_id, outcome = outcome_word(*outcome)),
    }
}

/// What was done about an event.
fn outcome_word(outcome: EventOutcome) -> &'static str {
    match outcome {
        EventOutcome::Fulfilled => t!("The order is paid, its Tokens are credited"),
        EventOutcome::AlreadyFulfilled => t!("The order had been paid before"),
        EventOutcome::Closed => t!("The order is closed"),
        EventOutcome::Recorded => t!("Recorded"),
        EventOutcome::Waiting => t!("Waits for its payment"),
        EventOutcome::Ignored => t!("Changes nothing"),
        EventOutcome::Quarantined => t!("Fits no order"),
        EventOutcome::Dismissed => t!("Dismissed"),
    }
}

#[component]
fn EventCard(event: QuarantinedEvent, refused: Option<ConsoleError>) -> impl IntoView {
    let QuarantinedEvent { event_id, provider, event_type, reason, order_id, order, received_at, payload } = event;
    let order_id = order_id.map(|id| view! { <Fact label=t!("Order")>{id.to_string()}</Fact> });
    let [title_id, reason_id] = ["event", "reason"].map(|part| format!("{part}-{event_id}"));
    let typed_reason = if refused.is_some() { typed(ResolveEvent::PATH, "reason", "") } else { String::new() };
    view! {
        <section class="card stack" aria-labelledby=title_id.clone()>
            <h2 class="address" id=title_id.clone()>
                {event_id.clone()}
            </h2>
            <dl class="facts">
                <Fact label=t!("Why it fits none")>{reason.unwrap_or_default()}</Fact>
                <Fact label=t!("What was told")>{event_type}</Fact>
                <Fact label=t!("Arrived")>
                    <UtcTime time=received_at />
                </Fact>
                <Fact label=t!("Payment provider")>{provider}</Fact>
                {order_id}
                {order.map(order_facts)}
            </dl>
            <details>
                <summary>{t!("All that the provider said")}</summary>
                <Snippet label=t!("Event") code=format!("{payload:#}") />
            </details>
            <form class="stack" method="post" action=ResolveEvent::PATH>
                <input type="hidden" name="event_id" value=event_id />
                <Labelled
                    id=reason_id.clone()
                    label=t!("Reason")
                    field=Field::Reason
                    error=refused
                    hint=t!("What you found out, for whoever reads the audit log.")
                >
                    <input
                        id=reason_id.clone()
                        name="reason"
                        type="text"
                        required
                        maxlength="500"
                        value=typed_reason
                        aria-describedby=format!("{reason_id}-error {reason_id}-hint")
                    />
                </Labelled>
                <FormError error=refused.filter(|error| error.field().is_none()) />
                <div class="row">
                    <button class="button" type="submit" name="resolution" value="retry">
                        {t!("Decide again")}
                    </button>
                    <button class="button" type="submit" name="resolution" value="dismiss">
                        {t!("Dismiss")}
                    </button>
                </div>
                <p class="field-hint">
                    {t!("Decide again when the cause is mended: the same rules apply, and Tokens are credited only if the payment fits. Dismiss what needs nothing, or was settled elsewhere; give money back at the provider first.")}
                </p>
            </form>
        </section>
    }
}

/// What the event is compared with.
fn order_facts(order: OrderAbout) -> AnyView {
    let OrderAbout { email, package_name, price, status } = order;
    view! {
        <Fact label=t!("Ordered by")>{email}</Fact>
        <Fact label=t!("Package")>{package_name}</Fact>
        <Fact label=t!("Price")>{price.exact_in(language())}</Fact>
        <Fact label=t!("State")>{status_word(status)}</Fact>
    }
    .into_any()
}

#[component]
fn ResolvedTable(resolved: Vec<ResolvedEvent>) -> impl IntoView {
    let heads = vec![
        Head::text(t!("Event")),
        Head::text(t!("What was told")),
        Head::text(t!("Decision")),
        Head::text(t!("Decided by")),
        Head::text(t!("Reason")),
        Head::text(t!("Time")),
    ];
    let rows = resolved.into_iter().map(|event| {
        let ResolvedEvent { event_id, event_type, outcome, reason, by, at } = event;
        Row(vec![
            view! { <span class="address">{event_id}</span> }.into_any(),
            event_type.into_any(),
            outcome_word(outcome).into_any(),
            by.map(|by| view! { <span class="address">{by}</span> }).into_any(),
            reason.into_any(),
            view! { <UtcTime time=at /> }.into_any(),
        ])
    });
    view! {
        <section class="stack">
            <h2>{t!("Decided last")}</h2>
            <CardTable caption=t!("Decided last") heads rows=rows.collect() />
        </section>
    }
}
