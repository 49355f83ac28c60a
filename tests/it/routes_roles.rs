//! Route table × roles × two accounts: everybody gets at what their role in their own account allows, nobody at anything of another
//! account, and whoever is refused has changed nothing.

use crate::routes::ROUTES;
use crate::support::app::TestApp;
use crate::support::fingerprint::{changed, fingerprint};
use crate::support::routes::{Answered, Route, Who};
use crate::support::tenant::{Tenant, package, seller};
use sqlx::PgPool;
use toki::server::config::Environment;
use toki::wallet::store::standing_of;

/// Nothing outside of the other account has it in its name.
const OTHER: &str = "othermark";

/// Counted tries and our own new sessions are no change; mails are on their way.
const NOT_COMPARED: [&str; 4] = ["attempts", "sessions", "mails", "audit_runs"];

/// What serves setting a second factor up.
const SETTING_UP: [&str; 4] =
    ["/settings/two-factor", "/api/accounts/show_two_factor", "/api/accounts/begin_two_factor", "/api/accounts/confirm_two_factor"];

struct Walk {
    app: TestApp,
    ours: Tenant,
    other: Tenant,
    who: Who,
    found: Vec<String>,
}

impl Walk {
    /// Another account, with everything in it, and one in which the caller has this role.
    async fn begin(db: PgPool, who: Who, role: &str) -> Walk {
        Walk::begin_in(db, Environment::Development, who, role).await
    }

    async fn begin_in(db: PgPool, environment: Environment, who: Who, role: &str) -> Walk {
        let app = TestApp::start_with(db, |ours| {
            ours.seller = Some(seller());
            ours.environment = environment;
        })
        .await;
        app.until("SELECT count(*) FROM sellers", |count| count == 1).await;
        let package_id = package(&app).await;
        let other = Tenant::new(&app, OTHER, "owner", package_id).await;
        let ours = Tenant::new(&app, "ourmark", role, package_id).await;
        Walk { app, ours, other, who, found: Vec::new() }
    }

    async fn ask(&mut self, route: &Route, other: bool) -> Answered {
        let cookie = if self.who == Who::Public { None } else { Some(self.ours.session(&self.app).await) };
        let answered = self.app.ask(route, if other { &self.other } else { &self.ours }, cookie.as_deref()).await;
        let told = answered.body.contains(OTHER) || answered.location.contains(OTHER);
        self.expect(route, !told, &answered, "tells of another account");
        answered
    }

    fn expect(&mut self, route: &Route, as_it_should: bool, answered: &Answered, what: &str) {
        if !as_it_should {
            let body: String = answered.body.chars().take(200).collect();
            self.found.push(format!("{} {} {what}: {} {} {body}", route.0, route.1, answered.status, answered.location));
        }
    }

    async fn make_operator(&self) {
        let made = sqlx::query("UPDATE users SET operator = true WHERE user_id = $1").bind(self.ours.caller.0);
        assert_eq!(made.execute(&self.app.state.db).await.expect("an operator").rows_affected(), 1);
    }

    /// What the caller's role does not open is refused, about their own account's things and about another's.
    async fn refused(&mut self) {
        let who = self.who;
        for route in ROUTES.iter().filter(|route| route.2 > who) {
            for other in [false, true] {
                let answered = self.ask(route, other).await;
                let fits = match route.2 {
                    // The bearer's, and no session's; or a path of no endpoint.
                    Who::Secret => matches!(answered.status, 400 | 401 | 404),
                    _ if self.who > Who::Public => answered.status == 403,
                    _ if route.is_page() && route.1 != "/live" => answered.status == 302 && answered.location.starts_with("/sign-in?next="),
                    _ => answered.status == 401,
                };
                self.expect(route, fits, &answered, "is not refused");
                let told = answered.body.contains(&self.ours.mark) && self.who == Who::Public;
                self.expect(route, !told, &answered, "tells a stranger");
            }
        }
    }

    /// What the role opens is not found when it is another account's.
    async fn not_found(&mut self) {
        let who = self.who;
        for route in ROUTES.iter().filter(|route| route.2 <= who && route.2 != Who::Public) {
            if route.names_a_thing() {
                let answered = self.ask(route, true).await;
                self.expect(route, answered.status == 404, &answered, "finds what is another account's");
            } else if route.filters() {
                let answered = self.ask(route, true).await;
                self.expect(route, matches!(answered.status, 200 | 404), &answered, "cannot be filtered");
            }
        }
    }

    /// What the role opens is open. Returns how many answers had the account's mark.
    async fn let_in(&mut self) -> usize {
        let (who, mut marked) = (self.who, 0);
        for route in ROUTES.iter().filter(|route| route.2 <= who) {
            self.app.forget_attempts().await;
            let answered = self.ask(route, false).await;
            // A right request to which the answer is no: a wrong password, a link that is none, an order given back already.
            let fits = match route.2 {
                Who::Public => answered.status < 500 && answered.status != 403,
                _ if route.method() == "GET" => answered.status == 200,
                _ => matches!(answered.status, 200 | 302 | 409 | 410 | 422),
            };
            self.expect(route, fits, &answered, "is not let in");
            marked += usize::from(answered.body.contains(&self.ours.mark));
        }
        marked
    }

    /// The whole walk, which ends the test.
    async fn end(mut self) {
        self.app.until_mailed().await;
        let before = fingerprint(&self.app.state.db, &NOT_COMPARED).await;
        self.refused().await;
        self.app.forget_attempts().await;
        self.not_found().await;
        let after = fingerprint(&self.app.state.db, &NOT_COMPARED).await;
        assert!(self.found.is_empty(), "{:?}: {:#?}", self.who, self.found);
        assert_eq!(changed(&before, &after), Vec::<&str>::new(), "{:?}: who is refused changes nothing", self.who);

        let others = self.rows_of_other().await;
        let marked = self.let_in().await;
        assert!(self.found.is_empty(), "{:?}: {:#?}", self.who, self.found);
        assert!(marked >= if self.who == Who::Public { 0 } else { 12 }, "{:?}: {marked} answers show the account's own things", self.who);
        assert_eq!(self.rows_of_other().await, others, "{:?}: nothing of another account changes", self.who);
        self.app.stop().await;
    }

