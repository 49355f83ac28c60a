//! A seeded stream of choices (splitmix64): the same seed gives the same run, whatever a library's generator does next year.

use chrono::{DateTime, Utc};
use toki::ids::RequestId;
use uuid::Builder;

pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        let span = (high - low) as u64 + 1;
        low + (self.next() % span) as i64
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    pub fn percent(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        if from.is_empty() { None } else { from.get(self.below(from.len())) }
    }

    /// An id of this time, as replicas make them (version 7 of RFC 9562).
    pub fn request_id(&mut self, at: DateTime<Utc>) -> RequestId {
        let mut random = [0; 10];
        random[..8].copy_from_slice(&self.next().to_be_bytes());
        random[8..].copy_from_slice(&self.next().to_be_bytes()[..2]);
        let millis = u64::try_from(at.timestamp_millis()).expect("after 1970");
        RequestId(Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// Small numbers often, the largest sometimes: where the edges are.
    pub fn skewed(&mut self, most: i64) -> i64 {
        match self.below(10) {
            0 => 0,
            1 => 1,
            2 => most,
            3..=6 => self.between(0, most / 10),
            _ => self.between(0, most),
        }
    }
}
