//! What is kept through crashes, full disks and damage, and by whom it is read again.

use super::*;
use proptest::prelude::*;
use tempfile::TempDir;

fn records(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn drain(spool: &mut Spool) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(taken) = spool.take(Path::new("")).expect("readable") {
        all.extend_from_slice(taken.records());
        taken.finish(&[]).expect("deleted");
    }
    all
}

#[test]
fn what_was_appended_is_taken_once_in_order() {
    let folder = TempDir::new().expect("folder");
    let mut spool = Spool::open(folder.path()).expect("spool");
    assert!(spool.take(Path::new("")).expect("readable").is_none());
    spool.append(&records(&["a", "b"])).expect("durable");
    spool.append(&records(&["c"])).expect("durable");
    assert_eq!(drain(&mut spool), records(&["a", "b", "c"]));
    spool.append(&records(&["d"])).expect("durable");
    assert_eq!(drain(&mut spool), records(&["d"]));
    assert_eq!(Census::of(folder.path()).expect("census"), Census::default());
}

#[test]
fn what_a_crash_left_is_adopted_and_what_is_being_written_is_not() {
    let folder = TempDir::new().expect("folder");
    let mut alive = Spool::open(folder.path()).expect("spool");
    alive.append(&records(&["mine"])).expect("durable");
    let mut dead = Spool::open(folder.path()).expect("spool");
    dead.append(&records(&["left"])).expect("durable");
    drop(dead);
    let mut heir = Spool::open(folder.path()).expect("spool");
    assert_eq!(drain(&mut heir), records(&["left"]));
    assert_eq!(drain(&mut alive), records(&["mine"]));
}

#[test]
fn a_segment_not_finished_is_there_for_the_next() {
    let folder = TempDir::new().expect("folder");
    let mut spool = Spool::open(folder.path()).expect("spool");
    spool.append(&records(&["a"])).expect("durable");
    let taken = spool.take(Path::new("")).expect("readable").expect("a segment");
    assert!(spool.take(Path::new("")).expect("readable").is_none(), "locked while it is replayed");
    drop(taken);
    assert_eq!(drain(&mut spool), records(&["a"]));
}

#[test]
fn a_segment_that_another_process_took_before_its_lock_is_given_up() {
    let folder = TempDir::new().expect("folder");
    let (mut writer, mut other) = (Spool::open(folder.path()).expect("spool"), Spool::open(folder.path()).expect("spool"));
    let (path, file) = writer.create_file().expect("a file");
    let taken = other.take(Path::new("")).expect("readable").expect("a file that nobody has locked");
    let again = file.try_clone().expect("a handle");
    assert!(writer.lock_file(&path, again).expect("asked").is_none(), "the other has it");
    taken.finish(&[]).expect("deleted");
    assert!(writer.lock_file(&path, file).expect("asked").is_none(), "it is deleted");
    writer.append(&records(&["kept"])).expect("durable");
    assert_eq!(drain(&mut other), records(&[]), "it is being written");
    assert_eq!(drain(&mut writer), records(&["kept"]));
}

#[test]
fn two_processes_in_one_folder_lose_nothing() {
    let folder = TempDir::new().expect("folder");
    let (mut writer, mut reader) = (Spool::open(folder.path()).expect("spool"), Spool::open(folder.path()).expect("spool"));
    let written: Vec<Vec<u8>> = (0..100).map(|n: u32| n.to_string().into_bytes()).collect();
    let records = written.clone();
    let writing = std::thread::spawn(move || {
        for record in records {
            writer.append(&[record]).expect("durable");
            writer.segment = None;
        }
    });
    let mut read = Vec::new();
    loop {
        let is_last = writing.is_finished();
        read.extend(drain(&mut reader));
        if is_last {
            break;
        }
    }
    writing.join().expect("no panic");
    assert_eq!(read, written);
}

#[test]
fn a_torn_end_is_set_aside_and_the_rest_is_replayed() {
    let folder = TempDir::new().expect("folder");
    let mut spool = Spool::open(folder.path()).expect("spool");
    spool.append(&records(&["whole", "torn"])).expect("durable");
    drop(spool.segment.take());
    let path = fs::read_dir(folder.path()).expect("readable").next().expect("a segment").expect("readable").path();
    let length = fs::metadata(&path).expect("the file").len();
    OpenOptions::new().write(true).open(&path).and_then(|file| file.set_len(length - 1)).expect("cut");
    // The database is away.
    for _ in 0..3 {
        assert_eq!(spool.take(Path::new("")).expect("readable").expect("a segment").records(), records(&["whole"]));
        assert_eq!(Census::of(folder.path()).expect("census"), Census { segments: 1, rejected: 0 });
    }
    assert_eq!(drain(&mut spool), records(&["whole"]));
    assert_eq!(Census::of(folder.path()).expect("census"), Census { segments: 0, rejected: 1 });
}

#[test]
fn a_refused_record_is_set_aside_once_though_a_crash_comes_between() {
    let folder = TempDir::new().expect("folder");
    let mut spool = Spool::open(folder.path()).expect("spool");
    spool.append(&records(&["a", "refused", "b"])).expect("durable");
    let taken = spool.take(Path::new("")).expect("readable").expect("a segment");
    taken.set_aside(1, b"refu").expect("set aside");
    drop(taken);
    spool.take(Path::new("")).expect("readable").expect("a segment").finish(&[1]).expect("deleted");
    assert_eq!(Census::of(folder.path()).expect("census"), Census { segments: 0, rejected: 1 });
    let path = fs::read_dir(folder.path()).expect("readable").next().expect("a file").expect("readable").path();
    assert_eq!(fs::read(path).expect("readable"), b"refused");
}

#[test]
fn what_could_not_be_read_is_not_written() {
    let folder = TempDir::new().expect("folder");
    let mut spool = Spool::open(folder.path()).expect("spool");
    for refused in [vec![b'1'; LONGEST + 1], Vec::new()] {
        let refused = spool.append(&[b"beside it".to_vec(), refused]).expect_err("unreadable");
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
    }
    spool.append(&records(&["kept"])).expect("durable");
    assert_eq!(drain(&mut spool), records(&["kept"]));
    assert_eq!(Census::of(folder.path()).expect("census"), Census::default());
}

#[test]
fn a_folder_that_cannot_be_written_is_refused_at_once() {
    let folder = TempDir::new().expect("folder");
    let file = folder.path().join("file");
    fs::write(&file, "").expect("a file");
    assert!(Spool::open(&file).is_err());
}

proptest! {
    /// Whatever a disk does to a byte, what is read is what was written but for the record that it was in.
    #[test]
    fn damage_never_invents_a_record(texts in prop::collection::vec("[a-z]{1,20}", 1..6), at in any::<prop::sample::Index>(), flip in 1..=255_u8) {
        let mut bytes = Vec::new();
        let written: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
        for record in &written {
            bytes.extend_from_slice(&(record.len() as u32).to_le_bytes());
            bytes.extend_from_slice(&crc32fast::hash(record).to_le_bytes());
            bytes.extend_from_slice(record);
        }
        prop_assert_eq!(parse(&bytes).0, written.clone());
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let (read, damage) = parse(&bytes);
        let without = |gone: usize| [&written[..gone], &written[gone + 1..]].concat();
        prop_assert!((0..written.len()).any(|gone| without(gone) == read));
        prop_assert_eq!(damage.concat().len() + read.iter().map(|record| HEADER + record.len()).sum::<usize>(), bytes.len());
    }
}
