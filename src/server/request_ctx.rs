//! What a server function may ask of the request it serves: the state, the session, who is asking, one-time messages.

mod flash;
mod tasks;

pub use flash::{forget, kept, put_flash, take_flash, take_flash_if};
pub use tasks::{later, to_its_end};

use crate::accounts::device::device_of;
use crate::accounts::rights::{Admin, Member, Origin, Owner, Reader};
use crate::accounts::session_store::{Found, digest};
use crate::accounts::store::{self, SignIn};
use crate::accounts::types::Email;
use crate::error::ConsoleError;
use crate::gateway::ClientAddress;
use crate::i18n::{Language, language};
use crate::ids::{AccountId, UserId};
use crate::operators::rights::Operator;
use crate::server::config::Environment;
use crate::server::device;
use crate::server::state::AppState;
use crate::wallet::store::standing_of;
use crate::wallet::types::Standing;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use leptos::prelude::{use_context, with_context};
use leptos_axum::ResponseOptions;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::OnceCell;
use tower_sessions::cookie::time::Duration;
use tower_sessions::{Expiry, Session};
use uuid::Uuid;

pub(super) const USER_ID: &str = "user_id";
/// Of their sessions (`accounts::store::SignIn`).
const EPOCH: &str = "epoch";
/// For which of their accounts the user acts. `store::members` knows the name.
const ACCOUNT_ID: &str = "account_id";
const SIGN_UP: &str = "sign_up";
/// Who has given their password and not their second factor. `session_store` knows the name.
const HALF_SIGNED_IN: &str = "half_signed_in";
/// What signed in, for the list of a user's sessions (`accounts::store::sessions`).
const DEVICE: &str = "device";

/// How long a visitor's session waits for the page that shows what was typed.
pub(super) const TYPED_FOR: Duration = Duration::minutes(10);

/// How long a visitor's session waits for the link in the mail: as long as that works.
const SIGN_UP_FOR: Duration = Duration::days(1);

/// For how long the second factor may be given after the password.
const SECOND_STEP_S: i64 = 600;

/// Whoever has given their password and not yet their second factor. It opens nothing but the page that asks for that.
#[derive(serde::Serialize, serde::Deserialize)]
pub struct HalfSignedIn {
    pub user_id: UserId,
    pub email: Email,
    pub next: String,
    #[serde(default)]
    epoch: i32,
    /// In seconds since 1970.
    until: i64,
}

impl HalfSignedIn {
    /// What the password has proven, for when the second factor has too.
    pub fn proven(&self) -> SignIn {
        SignIn { user_id: self.user_id, epoch: self.epoch }
    }
}

/// A sign-up that goes on by mail, as its browser remembers it.
#[derive(serde::Serialize, serde::Deserialize)]
pub struct BegunSignUp {
    pub sign_up_id: Uuid,
    pub next: String,
}

/// The shared state. Missing only while routes are listed at start-up.
pub fn app() -> Result<AppState, ConsoleError> {
    use_context::<AppState>().ok_or(ConsoleError::Internal)
}

/// What the request says, without a copy of all of it. None where there is none, as while routes are listed.
pub(super) fn of_request<T>(read: impl FnOnce(&Parts) -> Option<T>) -> Option<T> {
    with_context(read).flatten()
}

fn session() -> Result<Session, ConsoleError> {
    of_request(|parts| parts.extensions.get::<Session>().cloned()).ok_or_else(|| {
        tracing::error!("no session in the request");
        ConsoleError::Internal
    })
}

fn session_failed(error: tower_sessions::session::Error) -> ConsoleError {
    tracing::error!(%error, "session store failed");
    ConsoleError::Unavailable
}

/// Who looks at the page that is being rendered: the frame and every part ask, and all shall show the same reader the same account.
#[derive(Clone, Default)]
pub struct PageReader(Arc<OnceCell<Option<Reader>>>);

/// Who is signed in, if anybody. Read from the database for each request: a suspended user is out on the next one, and a right that was
/// taken is gone.
pub async fn viewer() -> Result<Option<Reader>, ConsoleError> {
    match use_context::<PageReader>() {
        // What a server function does may change who is signed in.
        Some(PageReader(reader)) if !asks_server_fn() => reader.get_or_try_init(reader_of_page).await.cloned(),
        _ => reader_of_request().await,
    }
}

