//! The `toki` program: parses the command line, runs it, turns its result into an exit code. Everything it does is in the library.

use std::process::ExitCode;
use tikv_jemallocator::Jemalloc;
use toki::cli;
use toki::gateway::half_of_processors;

/// A quarter of what a page costs is memory taken and given back. Of two that are faster at it than the system's this one keeps an open
/// stream small; see docs/performance.md.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    // Before the first TLS client is built; a provider that is installed already is as good.
    drop(rustls::crypto::ring::default_provider().install_default());
    let cli = match cli::parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    // The others are those of calls, which `gateway::threads` starts.
    match tokio::runtime::Builder::new_multi_thread().worker_threads(half_of_processors().get()).enable_all().build() {
        Ok(runtime) => {
            let result = runtime.block_on(cli::run(cli));
            // What still runs was told to end, twice: do not wait for it.
            runtime.shutdown_background();
            cli::exit_code(result)
        }
        Err(error) => cli::exit_code(Err(cli::CliError::Runtime(error))),
    }
}
