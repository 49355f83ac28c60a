//! The receipt of a paid order: a page that prints.

use crate::checkout::page::failed_view;
use crate::checkout::server_fns_receipt::{SaveBilling, show_receipt};
use crate::checkout::types_receipt::{BillingDetails, CreditNote, Discounted, ReceiptView, Seller, Taxed};
use crate::error::{ConsoleError, Field};
use crate::ids::OrderId;
use crate::islands::print::PrintButton;
use crate::tokens::Tokens;
use crate::ui::amount::{ExactTokens, Price};
use crate::ui::control::TextArea;
use crate::ui::fact::Fact;
use crate::ui::form::{FormDone, FormError, Labelled, Submit, error_of};
use crate::ui::last_form::typed;
use crate::ui::page_data::{id_of_address, with_data};
use crate::ui::utc_time::DocumentTime;
use crate::{t, tv};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos_meta::Title;

#[component]
pub fn ReceiptPage() -> impl IntoView {
    let receipt = show_receipt(id_of_address());
    view! {
        <Title text=t!("Receipt") />
        <FormError error=error_of(SaveBilling::PATH) />
        {with_data(receipt, receipt_view)}
    }
    .into_any()
}

fn receipt_view(receipt: Result<ReceiptView, ConsoleError>) -> AnyView {
    let receipt = match receipt {
        Ok(receipt) => receipt,
        Err(error) => {
            return view! {
                <div class="page-head">
                    <h1>{t!("Receipt")}</h1>
                </div>
                {failed_view(error, "/orders", t!("Back to your orders"))}
            }
            .into_any();
        }
    };
    let ReceiptView { order_id, number, paid_at, sandbox, seller, email, billing, saved, may_save, .. } = receipt.clone();
    let kept = billing.is_some();
    view! {
        <article class="card receipt">
            <div class="page-head">
                <h1>{tv!("Receipt {number}", number = view! { <span class="mono">{number}</span> })}</h1>
                <PrintButton label=t!("Print").to_string() />
            </div>
            {sandbox
                .then(|| {
                    view! {
                        <p class="notice notice-warn">
                            {t!("Paid with play money in the sandbox: this is no document for a tax office.")}
                        </p>
                    }
                })}
            <div class="receipt-parties">
                <SellerBlock seller />
                <CustomerBlock billing email />
            </div>
            <dl class="facts">
                <Fact label=t!("Paid")>
                    <DocumentTime time=paid_at />
                </Fact>
                <div>
                    <dt>{t!("Order number")}</dt>
                    <dd class="mono">{order_id.to_string()}</dd>
                </div>
            </dl>
            <Lines receipt />
        </article>
        {may_save.then(|| view! { <BillingForm order_id saved kept /> })}
        <p class="no-print">
            <a href=format!("/orders/{order_id}")>{t!("Back to the order")}</a>
        </p>
    }
    .into_any()
}

#[component]
fn SellerBlock(seller: Option<Seller>) -> impl IntoView {
    view! {
        <section>
            <h2>{t!("Seller")}</h2>
            {match seller {
                None => view! { <p class="muted">{t!("The operator of this server has not said yet who sells here.")}</p> }.into_any(),
                Some(seller) => {
                    view! {
                        <p class="lines">{format!("{}\n{}", seller.name, seller.address)}</p>
                        {seller.tax_id.map(|tax_id| view! { <p>{t!("Tax number {number}", number = tax_id)}</p> })}
                    }
                        .into_any()
                }
            }}
        </section>
    }
}

#[component]
fn CustomerBlock(billing: Option<BillingDetails>, email: String) -> impl IntoView {
    view! {
        <section>
            <h2>{t!("Customer")}</h2>
            {billing
                .map(|billing| {
                    view! {
                        <p class="lines">{format!("{}\n{}", billing.name, billing.address)}</p>
                        {(!billing.tax_id.is_empty()).then(|| view! { <p>{t!("Tax number {number}", number = billing.tax_id)}</p> })}
                    }
                })}
            <p>{email}</p>
        </section>
    }
}

