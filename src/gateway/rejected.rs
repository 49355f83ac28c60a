//! What the spool has set aside: looked at, and settled when whatever it was refused for is mended. Only commands do so, which may wait for
//! the disk; a running server leaves it alone.

use crate::gateway::database::Database;
use crate::gateway::replay::ReplayError;
use crate::gateway::settlement::settle_alone;
use crate::gateway::spool::set_aside_in;
use crate::wallet::ledger::{Settled, Settlement};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// A file that was set aside.
pub struct Rejected {
    pub path: PathBuf,
    /// What it says. It cannot be read where it is the end of a write that a crash cut short, damage, or a record of another version.
    pub settlement: Result<Settlement, serde_json::Error>,
}

impl Rejected {
    /// All that lie in a folder, which a server makes when it first starts; those of the oldest segment first.
    pub fn all(folder: &Path) -> io::Result<Vec<Rejected>> {
        let paths = match set_aside_in(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            paths => paths?,
        };
        let mut all = Vec::with_capacity(paths.len());
        for path in paths {
            match fs::read(&path) {
                Ok(bytes) => all.push(Rejected { settlement: serde_json::from_slice(&bytes), path }),
                // Somebody else has settled it meanwhile.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }
}

/// Settles what was set aside in this file, as the replay settles one by itself. The file goes last: whatever comes between, or whoever
/// else tries, finds the call settled.
pub async fn settle_rejected(db: &Database, path: &Path, settlement: &Settlement) -> Result<Settled, ReplayError> {
    let settled = settle_alone(db, settlement.clone()).await?;
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        _ => Ok(settled),
    }
}
