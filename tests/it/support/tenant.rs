//! An account with something of every kind in it, each named with a mark that nothing outside of the account has.

use crate::checkout::confirm;
use crate::support::app::{PASSWORD, TestApp};
use crate::support::client::chat;
use std::collections::HashMap;
use toki::accounts::session_store::PgSessionStore;
use toki::accounts::store::NewAccount;
use toki::catalog::store::{NewPackage, insert_package};
use toki::checkout::types_receipt::Seller;
use toki::ids::{PackageId, UserId};
use toki::money::{Currency, Money};
use toki::operators::rights::Operator;
use toki::tokens::Tokens;
use tower_sessions::SessionStore;
use tower_sessions::cookie::time::{Duration, OffsetDateTime};
use tower_sessions::session::{Id, Record};

pub struct Tenant {
    /// In every name, in lower case.
    pub mark: String,
    pub owner: NewAccount,
    /// Who the walk is made as.
    pub caller: UserId,
    /// Of the key that the account's one call was made with.
    pub secret: String,
    things: HashMap<&'static str, String>,
}

/// So that receipts are written.
pub fn seller() -> Seller {
    Seller { name: "Toki & Co".into(), address: "Street 1".into(), tax_id: None, tax_rate: None }
}

/// On sale to everybody, and given back within a day.
pub async fn package(app: &TestApp) -> PackageId {
    let price = Money::new(500, Currency::parse("usd").expect("a code"));
    let new = NewPackage {
        supplier_slugs: vec!["sandbox".into()],
        refund_window_s: Some(86_400),
        ..NewPackage::plain("Starter", Tokens(1_000_000), price, 2_592_000)
    };
    insert_package(&app.state.db, Operator::command_line(), new).await.expect("a package")
}

impl Tenant {
    /// `role`: of the caller, besides whom the account has an owner and two more.
    pub async fn new(app: &TestApp, mark: &str, role: &str, package_id: PackageId) -> Tenant {
        let owner = app.customer(&format!("{mark}-owner@example.com"), 5_000).await;
        let mut things = HashMap::from([("account", owner.account_id.to_string()), ("package", package_id.to_string())]);
        let caller = if role == "owner" { owner.user_id } else { member(app, &owner, mark, "caller", role).await };
        for name in ["member", "second"] {
            things.insert(name, member(app, &owner, mark, name, "read_only").await.to_string());
        }
        let secret = app.key(&owner, None).await.secret;
        let named = "UPDATE api_keys SET name = $1 || ' key', created_by = $2 WHERE account_id = $3 RETURNING key_id::text";
        let named = sqlx::query_scalar(named).bind(mark).bind(caller.0).bind(owner.account_id.0);
        things.insert("key", named.fetch_one(&app.state.db).await.expect("the key"));
        assert_eq!(app.chat(&secret, &chat("sandbox/echo", mark)).await.status, 200);
        app.until_settled().await;
        let mut tenant = Tenant { mark: mark.to_string(), owner, caller, secret, things };
        tenant.buy(app, package_id).await;
        tenant.invite(app).await;
        for (name, sql) in [
            ("call", "SELECT request_id::text FROM usage_records WHERE account_id = $1"),
            ("waiting", "SELECT order_id::text FROM orders WHERE account_id = $1 AND status = 'awaiting_payment'"),
            ("entry", "SELECT max(entry_id)::text FROM ledger WHERE account_id = $1"),
        ] {
            tenant.look_up(app, name, sql).await;
        }
        tenant.session(app).await;
        let of_caller = "SELECT session_id::text FROM sessions WHERE user_id = $1 ORDER BY created_at DESC LIMIT 1";
        let of_caller = sqlx::query_scalar(of_caller).bind(tenant.caller.0).fetch_one(&app.state.db).await.expect("a session");
        tenant.things.insert("session", of_caller);
        tenant
    }

    async fn look_up(&mut self, app: &TestApp, name: &'static str, sql: &'static str) {
        let found = sqlx::query_scalar(sql).bind(self.owner.account_id.0).fetch_one(&app.state.db).await;
        self.things.insert(name, found.unwrap_or_else(|error| panic!("no {name}: {error}")));
    }

