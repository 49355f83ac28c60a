//! The sandbox's payment page: what a payment provider's would be, with play money.

use crate::checkout::page::{StatusBadge, failed_view};
use crate::checkout::server_fns::{DeclineInSandbox, PayInSandbox, show_sandbox_payment};
use crate::checkout::types::{OrderStatus, SandboxPayment};
use crate::error::ConsoleError;
use crate::ui::amount::{ExactTokens, Price};
use crate::ui::form::{FormError, Submit, error_of};
use crate::ui::page_data::page_data;
use leptos::form::ActionForm;
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_params_map;

#[component]
pub fn SandboxPaymentPage() -> impl IntoView {
    let params = use_params_map();
    let pay = ServerAction::<PayInSandbox>::new();
    let decline = ServerAction::<DeclineInSandbox>::new();
    let payment = page_data(
        move || (params.read().get("id").unwrap_or_default(), pay.version().get(), decline.version().get()),
        |(session_id, _, _)| show_sandbox_payment(session_id),
    );
    view! {
        <Title text="Sandbox payment" />
        <div class="page-head">
            <h1>"Sandbox payment"</h1>
        </div>
        <p class="notice notice-warn">"This page stands for a payment provider. No money moves, whatever you choose."</p>
        <FormError error=error_of(pay.value()) />
        <FormError error=error_of(decline.value()) />
        <Transition fallback=|| ()>{move || Suspend::new(async move { payment_view(payment.await, pay, decline) })}</Transition>
    }
    .into_any()
}

fn payment_view(
    payment: Result<SandboxPayment, ConsoleError>,
    pay: ServerAction<PayInSandbox>,
    decline: ServerAction<DeclineInSandbox>,
) -> AnyView {
    let payment = match payment {
        Ok(payment) => payment,
        Err(error) => return failed_view(error, "/orders", "Back to your orders"),
    };
    let open = payment.status == OrderStatus::AwaitingPayment;
    let session_id = StoredValue::new(payment.session_id);
    view! {
        <section class="card stack">
            <dl class="facts">
                <div>
                    <dt>"Package"</dt>
                    <dd>{payment.package_name}</dd>
                </div>
                <div>
                    <dt>"Tokens"</dt>
                    <dd>
                        <ExactTokens tokens=payment.tokens />
                    </dd>
                </div>
                <div>
                    <dt>"To pay"</dt>
                    <dd>
                        <Price money=payment.price />
                    </dd>
                </div>
            </dl>
            {open
                .then(|| {
                    view! {
                        <div class="row">
                            <ActionForm action=pay>
                                <input type="hidden" name="session_id" value=session_id.get_value() />
                                <Submit pending=pay.pending()>"Pay"</Submit>
                            </ActionForm>
                            <ActionForm action=decline>
                                <input type="hidden" name="session_id" value=session_id.get_value() />
                                <button class="button button-quiet" type="submit" disabled=decline.pending()>
                                    "Decline"
                                </button>
                            </ActionForm>
                        </div>
                        <p>
                            <a href=format!("/products/{}/confirm", payment.package_id)>"Cancel and go back"</a>
                        </p>
                    }
                })}
            {(!open)
                .then(|| {
                    view! {
                        <p>
                            <StatusBadge status=payment.status />
                            " "
                            <a href=format!("/orders/{}", payment.order_id)>"See the order"</a>
                        </p>
                    }
                })}
        </section>
    }
    .into_any()
}
