//! The spool: where settlements wait on this machine's disk while the database is away. A settlement that is in it is durable: its
//! answer may leave. Knows files and bytes, and nothing of Postgres; `settlement` writes to it and replays it.
//!
//! A folder of segments. Each belongs to the process that writes it, which holds its lock, so that processes may share the folder
//! and whoever starts after a crash adopts what was left behind. A record is the length of its JSON and that JSON's CRC-32, both
//! 32-bit little-endian, then the JSON.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use uuid::Uuid;

const EXTENSION: &str = "spool";
/// What could not be read or was refused: kept for a person to look at, and replayed when they say so (`gateway::rejected`).
const SET_ASIDE: &str = "rejected";
const HEADER: usize = 8;
/// A longer record is not written, and where one is read it is garbage. Ours are some hundred bytes, and as long as what the supplier
/// reported as usage.
pub(super) const LONGEST: usize = 64 << 20;

pub struct Spool {
    folder: PathBuf,
    /// Opened with the first record: an idle process leaves no file.
    segment: Option<Segment>,
}

struct Segment {
    file: File,
    bytes: u64,
}

/// A segment to replay, ours for as long as this lives. Dropped, it is there for the next.
pub struct Taken {
    pub path: PathBuf,
    records: Vec<Vec<u8>>,
    /// What is no record, each stretch of it: the end of a write that a crash cut short, which was never acknowledged, or damage.
    damage: Vec<Vec<u8>>,
    _lock: File,
}

impl Spool {
    /// Opens the folder, and makes it where it is missing. Only the owner may read it: it says who called what.
    pub fn open(folder: &Path) -> io::Result<Spool> {
        fs::create_dir_all(folder)?;
        #[cfg(unix)]
        fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
        // A folder that takes no file is found out now, not when the database is away.
        let probe = folder.join(format!("{}.probe", Uuid::now_v7()));
        File::create(&probe)?.sync_all()?;
        fs::remove_file(&probe)?;
        Ok(Spool { folder: folder.to_path_buf(), segment: None })
    }

    /// Appends records and returns when they are on the disk. After a failure none of them counts as written, although a replay
    /// may find some. What no replay would read is not written.
    pub fn append(&mut self, records: &[Vec<u8>]) -> io::Result<()> {
        if let Some(record) = records.iter().find(|record| !is_length(record.len())) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("a record of {} bytes", record.len())));
        }
        let mut segment = match self.segment.take() {
            Some(segment) => segment,
            None => self.create_segment()?,
        };
        let mut bytes = Vec::new();
        for record in records {
            let length = u32::try_from(record.len()).map_err(io::Error::other)?;
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(&crc32fast::hash(record).to_le_bytes());
            bytes.extend_from_slice(record);
        }
        let written = segment.file.write_all(&bytes).and_then(|()| segment.file.sync_data());
        match written {
            Ok(()) => segment.bytes += bytes.len() as u64,
            // What a failed write left must not stand before the next record. If this fails too, the segment is given up: replay
            // reads around what is left there.
            Err(error) => {
                if segment.file.set_len(segment.bytes).is_ok() {
                    self.segment = Some(segment);
                }
                return Err(error);
            }
        }
        self.segment = Some(segment);
        Ok(())
    }

    fn create_segment(&self) -> io::Result<Segment> {
        loop {
            let (path, file) = self.create_file()?;
            if let Some(segment) = self.lock_file(&path, file)? {
                return Ok(segment);
            }
        }
    }

    fn create_file(&self) -> io::Result<(PathBuf, File)> {
        let path = self.folder.join(format!("{}.{EXTENSION}", Uuid::now_v7()));
        let file = OpenOptions::new().append(true).create_new(true).open(&path)?;
        Ok((path, file))
    }

    /// None where another process was faster, and took the empty file for one that a crash left: what is written to a file that is
    /// deleted is lost.
    fn lock_file(&self, path: &Path, file: File) -> io::Result<Option<Segment>> {
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Deleted it can only be by whoever had the lock before us.
        if !fs::exists(path)? {
            return Ok(None);
        }
        sync_folder(&self.folder)?;
        Ok(Some(Segment { file, bytes: 0 }))
    }

    /// The oldest segment after this one that nobody is writing, this process's own first closed. None when there is nothing to replay.
    pub fn take(&mut self, last: &Path) -> io::Result<Option<Taken>> {
        self.segment = None;
        for path in files_of(&self.folder, EXTENSION)?.into_iter().filter(|path| path > last) {
            let lock = match File::open(&path) {
                Ok(file) => file,
                // Another process was faster.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) => return Err(error),
            }
            let bytes = match fs::read(&path) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let (records, damage) = parse(&bytes);
            return Ok(Some(Taken { path, records, damage, _lock: lock }));
        }
        Ok(None)
    }

    /// Whether no other process writes or replays a segment here. One may be replaying what this process wrote.
    pub fn is_alone(&self) -> io::Result<bool> {
        Ok(Census::of(&self.folder)?.segments == usize::from(self.segment.is_some()))
    }
}

