//! A Postgres cluster of one test's own, durable like a real one, that the test may kill, freeze and start again.

use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/postgres.sh");

/// Lives in a process group of its own and outlasts the test, however that ends: its standard input closes, and it cleans up. A
/// frozen server cannot end, one that was killed leaves its segment of shared memory behind, and `drop` may meet a server that is
/// just going.
const GUARD: &str = r#"
read -r data
while read -r line; do segments="$segments $line"; done
pid=$(head -n 1 "$data/postmaster.pid" 2>/dev/null)
if [ -n "$pid" ] && [ "$(readlink "/proc/$pid/cwd")" = "$data" ]; then
  kill -CONT "$pid" $(cat "/proc/$pid/task/$pid/children")
  kill -QUIT "$pid"
fi
for attempt in 1 2 3; do "$0" drop "$1" && break; sleep 0.2; done
for segment in $segments; do ipcrm -m "$segment"; done
"#;

pub struct Cluster {
    url: String,
    folder: TempDir,
    /// Where Postgres keeps its files; the script may have chosen another folder than ours.
    data: PathBuf,
    connections: u32,
    guard: Child,
}

impl Cluster {
    /// With at most this many connections.
    pub async fn start(connections: u32) -> Cluster {
        let folder = tempfile::Builder::new().prefix("toki-fault-").tempdir().expect("a folder");
        let mut guard = Command::new("sh");
        guard.args(["-c", GUARD, SCRIPT]).arg(folder.path()).process_group(0);
        let mut guard = guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a guard");
        let url = start(folder.path(), connections);
        let pool = PgPoolOptions::new().max_connections(1).connect(&url).await.expect("a connection");
        let data: String = sqlx::query_scalar("SHOW data_directory").fetch_one(&pool).await.expect("a folder");
        pool.close().await;
        writeln!(guard.stdin.as_mut().expect("piped"), "{data}").expect("the guard lives");
        let cluster = Cluster { url, folder, data: data.into(), connections, guard };
        cluster.freeze_wal_writer();
        cluster
    }

    /// The commits of holds are flushed by the WAL writer, and otherwise by whoever commits durably. Without the first, the choice is
    /// the test's: a crash forgets the holds since the last durable commit.
    fn freeze_wal_writer(&self) {
        let begun = Instant::now();
        // Its name comes a moment after its start.
        loop {
            let mut processes = self.processes();
            processes.retain(|pid| fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains("walwriter")));
            if !processes.is_empty() {
                return signal("STOP", &processes);
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "Postgres has a WAL writer");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub async fn connect(&self) -> PgPool {
        PgPoolOptions::new().max_connections(8).acquire_timeout(Duration::from_secs(10)).connect(&self.url).await.expect("a pool")
    }

    /// Kills every process of it at once, as when the machine loses power but for the disk's cache.
    pub fn kill(&mut self) {
        let lock = fs::read_to_string(self.lock_file()).expect("a running cluster");
        if let Some(segment) = lock.lines().nth(6).and_then(|line| line.split_whitespace().nth(1)) {
            writeln!(self.guard.stdin.as_mut().expect("piped"), "{segment}").expect("the guard lives");
        }
        // Frozen first, so that it starts no more processes while we look for them.
        signal("STOP", &[self.postmaster()]);
        let processes = self.processes();
        signal("KILL", &processes);
        let begun = Instant::now();
        while processes.iter().any(|pid| is_alive(pid)) {
            assert!(begun.elapsed() < Duration::from_secs(10), "{processes:?} outlive kill -9");
            std::thread::sleep(Duration::from_millis(5));
        }
        // Nobody may have collected the dead postmaster yet; a new one would take it for a living one.
        fs::remove_file(self.lock_file()).expect("its lock");
        let sockets = Path::new(lock.lines().nth(4).expect("a folder of sockets"));
        fs::remove_file(sockets.join(".s.PGSQL.5432.lock")).expect("its other lock");
    }

    /// Starts it again after [`kill`](Cluster::kill), and waits until it has recovered.
    pub fn restart(&self) {
        assert_eq!(start(self.folder.path(), self.connections), self.url);
        self.freeze_wal_writer();
    }

    /// Stops every process of it in the middle of what it does. Connections stay open, and nothing answers.
    pub fn pause(&self) {
        signal("STOP", &[self.postmaster()]);
        signal("STOP", &self.processes());
    }

    pub fn resume(&self) {
        signal("CONT", &self.processes());
    }

    fn lock_file(&self) -> PathBuf {
        self.data.join("postmaster.pid")
    }

    fn postmaster(&self) -> String {
        let lock = fs::read_to_string(self.lock_file()).expect("a running cluster");
        lock.lines().next().expect("a process id").to_string()
    }

    /// The postmaster, and the servers that it started.
    fn processes(&self) -> Vec<String> {
        let postmaster = self.postmaster();
        let children = fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children")).expect("its children");
        std::iter::once(postmaster).chain(children.split_whitespace().map(str::to_string)).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        drop(self.guard.wait());
    }
}

fn start(folder: &Path, connections: u32) -> String {
    let settings = ["-c", "fsync=on", "-c", "autovacuum=off"];
    let output = Command::new(SCRIPT)
        .arg("start")
        .arg(folder)
        .args(settings)
        .args(["-c", &format!("max_connections={connections}")])
        .output()
        .expect("the script runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8").trim().to_string()
}

/// A process that ended and was not collected yet is dead.
fn is_alive(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// Sends it to each process that is still there.
fn signal(name: &str, pids: &[String]) {
    let kill = format!("kill -{name} {}", pids.join(" "));
    let _ = Command::new("sh").args(["-c", &kill]).stderr(Stdio::null()).status().expect("sh");
}