    /// One order that is paid, with a receipt to a marked name, and one that waits for its payment.
    async fn buy(&mut self, app: &TestApp, package_id: PackageId) {
        let browser = app.browser_with_cookie(&app.session_of(self.owner.user_id, &self.owner).await);
        let placed = confirm(&browser, package_id).await;
        let paid = browser.submit(&browser.get(&placed.location).await.form("/api/sandbox/pay"), &placed.location).await;
        let order = paid.location.rsplit('/').next().expect("an id").to_string();
        let billed = [("order_id", order.as_str()), ("name", &format!("{} Ltd", self.mark)), ("address", "Street 1")];
        let saved = browser.post("/api/orders/save_billing", &format!("/orders/{order}/receipt"), &billed).await;
        assert!(saved.status == 302 && !saved.location.contains("__err"), "{}", saved.location);
        self.things.insert("order", order);
        let placed = confirm(&browser, package_id).await;
        self.things.insert("payment", placed.location.rsplit('/').next().expect("a payment").to_string());
    }

    async fn invite(&mut self, app: &TestApp) {
        let browser = app.browser_with_cookie(&app.session_of(self.owner.user_id, &self.owner).await);
        let guest = format!("{}-guest@example.com", self.mark);
        browser.post("/api/members/invite", "/settings/members", &[("email", guest.as_str()), ("role", "member")]).await;
        self.look_up(app, "invitation", "SELECT invitation_id::text FROM invitations WHERE account_id = $1").await;
    }

    /// A session of the caller's of its own.
    pub async fn session(&self, app: &TestApp) -> String {
        app.session_of(self.caller, &self.owner).await
    }

    /// Puts the account's ids where a request names them.
    pub fn fill(&self, template: &str) -> String {
        let fixed = [("{~MARK}", self.mark.to_uppercase()), ("{~password}", PASSWORD.replace(' ', "+"))];
        let mut filled = fixed.into_iter().fold(template.to_string(), |text, (name, value)| text.replace(name, &value));
        for (name, value) in &self.things {
            filled = filled.replace(&format!("{{{name}}}"), value).replace(&format!("{{~{name}}}"), value);
        }
        let new = uuid::Uuid::now_v7().to_string();
        filled.replace("{new}", &new).replace("{~new}", &new)
    }
}

async fn member(app: &TestApp, owner: &NewAccount, mark: &str, name: &str, role: &str) -> UserId {
    let user_id = app.customer(&format!("{mark}-{name}@example.com"), 0).await.user_id;
    sqlx::query("INSERT INTO members (account_id, user_id, role) VALUES ($1, $2, $3)")
        .bind(owner.account_id.0)
        .bind(user_id.0)
        .bind(role)
        .execute(&app.state.db)
        .await
        .expect("a member");
    user_id
}

impl TestApp {
    /// The cookie of a new session of this user's, who acts for the account.
    pub async fn session_of(&self, user_id: UserId, account: &NewAccount) -> String {
        let epoch: i32 = sqlx::query_scalar("SELECT session_epoch FROM users WHERE user_id = $1")
            .bind(user_id.0)
            .fetch_one(&self.state.db)
            .await
            .expect("an epoch");
        let data = [
            ("user_id", serde_json::json!(user_id)),
            ("epoch", serde_json::json!(epoch)),
            ("account_id", serde_json::json!(account.account_id)),
        ];
        let data = data.into_iter().map(|(name, value)| (name.to_string(), value)).collect();
        let expiry_date = OffsetDateTime::now_utc() + Duration::days(1);
        let mut record = Record { id: Id::default(), data, expiry_date };
        PgSessionStore::new(self.state.db.clone()).create(&mut record).await.expect("a session");
        format!("toki={}", record.id)
    }

    /// Gives the account another owner; who had it only looks from now on.
    pub async fn pass_on(&self, account: &NewAccount, owner: &NewAccount) {
        let mut tx = self.state.db.begin().await.expect("begin");
        for (sql, user_id) in [
            ("UPDATE members SET role = 'read_only' WHERE account_id = $1 AND user_id = $2", account.user_id),
            ("INSERT INTO members (account_id, user_id, role) VALUES ($1, $2, 'owner')", owner.user_id),
        ] {
            sqlx::query(sql).bind(account.account_id.0).bind(user_id.0).execute(&mut *tx).await.expect("a role");
        }
        tx.commit().await.expect("commit");
    }

    /// Forgets who tried what how often: a walk is no attack.
    pub async fn forget_attempts(&self) {
        self.execute("DELETE FROM attempts").await;
        self.execute("DELETE FROM code_tries").await;
    }

    /// Waits until every mail has been sent.
    pub async fn until_mailed(&self) {
        self.until("SELECT count(*) FROM mails WHERE sent_at IS NULL", |waiting| waiting == 0).await;
    }
}