/// The files of what was set aside in a folder, those of the oldest segment first.
pub fn set_aside_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    files_of(folder, SET_ASIDE)
}

/// Named by time, so the oldest comes first.
fn files_of(folder: &Path, extension: &str) -> io::Result<Vec<PathBuf>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|its| its == extension));
    paths.sort();
    Ok(paths)
}

/// What a spool's folder holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Census {
    pub segments: usize,
    pub rejected: usize,
}

impl Census {
    /// Counts those of all processes.
    pub fn of(folder: &Path) -> io::Result<Census> {
        let mut census = Census::default();
        for entry in fs::read_dir(folder)? {
            match entry?.path().extension().and_then(|extension| extension.to_str()) {
                Some(EXTENSION) => census.segments += 1,
                Some(SET_ASIDE) => census.rejected += 1,
                _ => {}
            }
        }
        Ok(census)
    }
}

impl Taken {
    pub fn records(&self) -> &[Vec<u8>] {
        &self.records
    }

    /// Deletes the segment: all of it is in the database, but for the records at these places and what is no record, which are set
    /// aside first. Only here, so that nothing is set aside again with each attempt while the database is away.
    pub fn finish(self, refused: &[usize]) -> io::Result<()> {
        for &place in refused {
            if let Some(record) = self.records.get(place) {
                self.set_aside(place, record)?;
            }
        }
        for (place, bytes) in self.damage.iter().enumerate() {
            tracing::error!(segment = %self.path.display(), bytes = bytes.len(), "the spool held bytes that are no record; set aside");
            self.set_aside(self.records.len() + place, bytes)?;
        }
        fs::remove_file(&self.path)
    }

    /// Named by its place in the segment: a crash before the segment is deleted makes no second copy.
    fn set_aside(&self, place: usize, bytes: &[u8]) -> io::Result<()> {
        let mut file = File::create(self.path.with_extension(format!("{place}.{SET_ASIDE}")))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        self.path.parent().map_or(Ok(()), sync_folder)
    }
}

/// A file is durable once its name is.
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The whole records, those behind damage too, and each stretch of what is none. No record can be made up within another: its header has
/// bytes that JSON never has.
fn parse(mut bytes: &[u8]) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let (mut records, mut damage) = (Vec::new(), Vec::new());
    while !bytes.is_empty() {
        // At once, unless something is damaged.
        let next = (0..bytes.len()).find_map(|at| Some((at, parse_one(bytes.get(at..)?)?)));
        let Some((at, (record, rest))) = next else {
            damage.push(bytes.to_vec());
            break;
        };
        damage.extend(bytes.get(..at).filter(|stretch| !stretch.is_empty()).map(<[u8]>::to_vec));
        records.push(record.to_vec());
        bytes = rest;
    }
    (records, damage)
}

fn parse_one(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (header, rest) = bytes.split_at_checked(HEADER)?;
    let length = u32::from_le_bytes(header[..4].try_into().ok()?) as usize;
    let (record, rest) = rest.split_at_checked(length).filter(|_| is_length(length))?;
    (crc32fast::hash(record).to_le_bytes() == header[4..]).then_some((record, rest))
}

/// Whether a record may be that long. None is empty; zeros are what a file system may leave of a write that a crash cut short.
fn is_length(bytes: usize) -> bool {
    (1..=LONGEST).contains(&bytes)
}

#[cfg(test)]
#[path = "spool_tests.rs"]
mod tests;
