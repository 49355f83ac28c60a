//! What passes through a stream, looked at: each event on its way, what it delivers, and which of them ends it.

use crate::gateway::bodies::{Bodies, Room};
use crate::gateway::relay::End;
use crate::gateway::sse::{Event, Splitter};
use crate::gateway::wire::{Delivered, Part, Request};
use bytes::{Bytes, BytesMut};

/// Longer events are taken for damage.
const MOST_EVENT_BYTES: usize = 4 << 20;

/// Looks at every event on its way.
pub struct Tee {
    pub splitter: Splitter,
    read_event: fn(&[u8], &mut Delivered) -> Part,
    wants_usage: bool,
    pub delivered: Delivered,
    /// For the text of what was delivered.
    pub room: Room,
}

impl Tee {
    pub fn new(request: &Request<'_>) -> Tee {
        Tee {
            splitter: Splitter::new(MOST_EVENT_BYTES),
            read_event: request.endpoint.read_event,
            wants_usage: request.wants_usage,
            delivered: Delivered::default(),
            room: Room::default(),
        }
    }

    /// Where there is no room for the text, it is let go of, and its bytes count: the stream was paid for, and goes on.
    pub fn keep_within(&mut self, memory: &Bodies) {
        if !memory.extend_if_free(&mut self.room, self.delivered.text.len()) {
            self.delivered.let_go();
        }
        if self.delivered.text.is_empty() {
            self.room = Room::default();
        }
    }

    /// All whole events that have arrived: the bytes to pass on now, and whether they end the stream.
    pub fn read(&mut self) -> (Bytes, Option<End>) {
        let mut passed = BytesMut::with_capacity(self.splitter.pending());
        loop {
            let event = match self.splitter.next_event() {
                Ok(Some(event)) => event,
                Ok(None) => return (passed.freeze(), None),
                Err(error) => {
                    tracing::warn!(%error, "stream cannot be read");
                    return (passed.freeze(), Some(End::Broken));
                }
            };
            match self.look_at(&event) {
                // Some clients would read the empty data as JSON, and break.
                Part::Empty => {}
                Part::Usage if !self.wants_usage => {}
                Part::Content | Part::Usage => passed.extend_from_slice(&event.raw),
                Part::End => return (passed.freeze(), Some(End::Done(event.raw))),
                Part::Failure => return (passed.freeze(), Some(End::Failed(event.raw))),
                Part::Broken => return (passed.freeze(), Some(End::Broken)),
            }
        }
    }

    /// A body whose last event lacks the blank line behind it is whole all the same.
    pub fn end_of_body(&mut self) -> End {
        let event = Event { raw: self.splitter.take_rest() };
        let finished = || Bytes::from([event.raw.trim_ascii_end(), b"\n\n"].concat());
        match self.look_at(&event) {
            Part::End => End::Done(finished()),
            Part::Failure => End::Failed(finished()),
            Part::Content | Part::Usage | Part::Empty | Part::Broken => End::Broken,
        }
    }

    fn look_at(&mut self, event: &Event) -> Part {
        match event.data() {
            // A comment, or an event without data: it keeps connections alive.
            None => Part::Content,
            Some(data) if data.is_empty() => Part::Empty,
            Some(data) => (self.read_event)(&data, &mut self.delivered),
        }
    }
}

#[cfg(test)]
#[path = "tee_tests.rs"]
mod tests;