    /// The walk of an operator who must set a second factor up first: but for that they are a visitor, who is not even told of changes.
    async fn end_before_second_factor(mut self) {
        self.app.until_mailed().await;
        let before = fingerprint(&self.app.state.db, &NOT_COMPARED).await;
        let is_open = |route: &Route| route.2 == Who::Public || SETTING_UP.contains(&route.1);
        for route in ROUTES.iter().filter(|route| !is_open(route)) {
            let answered = self.ask_for_nothing_of_account(route).await;
            let fits = match route.2 {
                Who::Secret => matches!(answered.status, 400 | 401 | 404),
                _ if route.is_page() && route.1 != "/live" => answered.status == 302 && answered.location == "/settings/two-factor",
                _ => answered.status == 403,
            };
            self.expect(route, fits, &answered, "is not refused");
        }
        let after = fingerprint(&self.app.state.db, &NOT_COMPARED).await;
        assert_eq!(changed(&before, &after), Vec::<&str>::new(), "who is refused changes nothing");

        for route in ROUTES.iter().filter(|route| is_open(route)) {
            self.app.forget_attempts().await;
            let answered = self.ask_for_nothing_of_account(route).await;
            self.expect(route, answered.status < 500 && answered.status != 403, &answered, "is not let in");
        }
        assert!(self.found.is_empty(), "{:#?}", self.found);
        self.app.stop().await;
    }

    /// Asks, and expects an answer without names and balance of the account. Their own address they know.
    async fn ask_for_nothing_of_account(&mut self, route: &Route) -> Answered {
        let balance = standing_of(&self.app.state.db, self.ours.owner.account_id).await.expect("a wallet").balance;
        let answered = self.ask(route, false).await;
        let own_address = format!("{}-caller@example.com", self.ours.mark);
        let body = answered.body.replace(&own_address, "");
        let told = [self.ours.mark.clone(), balance.0.to_string(), balance.exact()].iter().any(|word| body.contains(word));
        self.expect(route, !told, &answered, "tells of the account");
        answered
    }

    /// All that the database has with the other account's id or mark in it.
    async fn rows_of_other(&self) -> Vec<(String, String)> {
        let sql = "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                    WHERE n.nspname = 'public' AND c.relkind = 'r' AND c.relname NOT IN ('sessions', 'mails') ORDER BY 1";
        let tables: Vec<String> = sqlx::query_scalar(sql).fetch_all(&self.app.state.db).await.expect("tables");
        let mut found = Vec::new();
        for table in tables {
            let sql = format!(
                "SELECT coalesce(md5(string_agg(row_, '' ORDER BY row_)), '') FROM (SELECT (to_jsonb(t) - 'asked_at')::text AS row_
                   FROM \"{table}\" t) rows_ WHERE row_ LIKE '%' || $1 || '%' OR row_ LIKE '%' || $2 || '%'"
            );
            let rows = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(self.other.owner.account_id.to_string()).bind(OTHER);
            let rows = rows.fetch_one(&self.app.state.db).await.expect("its rows");
            found.push((table, rows));
        }
        found
    }
}

#[sqlx::test]
async fn a_visitor_gets_at_what_is_public_alone(db: PgPool) {
    Walk::begin(db, Who::Public, "owner").await.end().await;
}

#[sqlx::test]
async fn a_reader_sees_their_account_and_changes_nothing_of_it(db: PgPool) {
    Walk::begin(db, Who::Reader, "read_only").await.end().await;
}

#[sqlx::test]
async fn a_member_gets_at_what_members_may_in_their_account_alone(db: PgPool) {
    Walk::begin(db, Who::Member, "member").await.end().await;
}

#[sqlx::test]
async fn an_admin_gets_at_what_admins_may_in_their_account_alone(db: PgPool) {
    Walk::begin(db, Who::Admin, "admin").await.end().await;
}

#[sqlx::test]
async fn an_owner_gets_at_everything_in_their_account_alone(db: PgPool) {
    Walk::begin(db, Who::Owner, "owner").await.end().await;
}

/// Operators run the business, and for the rest are the owners of their own account and nothing in others.
#[sqlx::test]
async fn an_operator_is_nobody_in_other_accounts(db: PgPool) {
    let walk = Walk::begin(db, Who::Operator, "owner").await;
    walk.make_operator().await;
    walk.end().await;
}

#[sqlx::test]
async fn an_operator_without_a_second_factor_gets_at_what_is_everybodys_alone(db: PgPool) {
    // Of somebody else's account, beside their own: the frame of other pages has a choice of them.
    let walk = Walk::begin_in(db, Environment::Production, Who::Admin, "admin").await;
    walk.make_operator().await;
    walk.end_before_second_factor().await;
}

#[sqlx::test]
async fn a_key_reads_its_own_accounts_calls_and_no_others(db: PgPool) {
    let walk = Walk::begin(db, Who::Owner, "owner").await;
    for (of, status) in [(&walk.ours, 200), (&walk.other, 404)] {
        let answer = walk.app.get(&of.fill("/v1/receipts/{call}"), &walk.ours.secret).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        assert!(!answer.text.contains(&walk.other.fill("{key}")) && !answer.text.contains(OTHER), "{}", answer.text);
    }
    walk.app.stop().await;
}
