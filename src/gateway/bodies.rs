//! The bodies of calls, read as far as they deserve it: none beyond the limit, little for a key that nobody has, and never more of all
//! together than there is memory for. Whole answers have as much memory again, so that what is sent never takes the place of what was paid;
//! and the text of streams has some of its own, which they can do without.

use crate::gateway::error::{GatewayError, Refused};
use crate::gateway::{Gateway, auth};
use crate::wallet::ledger::Rates;
use axum::Extension;
use axum::body::{Body, HttpBody};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Larger bodies are refused with 413, unless an operator set another limit.
pub const MOST_BODY_BYTES: usize = 16 << 20;
/// More than this is read for keys that exist only. The checksum in a key keeps typos away, and nobody who makes keys up.
const FIRST_BYTES: usize = 256 << 10;
/// What a unit of memory is.
const UNIT: usize = 1 << 10;
/// A body is held as it came, and once more as it goes to the supplier; an answer in a buffer that doubles as it grows.
const COPIES: usize = 2;
/// How long an answer waits for others to have been read. Its supplier waits with it, and has been paid.
const PATIENCE: Duration = Duration::from_secs(10);

/// The memory for bodies, for whole answers, or for the text of streams.
pub struct Bodies {
    free: Arc<Semaphore>,
    units: usize,
}

/// What one body takes of it, until it is dropped.
#[derive(Default)]
pub struct Room(Option<OwnedSemaphorePermit>);

impl Bodies {
    pub fn new(bytes: usize) -> Bodies {
        let units = (bytes / UNIT).min(Semaphore::MAX_PERMITS);
        Bodies { free: Arc::new(Semaphore::new(units)), units }
    }

    /// When half of it is in use, the rest is for keys that exist.
    fn is_scarce(&self) -> bool {
        self.free.available_permits() < self.units / 2
    }

    /// Room for so many bytes, with what there is already.
    fn extend(&self, room: &mut Room, bytes: usize) -> Result<(), GatewayError> {
        let more = self.free.clone().try_acquire_many_owned(room.lacks(bytes)).map_err(|_| GatewayError::Crowded)?;
        room.add(more);
        Ok(())
    }

    /// The same for what can be done without. False where there is none.
    pub fn extend_if_free(&self, room: &mut Room, bytes: usize) -> bool {
        room.lacks(bytes) == 0 || self.extend(room, bytes).is_ok()
    }

    /// The same for an answer that grows: waits a while for room. False where there was none.
    pub async fn extend_in_time(&self, room: &mut Room, bytes: usize) -> bool {
        let more = room.lacks(bytes);
        if more == 0 || self.extend(room, bytes).is_ok() {
            return true;
        }
        // More than there will ever be is not waited for.
        if units_of(bytes) > self.units {
            return false;
        }
        match tokio::time::timeout(PATIENCE, self.free.clone().acquire_many_owned(more)).await {
            Ok(Ok(more)) => {
                room.add(more);
                true
            }
            Ok(Err(_)) | Err(_) => false,
        }
    }
}

fn units_of(bytes: usize) -> usize {
    (bytes * COPIES).div_ceil(UNIT)
}

impl Room {
    /// Units that are missing for so many bytes.
    fn lacks(&self, bytes: usize) -> u32 {
        let held = self.0.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        units_of(bytes).saturating_sub(held) as u32
    }

    fn add(&mut self, more: OwnedSemaphorePermit) {
        match &mut self.0 {
            Some(held) => held.merge(more),
            none => *none = Some(more),
        }
    }

    /// The bytes that it is for, which take it with them to wherever they are sent.
    pub fn around(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Roomed { bytes, _room: self })
    }
}

/// Bytes whose room is free again when the last clone of them is gone.
struct Roomed {
    bytes: Bytes,
    _room: Room,
}

