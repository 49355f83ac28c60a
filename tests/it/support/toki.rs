//! The `toki` program itself, run against the database of a test, in a folder and with an environment of its own.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sqlx::{ConnectOptions, PgPool};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use tempfile::TempDir;

use crate::support::app::SECRET_KEY;

/// What `toki serve` says on standard error.
const LOG: &str = "serve.log";

#[derive(Clone)]
pub struct Toki {
    database_url: String,
    folder: Arc<TempDir>,
    variables: Vec<(String, String)>,
}

/// How a run ended.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Toki {
    pub fn new(db: &PgPool) -> Toki {
        Toki::at(db.connect_options().to_url_lossy().as_str())
    }

    /// Against a database that may not always be there.
    pub fn at(database_url: &str) -> Toki {
        let database_url = database_url.to_string();
        let folder = Arc::new(TempDir::new().expect("a folder"));
        Toki { database_url, folder, variables: vec![("TOKI_SECRET_KEY".into(), STANDARD.encode(SECRET_KEY))] }
    }

    /// With one more environment variable.
    pub fn with(mut self, name: &str, value: &str) -> Toki {
        self.variables.push((name.into(), value.into()));
        self
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_toki"));
        command.args(args).env_clear().env("DATABASE_URL", &self.database_url).envs(self.variables.iter().cloned());
        command.current_dir(self.folder.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts a command that a test may kill.
    pub fn start(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("toki starts")
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        self.run_with_input(args, "")
    }

    pub fn run_with_input(&self, args: &[&str], input: &str) -> Ran {
        let mut child = self.command(args).spawn().expect("toki starts");
        // A command that reads nothing may be gone before we have written.
        drop(child.stdin.take().expect("stdin").write_all(input.as_bytes()));
        let output = child.wait_with_output().expect("toki ends");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Runs with `--json`: success, one document on standard output, silence on standard error.
    pub fn json(&self, args: &[&str]) -> Value {
        self.json_with_input(args, "")
    }

    pub fn json_with_input(&self, args: &[&str], input: &str) -> Value {
        let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        let ran = self.run_with_input(&args, input);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{args:?}: {ran:?}");
        assert_eq!(ran.stdout.lines().count(), 1, "{args:?}: {ran:?}");
        serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{args:?}: {error}: {ran:?}"))
    }

    /// Success without `--json`: the text for people.
    pub fn text(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{args:?}: {ran:?}");
        ran.stdout
    }

    /// Failure: exit 1, nothing on standard output, one line on standard error, which is returned.
    pub fn refusal(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{args:?}: {ran:?}");
        assert!(ran.stderr.starts_with("toki: ") && ran.stderr.lines().count() == 1, "{args:?}: {ran:?}");
        ran.stderr
    }

    /// Wrong usage: exit 2, nothing on standard output, and what is wrong on standard error.
    pub fn wrong_usage(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{args:?}: {ran:?}");
        ran.stderr
    }

    /// Starts `toki serve --json` on a free port and waits until it listens.
    pub fn serve(&self, flags: &[&str]) -> Served {
        let mut command = self.command(&["serve", "--json"]);
        let stderr = File::options().append(true).create(true).open(self.folder().join(LOG)).expect("a log");
        let mut child = command.args(flags).env("TOKI_ADDR", "127.0.0.1:0").stderr(stderr).spawn().expect("toki starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("a line");
        let document: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        let url = document["url"].as_str().expect("url").to_string();
        Served { url, document, child, _stdout: stdout, folder: self.folder.clone() }
    }

    /// Runs with a reader that has left before the answer comes.
    pub fn run_into_closed_pipe(&self, args: &[&str]) -> Ran {
        let mut child = self.command(args).spawn().expect("toki starts");
        drop((child.stdin.take(), child.stdout.take()));
        let output = child.wait_with_output().expect("toki ends");
        Ran { code: output.status.code(), stdout: String::new(), stderr: String::from_utf8(output.stderr).expect("UTF-8") }
    }
}

/// A running `toki serve`; killed when a test fails before it ends it.
pub struct Served {
    pub url: String,
    /// What it said when it was ready.
    pub document: Value,
    child: Child,
    _stdout: BufReader<ChildStdout>,
    /// Where it runs, and where its log is.
    folder: Arc<TempDir>,
}

impl Served {
    /// What it said on standard error until now.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join(LOG)).expect("a log")
    }

    /// SIGTERM, and its exit code.
    pub fn terminate(mut self) -> Option<i32> {
        self.ask_to_end();
        self.child.wait().expect("toki ends").code()
    }

    /// SIGTERM.
    pub fn ask_to_end(&self) {
        self.signal("TERM");
    }

    /// SIGSTOP: it does nothing more, and hears nothing; its connections stay.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.child.id())]).status().expect("kill");
        assert!(sent.success());
    }

    /// Whether it listens no more. Asked without a call, which could still get in and then wait for a supplier.
    pub fn refuses_connections(&self) -> bool {
        TcpStream::connect(self.url.trim_start_matches("http://")).is_err()
    }

    /// The exit code, once it has one.
    pub fn ended(&mut self) -> Option<Option<i32>> {
        self.child.try_wait().expect("a child of ours").map(|status| status.code())
    }

    /// SIGKILL, and its end.
    pub fn kill(mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("toki ends");
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Has ended already, or has to.
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            // What it said goes with its folder, and the test that fails wants to show it.
            let log = std::fs::read_to_string(self.folder.path().join(LOG)).unwrap_or_default();
            drop(writeln!(std::io::stderr(), "--- {}\n{log}", self.url));
        }
    }
}