/// What was paid for, and what went back. Without a rate nothing is said of tax: whether there is any is then not known here.
#[component]
fn Lines(receipt: ReceiptView) -> impl IntoView {
    let rate = receipt.seller.as_ref().and_then(|seller| seller.tax_rate);
    let is_taxed = rate.is_some();
    let is_reduced = !receipt.credit_notes.is_empty();
    let (item, off) = match receipt.discounted {
        Some(Discounted { list, off }) => (list, Some(off)),
        None => (receipt.price, None),
    };
    view! {
        <div class="table-wrap">
            <table>
                <thead>
                    <tr>
                        <th scope="col">{t!("Item")}</th>
                        <th scope="col" class="number">
                            {t!("Tokens")}
                        </th>
                        {rate
                            .map(|rate| {
                                view! {
                                    <th scope="col" class="number">
                                        {t!("Net")}
                                    </th>
                                    <th scope="col" class="number">
                                        {t!("Tax {rate}", rate = rate.words())}
                                    </th>
                                }
                            })}
                        <th scope="col" class="number">
                            {t!("Amount")}
                        </th>
                    </tr>
                </thead>
                <tbody>
                    <tr>
                        <td data-label=t!("Item")>{receipt.package_name}</td>
                        <td class="number" data-label=t!("Tokens")>
                            <ExactTokens tokens=receipt.tokens />
                        </td>
                        <Amounts amount=item is_taxed />
                    </tr>
                    {off
                        .map(|off| {
                            view! {
                                <tr>
                                    <td data-label=t!("Item")>{t!("Promotion code")}</td>
                                    <td></td>
                                    <Amounts amount=off.negated() is_taxed />
                                </tr>
                            }
                        })}
                    {receipt.credit_notes.into_iter().map(|note| credit_note_row(note, is_taxed)).collect_view()}
                    <tr class="receipt-total">
                        <th scope="row">{if is_reduced { t!("Paid, less refunds") } else { t!("Paid") }}</th>
                        <td></td>
                        <Amounts amount=receipt.total is_taxed />
                    </tr>
                </tbody>
            </table>
        </div>
    }
}

fn credit_note_row(note: CreditNote, is_taxed: bool) -> impl IntoView {
    let tokens = Tokens(-note.tokens.0);
    let number = view! { <span class="mono">{note.number}</span> };
    let time = view! { <DocumentTime time=note.at /> };
    let item = match note.void {
        true => tv!("Credit note {number} of {time}: void, it does not count", number = number, time = time),
        false => tv!("Credit note {number} of {time}", number = number, time = time),
    };
    view! {
        <tr>
            <td data-label=t!("Item")>{item}</td>
            {match note.void {
                true => {
                    view! {
                        <td></td>
                        {is_taxed.then(|| view! { <td></td><td></td> })}
                        <td></td>
                    }
                        .into_any()
                }
                false => {
                    view! {
                        <td class="number" data-label=t!("Tokens")>
                            <ExactTokens tokens />
                        </td>
                        <Amounts amount=note.amount.negated() is_taxed />
                    }
                        .into_any()
                }
            }}
        </tr>
    }
}

#[component]
fn Amounts(amount: Taxed, is_taxed: bool) -> impl IntoView {
    let Taxed { net, tax, gross } = amount;
    view! {
        {is_taxed
            .then(|| {
                view! {
                    <td class="number" data-label=t!("Net")>
                        <Price money=net />
                    </td>
                    <td class="number" data-label=t!("Tax")>
                        <Price money=tax />
                    </td>
                }
            })}
        <td class="number" data-label=t!("Amount")>
            <Price money=gross />
        </td>
    }
}

/// What receipts are made out to. One that has no details yet takes these; one that has keeps its own.
#[component]
fn BillingForm(order_id: OrderId, saved: Option<BillingDetails>, kept: bool) -> impl IntoView {
    let error = error_of(SaveBilling::PATH);
    let details = saved.unwrap_or_else(|| BillingDetails { name: String::new(), address: String::new(), tax_id: String::new() });
    let consequence = match kept {
        false => t!("They are added to this receipt, once, and stand on your next ones."),
        true => t!("They stand on your next receipts. This one was issued and stays as it is; ask support for a corrected one."),
    };
    view! {
        <section class="card stack no-print">
            <h2>{t!("Your billing details")}</h2>
            <FormDone path=SaveBilling::PATH>{t!("Your billing details are saved.")}</FormDone>
            <p class="muted">{consequence}</p>
            <form method="post" action=SaveBilling::PATH>
                <input type="hidden" name="order_id" value=order_id.to_string() />
                <Labelled id="billing-name" label=t!("Name or company") field=Field::Billing error>
                    <input
                        id="billing-name"
                        name="name"
                        value=typed(SaveBilling::PATH, "name", details.name)
                        required
                        maxlength="200"
                        autocomplete="billing organization"
                        aria-describedby="billing-name-error"
                    />
                </Labelled>
                <div class="field">
                    <label for="billing-address">{t!("Address")}</label>
                    <TextArea
                        id="billing-address"
                        name="address"
                        text=typed(SaveBilling::PATH, "address", details.address)
                        maxlength="500"
                        autocomplete="billing street-address"
                    />
                </div>
                <div class="field">
                    <label for="billing-tax-id">{t!("Tax number")}</label>
                    <input id="billing-tax-id" name="tax_id" value=typed(SaveBilling::PATH, "tax_id", details.tax_id) maxlength="50" />
                </div>
                <Submit>{t!("Save")}</Submit>
            </form>
        </section>
    }
}
