//! A way to Postgres on which connections can fall silent: they stay open and nothing arrives any more, as when a network forgets
//! them or their server is gone. New ones get through.

use std::path::PathBuf;
use tempfile::TempDir;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

const SOCKET: &str = ".s.PGSQL.5432";

pub struct SilentProxy {
    folder: TempDir,
    generation: watch::Sender<u64>,
}

impl SilentProxy {
    /// In front of the cluster with this URL.
    pub fn start(database_url: &str) -> SilentProxy {
        let folder = TempDir::new().expect("a folder");
        let listener = UnixListener::bind(folder.path().join(SOCKET)).expect("a socket");
        let target = PathBuf::from(database_url.split_once("host=").expect("a socket folder").1).join(SOCKET);
        let (generation, mut current) = watch::channel(0);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                current.mark_unchanged();
                let (target, mut current) = (target.clone(), current.clone());
                tokio::spawn(async move {
                    let Ok(mut server) = UnixStream::connect(target).await else { return };
                    tokio::select! {
                        // First: what comes after the silence must not slip through.
                        biased;
                        // Both ends stay open for as long as the test lasts.
                        _ = current.changed() => std::future::pending().await,
                        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                    }
                });
            }
        });
        SilentProxy { folder, generation }
    }

    pub fn url(&self) -> String {
        format!("postgres://toki@localhost/toki?host={}", self.folder.path().display())
    }

    /// From now on nothing comes through the connections that there are.
    pub fn silence(&self) {
        self.generation.send_modify(|generation| *generation += 1);
    }
}