/// Whom the session was found to stand for when it was loaded for this request; else they are asked for.
async fn reader_of_page() -> Result<Option<Reader>, ConsoleError> {
    match of_request(|parts| Some(parts.extensions.get::<Found>()?.reader()?.cloned())) {
        Some(found) => Ok(found.map(|reader| reader.from(origin()))),
        None => reader_of_request().await,
    }
}

async fn reader_of_request() -> Result<Option<Reader>, ConsoleError> {
    let reader = reader_of_session(&app()?, &session()?).await.map_err(fail)?;
    Ok(reader.map(|reader| reader.from(origin())))
}

/// How the account of whoever looks stands: for a page it was found with the reader.
pub async fn standing(reader: &Reader) -> Result<Standing, ConsoleError> {
    match of_request(|parts| parts.extensions.get::<Found>()?.standing_of(reader).cloned()) {
        Some(standing) if !asks_server_fn() => Ok(standing),
        _ => Ok(standing_of(&app()?.db, reader.account_id()).await?),
    }
}

/// Whom a session stands for now, if anybody.
pub(super) async fn reader_of_session(app: &AppState, session: &Session) -> Result<Option<Reader>, ConsoleError> {
    let Some(user_id) = session.get::<UserId>(USER_ID).await.map_err(session_failed)? else {
        return Ok(None);
    };
    let epoch = session.get::<i32>(EPOCH).await.map_err(session_failed)?.unwrap_or_default();
    let account_id = session.get::<AccountId>(ACCOUNT_ID).await.map_err(session_failed)?;
    Ok(store::reader_of_session(&app.db, SignIn { user_id, epoch }, account_id).await?)
}

/// The guard of what everybody may see who belongs to an account, and of what is a user's own. A visitor is sent to sign in, and back to
/// the page afterwards; an operator of a production server who has no second factor is sent to set it up.
pub async fn reader() -> Result<Reader, ConsoleError> {
    let reader = signed_in().await?;
    if must_set_up_two_factor(&app()?, &reader) {
        leptos_axum::redirect("/settings/two-factor");
        return Err(fail(ConsoleError::TwoFactorRequired));
    }
    Ok(reader)
}

/// The guard of what is not for those who may only look.
pub async fn member() -> Result<Member, ConsoleError> {
    reader().await?.into_member().ok_or_else(|| fail(ConsoleError::NotAllowed))
}

/// The guard of what concerns everybody's keys, money and the members.
pub async fn admin() -> Result<Admin, ConsoleError> {
    reader().await?.into_admin().ok_or_else(|| fail(ConsoleError::NotAllowed))
}

/// The guard of giving the account away.
pub async fn owner() -> Result<Owner, ConsoleError> {
    reader().await?.into_owner().ok_or_else(|| fail(ConsoleError::NotAllowed))
}

/// The guard of running the business.
pub async fn operator() -> Result<Operator, ConsoleError> {
    Operator::of(&reader().await?).ok_or_else(|| fail(ConsoleError::OperatorRequired))
}

/// The guard of what somebody may do who is to set a second factor up first: that.
pub async fn signed_in() -> Result<Reader, ConsoleError> {
    match viewer().await? {
        Some(reader) => Ok(reader),
        None => Err(to_sign_in().await),
    }
}

/// Sends somebody to sign in, and back to the page afterwards: a visitor, or whoever was signed out while their request waited.
pub async fn to_sign_in() -> ConsoleError {
    leptos_axum::redirect(&format!("/sign-in?next={}", encoded_page().await));
    fail(ConsoleError::SignInRequired)
}

/// Whoever is signed in, as pages know them that everybody may see: like a visitor, an operator is nobody there who is to set a second
/// factor up first.
pub async fn reader_if_any() -> Result<Option<Reader>, ConsoleError> {
    let app = app()?;
    Ok(viewer().await?.filter(|reader| !must_set_up_two_factor(&app, reader)))
}

