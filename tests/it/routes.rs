//! Every route of the program, who may use it, and a well-formed request to it: what the walks of `routes_roles`, `routes_posts` and
//! `routes_gets` go through. A route that is missing here, or is here and nowhere else, fails.

use crate::server_fns::{Right, server_fns};
use crate::support::routes::{Route, Who};
use leptos::server_fn::axum::server_fn_paths;
use std::collections::BTreeMap;
use toki::app::App;

/// Method, path, who may, and what is sent: `:id` goes into the path, the rest into the query or the body. `{key}` is an id of the
/// account that is asked about, and not found in any other; `{~key}` is one that a list is filtered by.
///
/// In the order of a walk: what ends a session, a membership or a thing comes last.
#[rustfmt::skip]
pub const ROUTES: &[Route] = &[
    Route("GET", "/", Who::Public, ""),
    Route("GET", "/dashboard", Who::Reader, ""),
    Route("GET", "/docs", Who::Public, ""),
    Route("GET", "/docs/{page}", Who::Public, ":page=quickstart"),
    Route("GET", "/forgot-password", Who::Public, ""),
    Route("GET", "/goodbye", Who::Public, ""),
    Route("GET", "/invitation", Who::Public, "token=x"),
    Route("GET", "/keys", Who::Reader, "search={~MARK}"),
    Route("GET", "/keys/delete", Who::Member, "chosen[]={key}"),
    Route("GET", "/keys/{id}", Who::Reader, ":id={key}"),
    Route("GET", "/models", Who::Public, ""),
    Route("GET", "/operator/payments", Who::Operator, ""),
    Route("GET", "/orders", Who::Reader, "before={order}"),
    Route("GET", "/orders/{id}", Who::Reader, ":id={order}"),
    Route("GET", "/orders/{id}/receipt", Who::Reader, ":id={order}"),
    Route("GET", "/orders/{id}/refund", Who::Admin, ":id={order}"),
    Route("GET", "/products", Who::Public, ""),
    Route("GET", "/products/{id}/confirm", Who::Admin, ":id={~package}"),
    Route("GET", "/reset-password", Who::Public, "token=x"),
    Route("GET", "/sandbox/payments/{id}", Who::Admin, ":id={payment}"),
    Route("GET", "/search", Who::Reader, "q={~MARK}"),
    Route("GET", "/settings", Who::Reader, ""),
    Route("GET", "/settings/delete", Who::Reader, ""),
    Route("GET", "/settings/log", Who::Reader, "search={~MARK}"),
    Route("GET", "/settings/members", Who::Reader, ""),
    Route("GET", "/settings/two-factor", Who::Reader, ""),
    Route("GET", "/sign-in", Who::Public, ""),
    Route("GET", "/sign-in/code", Who::Public, ""),
    Route("GET", "/sign-up", Who::Public, ""),
    Route("GET", "/styleguide", Who::Public, ""),
    Route("GET", "/usage", Who::Reader, "key={~key}&call={~call}"),
    Route("GET", "/verify-email", Who::Public, "token=x"),
    Route("GET", "/wallet", Who::Reader, "before={~entry}"),

    Route("GET", "/api/accounts/show_deletion", Who::Reader, ""),
    Route("GET", "/api/accounts/show_settings", Who::Reader, ""),
    Route("GET", "/api/accounts/show_two_factor", Who::Reader, ""),
    Route("GET", "/api/accounts/start_code", Who::Public, ""),
    Route("GET", "/api/accounts/role", Who::Public, ""),
    Route("GET", "/api/accounts/start_form", Who::Public, ""),
    Route("GET", "/api/accounts/viewer", Who::Public, ""),
    Route("GET", "/api/checkout/offer", Who::Admin, "package_id={~package}"),
    Route("GET", "/api/docs/read", Who::Public, ""),
    Route("GET", "/api/home/dashboard", Who::Reader, ""),
    Route("GET", "/api/home/front", Who::Public, ""),
    Route("GET", "/api/journal/export", Who::Reader, "search={~MARK}"),
    Route("GET", "/api/journal/show", Who::Reader, "search={~MARK}"),
    Route("GET", "/api/keys/chosen", Who::Member, "chosen[]={key}"),
    Route("GET", "/api/keys/list", Who::Reader, "search={~MARK}"),
    Route("GET", "/api/keys/show", Who::Reader, "key_id={key}"),
    Route("GET", "/api/members/list", Who::Reader, ""),
    Route("GET", "/api/members/show_invitation", Who::Public, "token=x"),
    Route("GET", "/api/models/list", Who::Public, ""),
    Route("GET", "/api/home/steps", Who::Reader, ""),
    Route("GET", "/api/notices/show", Who::Reader, ""),
    Route("GET", "/api/operator/payments", Who::Operator, ""),
    Route("GET", "/api/orders/list", Who::Reader, "before={order}"),
    Route("GET", "/api/orders/show", Who::Reader, "order_id={order}"),
    Route("GET", "/api/orders/show_receipt", Who::Reader, "order_id={order}"),
    Route("GET", "/api/orders/show_refund", Who::Admin, "order_id={order}"),
    Route("GET", "/api/products/list", Who::Public, ""),
    Route("GET", "/api/sandbox/show_payment", Who::Admin, "session_id={payment}"),
    Route("GET", "/api/search/find", Who::Reader, "text={~MARK}"),
    Route("GET", "/api/usage/export", Who::Reader, "key={~key}"),
    Route("GET", "/api/usage/show", Who::Reader, "key={~key}&call={~call}"),
    Route("GET", "/api/wallet/export", Who::Reader, ""),
    Route("GET", "/api/wallet/show", Who::Reader, "before={~entry}"),
    Route("GET", "/healthz", Who::Public, ""),
    Route("GET", "/live", Who::Reader, ""),
    Route("GET", "/readyz", Who::Public, ""),

    Route("POST", "/api/preferences/set", Who::Public, "language=en&theme=dark"),
    Route("POST", "/api/notices/save", Who::Reader, "expiring=true&balance_below=50"),
    Route("POST", "/api/keys/create", Who::Member, "form_key={new}&name=another&supplier=all&status=enabled"),
    Route("POST", "/api/keys/update", Who::Member, "key_id={key}&name=taken&supplier=all"),
    Route("POST", "/api/keys/limit", Who::Member, "key_id={key}&limits[requests_per_minute]=1"),
    Route("POST", "/api/keys/set-status", Who::Member, "key_id={key}&status=disabled"),
    Route("POST", "/api/keys/change", Who::Member, "chosen[]={key}&change=enable"),
    Route("POST", "/api/keys/rotate", Who::Member, "key_id={key}&grace=none"),
    Route("POST", "/api/keys/end_old_secrets", Who::Member, "key_id={key}"),
    Route("POST", "/api/codes/redeem", Who::Member, "code=TOKI-AAAA-AAAA-AAAA-AAAA"),
    Route("POST", "/api/checkout/type_code", Who::Admin, "package_id={~package}&code="),
    Route("POST", "/api/checkout/place_order", Who::Admin, "package_id={~package}&form_key={new}&starts=now&terms[tokens]=1000000&terms[price_minor]=500&terms[currency]=usd&terms[valid_for_s]=2592000&terms[refund_window_s]=86400"),
    Route("POST", "/api/sandbox/pay", Who::Admin, "session_id={payment}"),
    Route("POST", "/api/sandbox/decline", Who::Admin, "session_id={payment}"),
    Route("POST", "/api/orders/cancel", Who::Admin, "order_id={order}"),
    Route("POST", "/api/operator/resolve_payment", Who::Operator, "event_id=evt_of_nobody&resolution=dismiss&reason=Nothing+to+do"),
    Route("POST", "/api/orders/save_billing", Who::Admin, "order_id={order}&name=Taken+Ltd&address=Street+1"),
    Route("POST", "/api/orders/refund", Who::Admin, "order_id={order}&form_key={new}&tokens=1000000&amount_minor=500"),
    Route("POST", "/api/accounts/sign_in", Who::Public, "email=eve@example.com&password=not+the+password"),
    Route("POST", "/api/accounts/sign_in_code", Who::Public, "code=000000"),
    Route("POST", "/api/accounts/sign_up", Who::Public, "email={~new}@example.com&password=vier+Katzen+im+Regen"),
    Route("POST", "/api/accounts/forgot_password", Who::Public, "email=eve@example.com"),
    Route("POST", "/api/accounts/reset_password", Who::Public, "token=x&password=vier+Katzen+im+Regen"),
    Route("POST", "/api/accounts/confirm_email", Who::Public, "token=x"),
    Route("POST", "/api/members/sign_up", Who::Public, "token=x&password=vier+Katzen+im+Regen"),
    Route("POST", "/api/members/accept", Who::Reader, "token=x"),
    Route("POST", "/api/accounts/send_confirmation", Who::Reader, ""),
    Route("POST", "/api/accounts/change_email", Who::Reader, "email={~new}@example.com&email_password={~password}"),
    Route("POST", "/api/accounts/begin_two_factor", Who::Reader, "current={~password}"),
    Route("POST", "/api/accounts/confirm_two_factor", Who::Reader, "code=000000"),
    Route("POST", "/api/accounts/renew_recovery_codes", Who::Reader, "renew_password={~password}"),
    Route("POST", "/api/accounts/turn_off_two_factor", Who::Reader, "off_password={~password}"),
    Route("POST", "/api/members/invite", Who::Admin, "email={~new}@example.com&role=admin"),
    Route("POST", "/api/members/revoke_invitation", Who::Admin, "invitation_id={invitation}"),
    Route("POST", "/api/members/set_role", Who::Admin, "user_id={member}&role=admin"),
    Route("POST", "/api/members/set_limits", Who::Admin, "user_id={member}&quota=1000&month_quota="),
    Route("POST", "/api/accounts/switch", Who::Reader, "account_id={account}"),
    Route("POST", "/api/keys/try", Who::Reader, "key_id={key}&form_key=01941f29-7c00-7000-8000-000000000000&secret=x&model=sandbox/echo&prompt=Hello"),
    Route("POST", "/api/keys/delete", Who::Member, "key_id={key}"),
    Route("POST", "/api/members/hand_over", Who::Owner, "user_id={member}&owner_password={~password}"),
    Route("POST", "/api/members/remove", Who::Admin, "user_id={second}&keys=disable"),
    Route("POST", "/api/accounts/end_session", Who::Reader, "session_id={session}"),
    Route("POST", "/api/accounts/end_other_sessions", Who::Reader, ""),
    Route("POST", "/api/accounts/change_password", Who::Reader, "current={~password}&password=vier+Katzen+im+Regen"),
    // With the password of before, so that it is refused: there would be nobody left.
    Route("POST", "/api/accounts/delete", Who::Reader, "password={~password}"),
    Route("POST", "/api/accounts/sign_out", Who::Public, ""),
    Route("POST", "/api/members/leave", Who::Reader, ""),

    Route("POST", "/sandbox/anthropic/v1/messages", Who::Secret, ""),
    Route("GET", "/sandbox/anthropic/v1/models", Who::Secret, ""),
    Route("POST", "/sandbox/v1/chat/completions", Who::Secret, ""),
    Route("POST", "/sandbox/v1/completions", Who::Secret, ""),
    Route("POST", "/sandbox/v1/embeddings", Who::Secret, ""),
    Route("GET", "/sandbox/v1/models", Who::Secret, ""),
    Route("POST", "/sandbox/v1/responses", Who::Secret, ""),
    Route("ANY", "/v1", Who::Secret, ""),
    Route("ANY", "/v1/", Who::Secret, ""),
    Route("POST", "/v1/chat/completions", Who::Secret, ""),
    Route("POST", "/v1/completions", Who::Secret, ""),
    Route("POST", "/v1/embeddings", Who::Secret, ""),
    Route("GET", "/v1/key", Who::Secret, ""),
    Route("POST", "/v1/messages", Who::Secret, ""),
    Route("GET", "/v1/models", Who::Secret, ""),
    Route("GET", "/v1/models/{*id}", Who::Secret, ":*id=sandbox/echo"),
    Route("GET", "/v1/receipts/{request_id}", Who::Secret, ":request_id={call}"),
    Route("POST", "/v1/responses", Who::Secret, ""),
    Route("ANY", "/v1/{*path}", Who::Secret, ":*path=x"),
    Route("POST", "/webhooks/stripe", Who::Secret, ""),
];

