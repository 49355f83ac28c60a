//! Server functions of codes: who, parse, store, reply.

use crate::error::ConsoleError;
use crate::ui::form_input::Form;
use leptos::prelude::*;

/// Redeems a code into the wallet, and goes there: the page says what came in.
#[server(endpoint = "codes/redeem", input = Form)]
pub async fn redeem_code(#[server(default)] code: String) -> Result<(), ConsoleError> {
    use crate::codes::store;
    use crate::codes::store::plain::{CodePepper, PlainCode};
    use crate::server::request_ctx;
    let member = request_ctx::member().await?;
    let app = request_ctx::app()?;
    let code = PlainCode::parse(&code).map_err(|problem| request_ctx::fail(ConsoleError::Code(problem)))?;
    let pepper = CodePepper::derive(app.hash_key.bytes());
    let grant_id = store::redeem(&app.db, &member, &code.hash(&pepper)).await.map_err(|error| request_ctx::fail(error.into()))?;
    request_ctx::go(&format!("/wallet?redeemed={grant_id}"));
    Ok(())
}