/// Whether this reader may do nothing else before, nor see anything of their account.
pub fn must_set_up_two_factor(app: &AppState, reader: &Reader) -> bool {
    app.config.environment == Environment::Production && reader.is_operator() && !reader.has_two_factor()
}

/// The page this request is for, or was sent from, percent-encoded: a path of ours, never an address.
async fn encoded_page() -> String {
    let path = of_request(|parts| {
        if !parts.uri.path().starts_with("/api/") {
            return parts.uri.path_and_query().map(|path| path.to_string());
        }
        let referer = url::Url::parse(parts.headers.get(header::REFERER)?.to_str().ok()?).ok()?;
        Some(referer[url::Position::BeforePath..url::Position::AfterQuery].to_string())
    });
    url::form_urlencoded::byte_serialize(local_path(path.as_deref()).as_bytes()).collect()
}

/// A redirect target, if it is a path of ours; else the dashboard. `//host` and `/\host` are addresses to a browser, and what is
/// not printable ASCII has no place in a `Location` header.
pub fn local_path(path: Option<&str>) -> &str {
    match path {
        Some(path)
            if path.starts_with('/')
                && !path.starts_with("//")
                && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
                && !path.starts_with("/api/")
                && !path.starts_with("/sign-in") =>
        {
            path
        }
        _ => "/dashboard",
    }
}

/// Signs the user in: a new session id, so that one planted before sign-in is worth nothing, and nothing of what it held.
pub async fn sign_in(who: SignIn) -> Result<(), ConsoleError> {
    device::note(who.user_id).await?;
    note_language(who.user_id, language(), false).await?;
    let session = session()?;
    session.cycle_id().await.map_err(session_failed)?;
    session.clear().await;
    session.insert(DEVICE, device()).await.map_err(session_failed)?;
    session.insert(USER_ID, who.user_id).await.map_err(session_failed)?;
    session.insert(EPOCH, who.epoch).await.map_err(session_failed)?;
    let app = app()?;
    match store::reader_of_session(&app.db, who, None).await.map_err(|error| fail(error.into()))? {
        Some(reader) => act_for(reader.account_id()).await,
        None => Ok(()),
    }
}

/// Keeps in which language a user reads, for the letters that they get.
pub async fn note_language(user_id: UserId, language: Language, chosen: bool) -> Result<(), ConsoleError> {
    store::note_language(&app()?.db, user_id, language, chosen).await.map_err(|error| fail(error.into()))
}

/// Has the session act for one of its user's accounts. Whether it is one is asked with every request.
pub async fn act_for(account_id: AccountId) -> Result<(), ConsoleError> {
    session()?.insert(ACCOUNT_ID, account_id).await.map_err(session_failed)
}

/// Half signs the user in: the password was right, a second factor is to come. A new session id, and nothing of what it held.
pub async fn begin_second_step(who: SignIn, email: Email, next: String) -> Result<(), ConsoleError> {
    let session = session()?;
    session.cycle_id().await.map_err(session_failed)?;
    session.clear().await;
    session.set_expiry(Some(Expiry::OnInactivity(Duration::seconds(SECOND_STEP_S))));
    let until = chrono::Utc::now().timestamp() + SECOND_STEP_S;
    session
        .insert(HALF_SIGNED_IN, HalfSignedIn { user_id: who.user_id, epoch: who.epoch, email, next, until })
        .await
        .map_err(session_failed)
}

/// Who is to give a second factor in this browser, if anybody and still in time.
pub async fn half_signed_in() -> Result<Option<HalfSignedIn>, ConsoleError> {
    let half = session()?.get::<HalfSignedIn>(HALF_SIGNED_IN).await.map_err(session_failed)?;
    Ok(half.filter(|half| half.until > chrono::Utc::now().timestamp()))
}

fn device() -> String {
    of_request(|parts| Some(device_of(parts.headers.get(header::USER_AGENT)?.to_str().ok()?))).unwrap_or_else(|| device_of(""))
}

/// From where the request came, for the account log.
pub fn origin() -> Origin {
    Origin { address: client_address(), device: device() }
}

fn client_address() -> Option<IpAddr> {
    of_request(|parts| parts.extensions.get::<ClientAddress>().map(|client| client.0))
}