/// All routes that the program has, by what generates them.
fn program() -> Vec<String> {
    let pages = leptos_axum::generate_route_list(App).into_iter();
    let pages = pages.flat_map(|page| {
        let methods = page.methods().map(|method| format!("{method:?}").to_uppercase());
        methods.map(|method| format!("{method} {}", page.path())).collect::<Vec<_>>()
    });
    let functions = server_fn_paths().map(|(path, method)| format!("{method} {path}"));
    // Metrics have a listener that is not the callers'.
    let others = crate::other_routes::other_routes().into_iter().filter(|route| route.place != "src/server/metrics.rs");
    let others = others.map(|route| format!("{} {}", route.methods, route.path));
    pages.chain(functions).chain(others).collect()
}

#[tokio::test]
async fn the_table_names_exactly_the_routes_of_the_program() {
    let mut program = program();
    let mut table: Vec<String> = ROUTES.iter().map(|Route(method, path, ..)| format!("{method} {path}")).collect();
    program.sort();
    table.sort();
    assert_eq!(table, program);
}

/// The class of a route is written down twice, here and as the first line of its function, and the two agree.
#[test]
fn the_table_says_what_the_guards_say() {
    let source: BTreeMap<String, Option<Right>> = server_fns()
        .into_iter()
        .filter_map(|function| Some((format!("/api/{}", function.endpoint?.trim_start_matches('/')), function.right)))
        .collect();
    for Route(_, path, who, _) in ROUTES.iter().filter(|route| route.1.starts_with("/api/")) {
        let right = match who {
            Who::Public => Right::Public,
            Who::Reader => Right::Reader,
            Who::Member => Right::Member,
            Who::Admin => Right::Admin,
            Who::Owner => Right::Owner,
            Who::Operator => Right::Operator,
            Who::Secret => panic!("{path} asks for a session"),
        };
        let guard = source.get(*path).copied().flatten();
        // Setting a second factor up is for readers who may do nothing else yet.
        let guard = guard.map(|guard| if guard == Right::SignedIn { Right::Reader } else { guard });
        assert_eq!(guard, Some(right), "{path}");
    }
}