impl AsRef<[u8]> for Roomed {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A call that is refused before it runs by itself, with what limits its caller, if that has been asked by then.
pub struct NotRead {
    error: GatewayError,
    rates: Option<Rates>,
}

impl From<GatewayError> for NotRead {
    fn from(error: GatewayError) -> NotRead {
        NotRead { error, rates: None }
    }
}

impl IntoResponse for NotRead {
    fn into_response(self) -> Response {
        (self.rates.map(Extension), self.error).into_response()
    }
}

/// Reads the body of a call. Whoever has no valid key learns that before anything else about a large one.
pub async fn read(gateway: &Gateway, secret_hash: [u8; 32], address: IpAddr, body: Body) -> Result<(Bytes, Room), NotRead> {
    let declared = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    // Of a key that was looked up.
    let mut rates = None;
    let (mut pieces, mut bytes, mut room) = (Vec::new(), 0, Room::default());
    let mut arriving = body.into_data_stream();
    let mut expected = declared;
    loop {
        if rates.is_none() && (expected > FIRST_BYTES || gateway.bodies.is_scarce()) {
            rates = Some(auth::caller(gateway, secret_hash, address).await?.rates);
        }
        let refused = |error| NotRead { error, rates };
        if expected > gateway.limits.body_bytes {
            return Err(refused(GatewayError::TooLarge { limit_bytes: gateway.limits.body_bytes }));
        }
        gateway.bodies.extend(&mut room, bytes).map_err(refused)?;
        let Some(piece) = arriving.next().await else { break };
        // The caller left, or does not get on; then nobody reads this.
        let piece: Bytes = piece.map_err(|_| GatewayError::Refused(Refused::Framing))?;
        bytes += piece.len();
        expected = expected.max(bytes);
        pieces.push(piece);
    }
    Ok((joined(pieces, bytes), room))
}

/// Most bodies are one piece.
fn joined(mut pieces: Vec<Bytes>, bytes: usize) -> Bytes {
    match pieces.len() {
        0 | 1 => pieces.pop().unwrap_or_default(),
        _ => {
            let mut whole = BytesMut::with_capacity(bytes);
            pieces.iter().for_each(|piece| whole.extend_from_slice(piece));
            whole.freeze()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_held_than_there_is_room_for() {
        let bodies = Bodies::new(10 << 10);
        let (mut first, mut second) = (Room::default(), Room::default());
        assert_eq!(bodies.extend(&mut first, 1_000), Ok(()));
        assert_eq!((bodies.free.available_permits(), bodies.is_scarce()), (8, false));
        assert_eq!(bodies.extend(&mut first, 3_000), Ok(()));
        assert_eq!((bodies.free.available_permits(), bodies.is_scarce()), (4, true));
        assert_eq!(bodies.extend(&mut second, 2_100), Err(GatewayError::Crowded));
        drop(first);
        assert_eq!(bodies.extend(&mut second, 2_100), Ok(()));
        assert_eq!(bodies.extend(&mut second, 2_100), Ok(()), "nothing new, nothing more");
        drop(second);
        assert_eq!(bodies.free.available_permits(), 10);
    }

    #[tokio::test]
    async fn an_answer_waits_for_room_until_another_was_read() {
        let answers = Bodies::new(10 << 10);
        let (mut first, mut second) = (Room::default(), Room::default());
        assert!(answers.extend_in_time(&mut first, 3_000).await);
        let being_read = first.around(Bytes::from_static(b"an answer"));
        assert_eq!((answers.free.available_permits(), &being_read[..]), (4, &b"an answer"[..]));
        let read = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let clone = being_read.clone();
            drop(being_read);
            assert!(answers.free.available_permits() < 10, "there is a clone of it");
            drop(clone);
        };
        let (has_room, ()) = tokio::join!(answers.extend_in_time(&mut second, 4_000), read);
        assert_eq!((has_room, answers.free.available_permits()), (true, 2));
        assert!(answers.extend_in_time(&mut second, 4_000).await, "nothing new, nothing more");
        assert!(!answers.extend_in_time(&mut second, 6_000).await, "more than there ever is");
        drop(second);
        assert_eq!(answers.free.available_permits(), 10);
    }

    #[test]
    fn pieces_are_joined_in_order() {
        let piece = Bytes::from_static;
        assert_eq!(joined(vec![], 0), "");
        assert_eq!(joined(vec![piece(b"ab")], 2), "ab");
        assert_eq!(joined(vec![piece(b"ab"), piece(b""), piece(b"c")], 3), "abc");
    }
}
