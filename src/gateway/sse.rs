//! Server-sent events, cut out of a byte stream whatever its chunking (WHATWG HTML, "Parsing an event stream"). Keeps the exact
//! bytes of each event, so that what is passed on is what came.

use bytes::{Bytes, BytesMut};
use memchr::memchr2;
use std::borrow::Cow;

/// The stream has an event that is larger than anybody sends.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a server-sent event is larger than {limit_bytes} bytes")]
pub struct EventTooLarge {
    limit_bytes: usize,
}

/// One event: its bytes as they came, the blank line that ends it included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub raw: Bytes,
}

impl Event {
    /// The payload: its `data` lines joined by newlines. None for comments and events without data.
    pub fn data(&self) -> Option<Cow<'_, [u8]>> {
        let mut data: Option<Cow<'_, [u8]>> = None;
        for line in self.raw.split(|byte| matches!(byte, b'\n' | b'\r')) {
            let Some(rest) = line.strip_prefix(b"data") else { continue };
            let value = match rest {
                [] => rest,
                [b':', b' ', value @ ..] | [b':', value @ ..] => value,
                // A longer field name.
                _ => continue,
            };
            match &mut data {
                None => data = Some(value.into()),
                Some(data) => {
                    data.to_mut().push(b'\n');
                    data.to_mut().extend_from_slice(value);
                }
            }
        }
        data
    }
}

/// Collects bytes until they make an event.
#[derive(Debug)]
pub struct Splitter {
    pending: BytesMut,
    /// Up to where `pending` is known to hold no end of an event.
    scanned: usize,
    limit_bytes: usize,
}

impl Splitter {
    pub fn new(limit_bytes: usize) -> Splitter {
        Splitter { pending: BytesMut::new(), scanned: 0, limit_bytes }
    }

    pub fn push(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// Bytes that are not taken as events yet.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// The next whole event, if its end has arrived.
    pub fn next_event(&mut self) -> Result<Option<Event>, EventTooLarge> {
        match self.end_of_event() {
            Some(end) => {
                self.scanned = 0;
                Ok(Some(Event { raw: self.pending.split_to(end).freeze() }))
            }
            None if self.pending.len() > self.limit_bytes => Err(EventTooLarge { limit_bytes: self.limit_bytes }),
            None => Ok(None),
        }
    }

    /// What is left when the stream has ended: an event that was never finished.
    pub fn take_rest(&mut self) -> Bytes {
        std::mem::take(&mut self.pending).freeze()
    }

    /// Where the first blank line ends. A line ends with LF, CRLF or CR; a CR at the very end may be half of a CRLF, so it waits.
    fn end_of_event(&mut self) -> Option<usize> {
        let bytes = &self.pending[..];
        let mut at = self.scanned;
        while let Some(offset) = memchr2(b'\n', b'\r', &bytes[at..]) {
            let first = at + offset;
            let next = line_end(bytes, first)?;
            match bytes.get(next) {
                Some(b'\n' | b'\r') => return line_end(bytes, next),
                Some(_) => at = next,
                None => {
                    self.scanned = first;
                    return None;
                }
            }
        }
        self.scanned = bytes.len();
        None
    }
}

/// The index behind the line terminator at `at`; None when it may not be whole yet.
fn line_end(bytes: &[u8], at: usize) -> Option<usize> {
    match (bytes[at], bytes.get(at + 1)) {
        (b'\r', None) => None,
        (b'\r', Some(b'\n')) => Some(at + 2),
        _ => Some(at + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(chunks: &[&[u8]]) -> (Vec<Vec<u8>>, Vec<Option<Vec<u8>>>) {
        let mut splitter = Splitter::new(1 << 20);
        let mut events = Vec::new();
        for chunk in chunks {
            splitter.push(chunk);
            while let Some(event) = splitter.next_event().expect("small events") {
                events.push(event);
            }
        }
        (events.iter().map(|event| event.raw.to_vec()).collect(), events.iter().map(|event| event.data().map(Cow::into_owned)).collect())
    }

    #[test]
    fn data_is_joined_and_comments_are_not_data() {
        let (_, data) = split(&[b": keep-alive\n\ndata: a\n\ndata:b\ndata: c\r\n\r\nevent: x\ndata\n\ndatabase: no\n\n"]);
        assert_eq!(data, [None, Some(b"a".to_vec()), Some(b"b\nc".to_vec()), Some(b"".to_vec()), None]);
    }

    #[test]
    fn an_event_without_end_is_no_event() {
        let mut splitter = Splitter::new(1 << 20);
        splitter.push(b"data: [DONE]\n");
        assert_eq!(splitter.next_event(), Ok(None));
        assert_eq!(&splitter.take_rest()[..], b"data: [DONE]\n");
    }

    #[test]
    fn a_huge_event_is_refused() {
        let mut splitter = Splitter::new(10);
        splitter.push(b"data: 0123456789");
        assert!(splitter.next_event().is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn any_chunking_gives_the_same_events(
            events in prop::collection::vec(("[a-zé€😀 ]{0,12}", 0..3_usize), 0..6),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let ends = ["\n", "\r\n", "\r"];
            // A CR-terminated event is followed by one of the same kind, or its blank line could be read as half of a CRLF.
            let stream: Vec<u8> = events.iter().flat_map(|(text, end)| {
                let end = ends[*end];
                format!(": c{end}data: {text}{end}{end}").into_bytes()
            }).chain(*b": end\n\n").collect();
            let whole = split(&[&stream]);
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            at.extend([0, stream.len()]);
            at.sort_unstable();
            let chunks: Vec<&[u8]> = at.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
            prop_assert_eq!(split(&chunks), whole.clone());
            let bytes: Vec<&[u8]> = stream.chunks(1).collect();
            prop_assert_eq!(split(&bytes), whole.clone());
            prop_assert_eq!(whole.0.concat(), stream);
        }
    }
}
