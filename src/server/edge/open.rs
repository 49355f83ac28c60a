//! The connections that are open: how many there may be, and which gives way when there are too many.

use crate::server::edge::activity::{Activity, Ask};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Files that are not callers' connections: database, spool, logs.
const OTHER_FILES: u64 = 100;
const MOST_BY_DEFAULT: u64 = 10_000;
/// When no connection waits for a request, none is looked for again for so long: under a flood, looking would be the work.
const NO_LOOK: Duration = Duration::from_millis(100);

pub struct Open {
    most: usize,
    connections: Mutex<Connections>,
}

#[derive(Default)]
struct Connections {
    next: u64,
    activities: HashMap<u64, Arc<Activity>>,
    look_after: Option<Instant>,
}

/// A place among the connections, for as long as it lives.
pub struct Place {
    open: Arc<Open>,
    number: u64,
    pub activity: Arc<Activity>,
}

impl Open {
    pub fn new(most: usize) -> Arc<Open> {
        Arc::new(Open { most, connections: Mutex::default() })
    }

    /// A panic while it was locked leaves the map whole.
    fn lock(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more; where there is none, the connection that has waited longest for a request gives way. None if all are busy.
    pub fn enter(self: &Arc<Open>) -> Option<Place> {
        let mut connections = self.lock();
        if connections.activities.len() >= self.most && !connections.close_longest_waiting() {
            return None;
        }
        let (number, activity) = (connections.next, Activity::new());
        connections.next += 1;
        connections.activities.insert(number, activity.clone());
        Some(Place { open: self.clone(), number, activity })
    }

    /// Makes room where files, not places, have run out.
    pub fn make_room(&self) {
        self.lock().close_longest_waiting();
    }

    pub fn ask_all(&self, ask: Ask) {
        self.lock().activities.values().for_each(|activity| activity.ask(ask));
    }
}

impl Connections {
    fn close_longest_waiting(&mut self) -> bool {
        let now = Instant::now();
        if self.look_after.is_some_and(|after| now < after) {
            return false;
        }
        let waiting = self.activities.values().filter_map(|activity| Some((activity.waits_since()?, activity)));
        match waiting.min_by_key(|(since, _)| *since) {
            Some((_, activity)) => {
                activity.ask(Ask::GiveWay);
                true
            }
            None => {
                self.look_after = Some(now + NO_LOOK);
                false
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.lock().activities.remove(&self.number);
    }
}

/// As many as this process may have, a call needing one to its caller and one to its supplier.
pub fn most_by_default() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    most_of(&limits) as usize
}

fn most_of(limits: &str) -> u64 {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let files = line.and_then(|line| line.split_whitespace().next()).and_then(|soft| soft.parse::<u64>().ok());
    files.map_or(MOST_BY_DEFAULT, |files| (files.saturating_sub(OTHER_FILES) / 2).clamp(10, MOST_BY_DEFAULT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_longest_waiting_gives_way_and_no_running_one_ever() {
        let open = Open::new(2);
        let (first, second) = (open.enter().expect("a place"), open.enter().expect("a place"));
        let running = first.activity.begin();
        let third = open.enter().expect("the second gives way");
        assert_eq!(second.activity.asked().await, Ask::GiveWay);
        let also_running = third.activity.begin();
        assert!(open.enter().is_none(), "the second was asked already, the others are busy");
        drop((second, also_running));
        assert!(open.enter().is_none(), "two are two");
        drop((first, third));
        assert!(open.enter().is_some());
        drop(running);
    }

    #[test]
    fn the_default_leaves_files_for_suppliers_and_database() {
        let of = |soft: &str| most_of(&format!("Limit  Soft  Hard  Units\nMax open files            {soft}   4096   files\n"));
        assert_eq!((of("1024"), of("1000000"), of("unlimited"), of("64"), most_of("")), (462, 10_000, 10_000, 10, 10_000));
    }
}
