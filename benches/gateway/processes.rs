//! The programs that are measured: toki with its Postgres, and nginx; what they cost in processor time and memory.

use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

type Failed = Box<dyn std::error::Error>;

/// The clock of /proc/PID/stat, fixed on Linux for every architecture that we run on (`man 5 proc`, USER_HZ).
const TICKS_PER_SECOND: f64 = 100.0;

/// A program that runs until this is dropped.
pub struct Running {
    child: Child,
    pub addr: SocketAddr,
    _stdout: Option<BufReader<ChildStdout>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Asked first, since nginx must end its workers.
        drop(Command::new("kill").arg(self.child.id().to_string()).status());
        let begun = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && begun.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Running {
    /// Processor time of the program and its workers so far.
    pub fn cpu(&self) -> Duration {
        cpu_of(&with_children(self.child.id()))
    }

    /// Memory that is the program's own, in bytes (proportional set size).
    pub fn memory(&self) -> Result<u64, Failed> {
        let mut bytes = 0;
        for pid in with_children(self.child.id()) {
            let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
            let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).ok_or("no Pss")?;
            bytes += line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024;
        }
        Ok(bytes)
    }
}

/// Processor time of all processes of the cluster so far, those that ended included.
pub fn postgres_cpu(data_directory: &str) -> Result<Duration, Failed> {
    let lock = fs::read_to_string(Path::new(data_directory).join("postmaster.pid"))?;
    let postmaster: u32 = lock.lines().next().ok_or("an empty lock file")?.trim().parse()?;
    Ok(cpu_of(&with_children(postmaster)))
}

fn with_children(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    std::iter::once(pid).chain(children.split_whitespace().filter_map(|pid| pid.parse().ok())).collect()
}

fn cpu_of(pids: &[u32]) -> Duration {
    let ticks = pids.iter().enumerate().map(|(place, pid)| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name, in parentheses, may hold anything.
        let fields: Vec<u64> = stat.rsplit(") ").next().unwrap_or_default().split(' ').map(|field| field.parse().unwrap_or(0)).collect();
        // utime, stime, and of the first, which started the others, also cutime and cstime.
        fields.iter().skip(11).take(if place == 0 { 4 } else { 2 }).sum::<u64>()
    });
    Duration::from_secs_f64(ticks.sum::<u64>() as f64 / TICKS_PER_SECOND)
}

/// nginx in front of the supplier: keep-alive on both sides, no log, a worker for each core.
pub fn nginx(folder: &Path, supplier: SocketAddr) -> Result<Running, Failed> {
    let addr = free_address()?;
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {folder}/{name};\n", folder = folder.display()))
        .concat();
    let config = format!(
        "daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log warn; worker_processes auto;
        events {{ worker_connections 8192; }}
        http {{
            access_log off; tcp_nodelay on; keepalive_requests 100000000; {temporary}
            upstream supplier {{ server {supplier}; keepalive 2048; keepalive_requests 100000000; }}
            server {{
                listen {addr} backlog=4096;
                location / {{ proxy_pass http://supplier; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_read_timeout 300s; }}
            }}
        }}",
        folder = folder.display(),
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, config)?;
    let log = folder.join("nginx.log");
    let child = Command::new("nginx").arg("-e").arg(&log).arg("-c").arg(&file).stdout(Stdio::null()).spawn()?;
    let running = Running { child, addr, _stdout: None };
    let begun = Instant::now();
    while std::net::TcpStream::connect(addr).is_err() {
        if begun.elapsed() > Duration::from_secs(10) {
            return Err(format!("nginx does not start: {}", fs::read_to_string(&log).unwrap_or_default()).into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(running)
}

fn free_address() -> std::io::Result<SocketAddr> {
    std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()
}

/// toki on a database of its own, with a customer who never runs out, and their key.
pub struct Toki {
    pub running: Running,
    pub key: String,
    folder: TempDir,
    database_url: String,
}

impl Toki {
    /// `settings`: more of the server's environment.
    pub fn start(database_url: &str, supplier: SocketAddr, settings: &[(&str, &str)]) -> Result<Toki, Failed> {
        let (folder, database_url) = (TempDir::new()?, database_url.to_string());
        let commands = Commands { folder: folder.path(), database_url: &database_url };
        commands.run("migrate", "")?;
        commands.run("supplier add --slug bench --name Bench", "")?;
        commands.run(&format!("channel add --supplier bench --base-url http://{supplier}/v1"), "")?;
        commands.run("model add --id bench/model --supplier bench --upstream-id model --context 131072 --max-output 8192", "")?;
        commands.run("account create --email bench@example.com --password-stdin", "correct horse battery\n")?;
        commands.run("account credit --email bench@example.com --tokens 1000000000000", "")?;
        let key = commands.run("key create --email bench@example.com --name bench --quota 1000000000000", "")?;
        let key = key["secret"].as_str().ok_or("a key without a secret")?.to_string();

        let mut serve = commands.command("serve");
        let mut child = serve.env("TOKI_ADDR", "127.0.0.1:0").env("RUST_LOG", "error").envs(settings.iter().copied()).spawn()?;
        let mut stdout = BufReader::new(child.stdout.take().ok_or("no standard output")?);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        let document: Value = serde_json::from_str(&line)?;
        let addr = document["url"].as_str().and_then(|url| url.strip_prefix("http://")).ok_or("no address")?.parse()?;
        let running = Running { child, addr, _stdout: Some(stdout) };
        Ok(Toki { running, key, folder, database_url })
    }

    /// Whether the books add up, after all that.
    pub fn audit(&self) -> Result<Value, Failed> {
        Commands { folder: self.folder.path(), database_url: &self.database_url }.run("audit", "")
    }
}

struct Commands<'a> {
    folder: &'a Path,
    database_url: &'a str,
}

impl Commands<'_> {
    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_toki"));
        command.args(words.split(' ')).arg("--json").current_dir(self.folder);
        command.env("DATABASE_URL", self.database_url).env("TOKI_SUPPLIER_NETWORKS", "127.0.0.0/8");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command
    }

    fn run(&self, words: &str, input: &str) -> Result<Value, Failed> {
        let mut child = self.command(words).spawn()?;
        child.stdin.take().ok_or("no standard input")?.write_all(input.as_bytes())?;
        let output = child.wait_with_output()?;
        if !output.status.success() {
            return Err(format!("toki {words}: {}", output.status).into());
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}
