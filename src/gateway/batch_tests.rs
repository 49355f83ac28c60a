//! Who shares a batch with whom, who is waited for, and whose lock is in nobody's way.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};

#[tokio::test]
async fn answers_come_to_who_asked_and_calls_share_batches() {
    let tasks = TaskTracker::new();
    let batches = Arc::new(AtomicUsize::new(0));
    let counted = batches.clone();
    let batcher = Batcher::spawn(&tasks, move |numbers: Vec<u32>| {
        counted.fetch_add(1, Ordering::Relaxed);
        async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            numbers.into_iter().map(|n| Ok(n * 2)).collect()
        }
    });
    let asked = (0..500_u32).map(|n| batcher.ask(n % 7, n));
    for (n, doubled) in futures::future::join_all(asked).await.into_iter().enumerate() {
        assert_eq!(doubled, Ok(n as u32 * 2));
    }
    assert!(batches.load(Ordering::Relaxed) < 100);
    drop(batcher);
    tasks.close();
    tasks.wait().await;
}

#[tokio::test]
async fn a_lane_found_locked_keeps_to_itself() {
    let (locks, unlocked) = (Arc::new(AtomicUsize::new(1)), Arc::new(Notify::new()));
    let lock = (locks.clone(), unlocked.clone());
    let batcher = Batcher::spawn(&TaskTracker::new(), move |batch: Vec<&'static str>| {
        let (locks, unlocked) = lock.clone();
        async move {
            if !batch.contains(&"ada") {
                return batch.into_iter().map(Ok).collect();
            }
            if locks.fetch_sub(1, Ordering::Relaxed) == 1 {
                return batch.iter().map(|_| Err(Locked)).collect();
            }
            unlocked.notified().await;
            batch.into_iter().map(Ok).collect()
        }
    });
    assert_eq!(batcher.ask("ada", "ada").await, Err(NoAnswer::Locked));
    let ada = batcher.ask("ada", "ada");
    tokio::pin!(ada);
    // All workers of the common queue would be ada's by now, were she in it.
    for _ in 0..=SPARE {
        assert!(tokio::time::timeout(STUCK * 2, &mut ada).await.is_err());
        assert_eq!(batcher.ask("bob", "bob").await, Ok("bob"));
    }
    unlocked.notify_one();
    assert_eq!(ada.await, Ok("ada"));
    assert!(batcher.locked().is_empty());
}

#[tokio::test]
async fn a_panic_costs_its_batch_and_no_worker() {
    let batcher = Batcher::spawn(&TaskTracker::new(), |numbers: Vec<u32>| async move {
        assert!(!numbers.contains(&0), "this batch panics, as it should");
        numbers.into_iter().map(Ok).collect()
    });
    // More of them than there are workers.
    for _ in 0..2 * (SPARE + 1) {
        let answer = tokio::time::timeout(Duration::from_secs(5), batcher.ask("ada", 0)).await.expect("an answer");
        assert_eq!(answer, Err(NoAnswer::Failed));
    }
    assert_eq!(batcher.ask("ada", 1).await, Ok(1));
}

#[tokio::test]
async fn a_locked_lane_stops_only_itself() {
    let batch: Vec<u32> = (0..100).rev().collect();
    let run = async |part: Arc<[u32]>| if part.contains(&3) { Err(Locked) } else { Ok(part.to_vec()) };
    let results = run_around_locks(batch.clone(), |n| n % 7, run).await;
    assert_eq!(results, batch.iter().map(|n| if n % 7 == 3 { Err(Locked) } else { Ok(*n) }).collect::<Vec<_>>());
}

#[test]
fn a_flood_waits_for_itself() {
    let mut lanes = Lanes::default();
    (0..1_000).for_each(|n| lanes.push("flood", n));
    lanes.push("ada", 1_000);
    lanes.push("bob", 1_001);
    lanes.push("ada", 1_002);
    let (batch, more) = lanes.take(6);
    assert_eq!((batch, more), (vec![0, 1_000, 1_001, 1, 1_002, 2], true));
    let (rest, more) = lanes.take(2_000);
    assert_eq!((rest, more), ((3..1_000).collect(), false));
    assert!(lanes.waiting.is_empty() && lanes.count == 0);
}

#[test]
fn who_came_together_lately_is_waited_for() {
    let queue: Queue<usize, usize> = Queue::default();
    // Whether others would be waited for, where so many wait.
    let round = |callers: usize| {
        let mut lanes = queue.lanes();
        (0..callers).for_each(|n| lanes.push(n % 3, n));
        let expected = lanes.expect_more();
        assert_eq!(lanes.take(MOST).0.len(), callers);
        expected
    };
    for callers in [0, 1, 2, SEVERAL - 1, 1, 2] {
        assert!(!round(callers), "nobody is kept where there are few");
    }
    assert!(!round(16), "nobody knew that there are as many");
    assert!(!round(16), "all who came lately are there");
    assert!(round(12), "four are missing");
    assert!(!round(16));
    assert!(!round(0), "nobody waits");
    assert!(round(1), "fifteen are missing");
    let kept = (0..).take_while(|_| round(1)).count();
    assert!((5..20).contains(&kept), "those who came once are forgotten: {kept}");
    assert!(!round(1));
    round(16);
    std::thread::sleep(IDLE + MOMENT);
    assert!(!round(1), "nobody comes after an idle while");
}

#[tokio::test]
async fn whoever_waits_for_others_in_vain_goes_after_a_moment() {
    let batcher = Batcher::spawn(&TaskTracker::new(), |batch: Vec<u32>| async move { batch.iter().map(|_| Ok(batch.len())).collect() });
    let together = futures::future::join_all((0..16_u32).map(|n| batcher.ask("ada", n))).await;
    assert!(together.contains(&Ok(16)), "{together:?}");
    assert!(batcher.queue.lanes().lately >= SEVERAL);
    assert_eq!(tokio::time::timeout(Duration::from_secs(5), batcher.ask("ada", 1)).await.expect("an answer"), Ok(1));
}
