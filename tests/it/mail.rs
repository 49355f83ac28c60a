//! Mail through a real mail server, a process of its own (aiosmtpd): what it takes, what it refuses, and what happens while it is away.
//! With it, signing up as production does it, which tells nobody who has an account; and without any, which does.

use crate::accounts::{is_member, sign_in};
use crate::accounts_mail::link_in;
use crate::support::app::{PASSWORD, TestApp};
use crate::support::toki::Toki;
use lettre::{AsyncSmtpTransport, Tokio1Executor};
use serde_json::Value;
use sqlx::PgPool;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use toki::mail::delivery::Delivery;
use toki::server::config::Environment;

const CONFIRM: &str = "/api/accounts/confirm_email";
const SIGN_UP: &str = "/api/accounts/sign_up";

struct MailServer {
    child: Child,
    /// Its end is the server's.
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl MailServer {
    async fn start(port: u16) -> MailServer {
        let started = tokio::task::spawn_blocking(move || {
            let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/mail-server.sh");
            let command = Command::new(script).arg(port.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
            let mut child = command.expect("the script runs");
            let (stdin, stdout) = (child.stdin.take(), BufReader::new(child.stdout.take().expect("stdout")));
            let mut server = MailServer { child, stdin, stdout };
            assert_eq!(server.line(), Value::from("ready"));
            server
        });
        started.await.expect("no panic")
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("a line");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    /// The next mail that it takes: to whom, and the whole of it.
    async fn mail(mut self) -> (MailServer, String, String) {
        let read = tokio::task::spawn_blocking(move || {
            let mail = self.line();
            let (to, data) =
                (mail["to"][0].as_str().unwrap_or_default().to_string(), mail["data"].as_str().unwrap_or_default().to_string());
            (self, to, data)
        });
        read.await.expect("no panic")
    }

    /// Ends it; what it took besides.
    async fn rest(mut self) -> Vec<Value> {
        let read = tokio::task::spawn_blocking(move || {
            drop(self.stdin.take());
            let lines: Vec<_> =
                (&mut self.stdout).lines().map(|line| serde_json::from_str(&line.expect("a line")).expect("JSON")).collect();
            self.child.wait().expect("ends");
            lines
        });
        read.await.expect("no panic")
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        // Has ended already, or has to.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

fn through(port: u16) -> Delivery {
    let server = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous("127.0.0.1").port(port).build();
    Delivery::Smtp { server, from: "TOKI <toki@toki.example>".parse().expect("a mailbox") }
}

#[sqlx::test]
async fn a_mail_server_that_was_away_gets_each_mail_once(db: PgPool) {
    let port = free_port();
    let app = TestApp::start_with(db, |config| config.mail = through(port)).await;
    app.signed_up("ada@example.com").await;
    app.signed_up("never@example.com").await;
    app.signed_up("later@example.com").await;
    app.until("SELECT count(*) FROM mails WHERE attempts >= 1 AND last_error IS NOT NULL AND sent_at IS NULL", |mails| mails == 3).await;

    let server = MailServer::start(port).await;
    app.execute("UPDATE mails SET not_before = now()").await;
    let (server, to, data) = server.mail().await;
    assert_eq!(to, "ada@example.com");
    let id = app.text("SELECT mail_id::text FROM mails WHERE recipient = 'ada@example.com'").await;
    for line in ["From: TOKI <toki@toki.example>".to_string(), "To: ada@example.com".into(), format!("Message-ID: <{id}@toki.example>")] {
        assert!(data.lines().any(|found| found == line), "{line} in {data}");
    }
    assert!(data.contains("multipart/alternative") && data.contains("text/plain") && data.contains("text/html"), "{data}");
    link_in(&app, &data, "/verify-email");

    // Refused for good: given up. Refused for now: tried again.
    app.until("SELECT count(*) FROM mails WHERE recipient = 'never@example.com' AND given_up_at IS NOT NULL", |mails| mails == 1).await;
    app.until("SELECT count(*) FROM mails WHERE recipient = 'later@example.com' AND last_error LIKE '%451%'", |mails| mails == 1).await;
    app.execute("UPDATE mails SET not_before = now() WHERE sent_at IS NULL AND given_up_at IS NULL").await;
    let (server, to, _) = server.mail().await;
    assert_eq!(to, "later@example.com");
    app.until("SELECT count(*) FROM mails WHERE sent_at IS NOT NULL AND body_sealed IS NULL", |mails| mails == 2).await;
    app.stop().await;
    assert_eq!(server.rest().await, Vec::<Value>::new(), "nothing twice");
}

#[sqlx::test]
async fn a_sign_up_in_production_goes_on_by_mail_and_tells_nobody(db: PgPool) {
    let port = free_port();
    let server = MailServer::start(port).await;
    let app = TestApp::start_with(db, |config| {
        config.mail = through(port);
        config.environment = Environment::Production;
    })
    .await;
    app.customer("ada@example.com", 0).await;
    let (mut seen, mut browsers) = (Vec::new(), Vec::new());
    for email in ["ada@example.com", "eve@example.com"] {
        let browser = app.browser();
        let form = browser.get("/sign-up?next=%2Fkeys").await.form(SIGN_UP).with("email", email).with("password", "vier Katzen im Regen");
        let answer = browser.submit(&form, "/sign-up?next=%2Fkeys").await;
        let page = browser.follow(&answer).await;
        assert!(!is_member(&browser).await);
        // Nor does trying to sign in tell: nobody has that password yet.
        let other = app.browser();
        let refused = sign_in(&other, email, "vier Katzen im Regen").await;
        assert!(other.follow(&refused).await.text().contains("E-mail or password is wrong."));
        seen.push((answer.status, answer.location, page.status, page.words()));
        browsers.push(browser);
    }
    assert_eq!(seen[0].1, "/verify-email?sent=sign-up");
    assert_eq!(seen[0], seen[1]);

    let (server, first) = next_mail(server).await;
    let (server, second) = next_mail(server).await;
    let mails: std::collections::BTreeMap<_, _> = [first, second].into();
    assert!(mails["ada@example.com"].contains("Subject: You have an account already"));
    let link = link_in(&app, &mails["eve@example.com"], "/verify-email");
    assert_eq!(app.number("SELECT count(*) FROM users").await, 1, "a link that nobody used makes nobody");

    // In the browser that signed up, the link ends where its visitor was going.
    let browser = &browsers[1];
    let answer = browser.submit(&browser.get(&link).await.form(CONFIRM), &link).await;
    assert_eq!((answer.status, answer.location.as_str()), (302, "/keys"));
    assert!(is_member(browser).await);
    assert!(!browser.get("/wallet").await.html.contains("Confirm your address."));

    // In any other it signs nobody in: who signed up with somebody else's address knows the password.
    let fields = [("email", "bob@example.com"), ("password", PASSWORD), ("next", "")];
    app.browser().post(SIGN_UP, "/sign-up", &fields).await;
    let (server, (_, mail)) = next_mail(server).await;
    let link = link_in(&app, &mail, "/verify-email");
    let stranger = app.browser();
    let answer = stranger.submit(&stranger.get(&link).await.form(CONFIRM), &link).await;
    assert_eq!(answer.location, "/verify-email?done=yes");
    assert!(!is_member(&stranger).await);
    sign_in(&stranger, "bob@example.com", PASSWORD).await;
    assert!(is_member(&stranger).await);
    app.stop().await;
    assert_eq!(server.rest().await, Vec::<Value>::new());
}

/// Nobody can be written to, so whoever signs up is let in at once, or not: README, SECURITY.md and the doctor say what that tells.
#[sqlx::test]
async fn without_a_mail_server_signing_up_tells_which_addresses_have_a_user_and_the_doctor_says_so(db: PgPool) {
    let app = TestApp::start_with(db, |config| {
        config.mail = Delivery::Nowhere;
        config.environment = Environment::Production;
    })
    .await;
    app.customer("ada@example.com", 0).await;
    for (email, is_let_in) in [("ada@example.com", false), ("eve@example.com", true)] {
        let browser = app.browser();
        browser.post(SIGN_UP, "/sign-up", &[("email", email), ("password", "vier Katzen im Regen"), ("next", "")]).await;
        assert_eq!(is_member(&browser).await, is_let_in, "{email}");
    }
    let toki = Toki::new(&app.state.db).with("TOKI_ENV", "production").with("TOKI_PUBLIC_URL", "https://toki.example");
    app.stop().await;
    let said = toki.run(&["doctor"]).stdout;
    assert!(said.contains("warn  mail: SMTP_URL is not set") && said.contains("sign-up tells which addresses have an account"), "{said}");
}

async fn next_mail(server: MailServer) -> (MailServer, (String, String)) {
    let (server, to, data) = server.mail().await;
    (server, (to, data))
}
