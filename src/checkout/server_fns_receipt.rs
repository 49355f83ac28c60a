//! Server functions of receipts: who, parse, store, reply.

use crate::checkout::types_receipt::ReceiptView;
use crate::error::ConsoleError;
use crate::ui::form_input::Form;
use leptos::prelude::*;
use leptos::server_fn::codec::GetUrl;

/// The receipt of one of the account's orders.
#[server(endpoint = "orders/show_receipt", input = GetUrl)]
pub async fn show_receipt(order_id: String) -> Result<ReceiptView, ConsoleError> {
    use crate::checkout::store::receipts::receipt;
    use crate::server::request_ctx;

    let member = request_ctx::reader().await?;
    let app = request_ctx::app()?;
    let order_id = order_id.parse().map_err(|_| request_ctx::fail(ConsoleError::NotFound))?;
    receipt(&app.db, &member, order_id).await.map_err(|error| request_ctx::fail(error.into()))
}

/// Keeps what receipts are to be made out to, beginning with this order's where it has nothing yet.
#[server(endpoint = "orders/save_billing", input = Form)]
pub async fn save_billing(
    order_id: String,
    name: String,
    #[server(default)] address: String,
    #[server(default)] tax_id: String,
) -> Result<(), ConsoleError> {
    use crate::checkout::store::receipts::set_billing_details;
    use crate::checkout::types_receipt::BillingDetails;
    use crate::ids::OrderId;
    use crate::server::request_ctx;

    let member = request_ctx::admin().await?;
    let order_id: OrderId = order_id.parse().map_err(|_| request_ctx::fail(ConsoleError::NotFound))?;
    let details = BillingDetails::parse(&name, &address, &tax_id).map_err(request_ctx::fail)?;
    let app = request_ctx::app()?;
    set_billing_details(&app.db, &member, order_id, &details).await.map_err(|error| request_ctx::fail(error.into()))?;
    request_ctx::go(&format!("/orders/{order_id}/receipt"));
    Ok(())
}
