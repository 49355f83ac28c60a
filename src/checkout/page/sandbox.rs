//! The sandbox's payment page: what a payment provider's would be, with play money.

use crate::checkout::page::{StatusBadge, failed_view};
use crate::checkout::server_fns::{DeclineInSandbox, PayInSandbox, show_sandbox_payment};
use crate::checkout::types::{OrderStatus, SandboxPayment};
use crate::error::ConsoleError;
use crate::t;
use crate::ui::amount::{ExactTokens, Price};
use crate::ui::fact::Fact;
use crate::ui::form::{FormError, Submit, error_of};
use crate::ui::page_data::{id_of_address, with_data};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos_meta::Title;

#[component]
pub fn SandboxPaymentPage() -> impl IntoView {
    let payment = show_sandbox_payment(id_of_address());
    view! {
        <Title text=t!("Sandbox payment") />
        <div class="page-head">
            <h1>{t!("Sandbox payment")}</h1>
        </div>
        <p class="notice notice-warn">{t!("This page stands for a payment provider. No money moves, whatever you choose.")}</p>
        <FormError error=error_of(PayInSandbox::PATH) />
        <FormError error=error_of(DeclineInSandbox::PATH) />
        {with_data(payment, payment_view)}
    }
    .into_any()
}

fn payment_view(payment: Result<SandboxPayment, ConsoleError>) -> AnyView {
    let payment = match payment {
        Ok(payment) => payment,
        Err(error) => return failed_view(error, "/orders", t!("Back to your orders")),
    };
    let open = payment.status == OrderStatus::AwaitingPayment;
    let session_id = payment.session_id;
    view! {
        <section class="card stack">
            <dl class="facts">
                <Fact label=t!("Package")>
                    {payment.package_name}
                </Fact>
                <Fact label=t!("Tokens")>
                    <ExactTokens tokens=payment.tokens />
                </Fact>
                <Fact label=t!("To pay")>
                    <Price money=payment.price />
                </Fact>
            </dl>
            {open
                .then(|| {
                    view! {
                        <div class="row">
                            <form method="post" action=PayInSandbox::PATH>
                                <input type="hidden" name="session_id" value=session_id.clone() />
                                <Submit>{t!("Pay")}</Submit>
                            </form>
                            <form method="post" action=DeclineInSandbox::PATH>
                                <input type="hidden" name="session_id" value=session_id />
                                <button class="button button-quiet" type="submit">
                                    {t!("Decline")}
                                </button>
                            </form>
                        </div>
                        <p>
                            <a href=format!("/products/{}/confirm", payment.package_id)>{t!("Cancel and go back")}</a>
                        </p>
                    }
                })}
            {(!open)
                .then(|| {
                    view! {
                        <p>
                            <StatusBadge status=payment.status />
                            " "
                            <a href=format!("/orders/{}", payment.order_id)>{t!("See the order")}</a>
                        </p>
                    }
                })}
        </section>
    }
    .into_any()
}