/// Where the request came from, as limits count: an address, or the network that one IPv6 customer has for themselves.
pub fn client_network() -> String {
    match client_address() {
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => address.segments()[..4].iter().map(|segment| format!("{segment:x}:")).collect(),
        None => String::new(),
    }
}

/// Counts an order that is about to be placed for an account, and refuses it when there were too many lately.
pub async fn count_order(admin: &Admin) -> Result<(), ConsoleError> {
    use store::attempts::{ORDER_OF, take_attempt};
    take_attempt(&app()?.db, ORDER_OF, &[&admin.account_id().to_string()]).await.map_err(|error| fail(error.into()))
}

/// What the asking session is stored under.
pub async fn session_hash() -> Result<Vec<u8>, ConsoleError> {
    Ok(session()?.id().map(|id| digest(&id)).unwrap_or_default())
}

/// Notes in a session of the visitor's that a sign-up goes on by mail; the same whether or not anything comes of it. Returns its id.
pub async fn begin_sign_up(next: String) -> Result<Uuid, ConsoleError> {
    let (session, sign_up_id) = (session()?, Uuid::new_v4());
    session.set_expiry(Some(Expiry::OnInactivity(SIGN_UP_FOR)));
    session.insert(SIGN_UP, BegunSignUp { sign_up_id, next }).await.map_err(session_failed)?;
    Ok(sign_up_id)
}

/// The sign-up that this browser began.
pub async fn begun_sign_up() -> Result<Option<BegunSignUp>, ConsoleError> {
    session()?.get(SIGN_UP).await.map_err(session_failed)
}

/// Ends the session, here and in the database.
pub async fn sign_out() -> Result<(), ConsoleError> {
    session()?.flush().await.map_err(session_failed)
}

/// Has the browser keep a cookie. `cookie` is a `Set-Cookie` of ours.
pub fn set_cookie(cookie: &str) -> Result<(), ConsoleError> {
    let options = use_context::<ResponseOptions>().ok_or(ConsoleError::Internal)?;
    options.append_header(header::SET_COOKIE, HeaderValue::from_str(cookie).map_err(|_| ConsoleError::BadRequest)?);
    Ok(())
}

/// Sends the browser on, with or without JavaScript. `path` is one of ours.
pub fn go(path: &str) {
    leptos_axum::redirect(path);
}

/// Has the browser keep the answer as a file. `name` is one of ours.
pub fn answer_file(content_type: &'static str, name: &'static str) {
    let Some(options) = use_context::<ResponseOptions>() else { return };
    // Else a browser, which follows a link to it, is sent back to the page with the link.
    options.set_status(StatusCode::OK);
    options.insert_header(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Ok(disposition) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        options.insert_header(header::CONTENT_DISPOSITION, disposition);
    }
}

/// Gives a page that is rendered with an error the HTTP status of that. What a server function answers gets its status from what it failed
/// with (`layers::error_status`).
pub fn fail(error: ConsoleError) -> ConsoleError {
    // A page that asks for sign-in is a redirect already, and must stay so.
    let redirected = matches!(error, ConsoleError::SignInRequired | ConsoleError::TwoFactorRequired);
    if !redirected
        && !asks_server_fn()
        && let Some(options) = use_context::<ResponseOptions>()
        && let Ok(status) = StatusCode::from_u16(error.http_status())
    {
        options.set_status(status);
    }
    error
}

/// Whether the request is for a server function, not for a page.
fn asks_server_fn() -> bool {
    with_context(|parts: &Parts| parts.uri.path().starts_with("/api/")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::local_path;

    #[test]
    fn only_our_own_paths_are_redirect_targets() {
        assert_eq!(local_path(Some("/keys?page=2")), "/keys?page=2");
        for path in [
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/api/keys/create",
            "/sign-in",
            "",
            "keys",
            "/a\r\nb",
            "/a\u{1}b",
            "/a b",
            "/钱包",
        ] {
            assert_eq!(local_path(Some(path)), "/dashboard", "{path:?}");
        }
        assert_eq!(local_path(None), "/dashboard");
    }
}
