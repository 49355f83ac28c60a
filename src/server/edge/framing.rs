//! Where the head of an HTTP/1 request ends, and how long its body is: read from the bytes before the parser sees them. What another
//! server in front of us might read in a second way is refused, for a body that two servers measure differently hides a second request.

use crate::gateway::Refused;

/// What a request's head may be, in bytes, unless an operator set another limit; of its lines, in number; of its target, in bytes.
pub const MOST_HEAD_BYTES: usize = 32 << 10;
pub const MOST_HEADERS: usize = 100;
pub const MOST_TARGET_BYTES: usize = 8 << 10;
/// Method, version and spaces around a target.
const AROUND_TARGET: usize = 64;

/// The first bytes of an HTTP/2 connection.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The scan of one head. Give it the bytes from the head's first on, each time with what came since at the end.
#[derive(Debug)]
pub struct HeadScan {
    most_bytes: usize,
    /// Where the line begins that is not whole yet.
    line_at: usize,
    /// What has been searched for its end.
    searched: usize,
    /// Whole lines, the request line included.
    lines: usize,
    is_http_1_0: bool,
    content_length: Option<u64>,
    chunked: bool,
    upgrade: bool,
    hosts: usize,
}

/// How much follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    Known(u64),
    Chunked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scanned {
    /// Not whole yet.
    More,
    Whole {
        bytes: usize,
        body: BodyLength,
    },
    Refused(Refused),
}

/// Whether a connection that begins with these bytes speaks HTTP/2; none if they are too few to say.
pub fn is_http2(first: &[u8]) -> Option<bool> {
    let compared = first.len().min(PREFACE.len());
    match first[..compared] == PREFACE[..compared] {
        true if compared < PREFACE.len() => None,
        same => Some(same),
    }
}

impl HeadScan {
    /// Of a head of at most so many bytes.
    pub fn within(most_bytes: usize) -> HeadScan {
        HeadScan {
            most_bytes,
            line_at: 0,
            searched: 0,
            lines: 0,
            is_http_1_0: false,
            content_length: None,
            chunked: false,
            upgrade: false,
            hosts: 0,
        }
    }

    pub fn scan(&mut self, bytes: &[u8]) -> Scanned {
        while let Some(found) = memchr::memchr(b'\n', &bytes[self.searched..]) {
            let end = self.searched + found;
            let line = &bytes[self.line_at..end];
            (self.line_at, self.searched) = (end + 1, end + 1);
            // The end of a line is two bytes; one that has but the second is none to some.
            let Some(line) = line.strip_suffix(b"\r") else { return Scanned::Refused(Refused::Framing) };
            if self.lines > 0 && self.line_at > self.most_bytes {
                return Scanned::Refused(Refused::HeadTooLarge);
            }
            if line.is_empty() && self.lines > 0 {
                return match self.body() {
                    Ok(body) => Scanned::Whole { bytes: self.line_at, body },
                    Err(refused) => Scanned::Refused(refused),
                };
            }
            let read = if self.lines == 0 { self.read_request_line(line) } else { self.read_field(line) };
            self.lines += 1;
            if let Err(refused) = read {
                return Scanned::Refused(refused);
            }
        }
        self.searched = bytes.len();
        if self.lines == 0 && bytes.len() > MOST_TARGET_BYTES + AROUND_TARGET {
            return Scanned::Refused(Refused::TargetTooLong);
        }
        if bytes.len() > self.most_bytes {
            return Scanned::Refused(Refused::HeadTooLarge);
        }
        Scanned::More
    }

    fn read_request_line(&mut self, line: &[u8]) -> Result<(), Refused> {
        let mut parts = line.split(|byte| *byte == b' ');
        let (Some(method), Some(target), Some(version), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(Refused::Framing);
        };
        // CONNECT makes a tunnel of the connection, in which nothing is a request any more.
        if method.is_empty() || !method.iter().all(is_token) || method == b"CONNECT" || target.is_empty() {
            return Err(Refused::Framing);
        }
        if target.len() > MOST_TARGET_BYTES {
            return Err(Refused::TargetTooLong);
        }
        self.is_http_1_0 = version == b"HTTP/1.0";
        if self.is_http_1_0 || version == b"HTTP/1.1" { Ok(()) } else { Err(Refused::Framing) }
    }

    /// A line that begins with a space would continue the one before it, to those who still know that.
    fn read_field(&mut self, line: &[u8]) -> Result<(), Refused> {
        if self.lines > MOST_HEADERS {
            return Err(Refused::HeadTooLarge);
        }
        let colon = memchr::memchr(b':', line).ok_or(Refused::Framing)?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.is_empty() || !name.iter().all(is_token) || value.iter().any(|byte| matches!(byte, b'\r' | b'\0')) {
            return Err(Refused::Framing);
        }
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.hosts += 1,
            7 if name.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let length = length(value).ok_or(Refused::Framing)?;
                if self.content_length.replace(length).is_some() {
                    return Err(Refused::Framing);
                }
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Refused::Framing);
                }
                self.chunked = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn body(&self) -> Result<BodyLength, Refused> {
        let has_body = self.chunked || self.content_length.is_some_and(|length| length > 0);
        let ambiguous = self.chunked && (self.content_length.is_some() || self.is_http_1_0);
        let hosts = if self.is_http_1_0 { self.hosts <= 1 } else { self.hosts == 1 };
        if ambiguous || (self.upgrade && has_body) || !hosts {
            return Err(Refused::Framing);
        }
        Ok(if self.chunked { BodyLength::Chunked } else { BodyLength::Known(self.content_length.unwrap_or(0)) })
    }
}

/// The path that a head asks for, as far as it can be read, to tell in which form its refusal goes out.
pub fn path_of(head: &[u8]) -> String {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let target = line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    let path = target.split(|byte| matches!(byte, b'?' | b'\r')).next().unwrap_or_default();
    String::from_utf8_lossy(&path[..path.len().min(100)]).into_owned()
}

/// Digits and nothing else: neither a sign nor a list.
fn length(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.len() < 19 && value.iter().all(u8::is_ascii_digit);
    digits.then(|| value.iter().fold(0, |length, digit| length * 10 + u64::from(digit - b'0')))
}

fn is_token(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In one piece, and in every two; they must agree.
    fn scan(text: &str) -> Scanned {
        let bytes = text.as_bytes();
        let whole = HeadScan::within(MOST_HEAD_BYTES).scan(bytes);
        for at in 1..bytes.len() {
            let mut scan = HeadScan::within(MOST_HEAD_BYTES);
            let first = scan.scan(&bytes[..at]);
            let second = if first == Scanned::More { scan.scan(bytes) } else { first };
            assert_eq!(second, whole, "cut at {at}: {text:?}");
        }
        let mut scan = HeadScan::within(MOST_HEAD_BYTES);
        let byte_by_byte = (1..=bytes.len()).map(|length| scan.scan(&bytes[..length])).find(|scanned| *scanned != Scanned::More);
        assert_eq!(byte_by_byte.unwrap_or(Scanned::More), whole, "byte by byte: {text:?}");
        whole
    }

    fn post(fields: &str) -> Scanned {
        scan(&format!("POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n{fields}\r\nbody"))
    }

    #[test]
    fn heads_end_where_their_empty_line_ends() {
        let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(scan(get), Scanned::Whole { bytes: get.len(), body: BodyLength::Known(0) });
        assert_eq!(scan(&get[..get.len() - 1]), Scanned::More);
        assert_eq!(scan("GET / HTTP/1.0\r\n\r\n"), Scanned::Whole { bytes: 18, body: BodyLength::Known(0) });
        assert!(matches!(post("content-LENGTH:  12 \r\n"), Scanned::Whole { body: BodyLength::Known(12), .. }));
        assert!(matches!(post("Transfer-Encoding: Chunked\r\n"), Scanned::Whole { body: BodyLength::Chunked, .. }));
        assert!(matches!(post("Upgrade: h2c\r\nContent-Length: 0\r\n"), Scanned::Whole { .. }));
        assert!(matches!(post("X-Empty:\r\nX-Tab:\t1\r\n"), Scanned::Whole { .. }));
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for fields in [
            "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
            "Content-Length: 4\r\nContent-Length: 5\r\n",
            "Content-Length: 4\r\nContent-Length: 4\r\n",
            "Content-Length: 4, 4\r\n",
            "Content-Length: +4\r\n",
            "Content-Length: 0x4\r\n",
            "Content-Length:\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Content-Length : 4\r\n",
            "Transfer-Encoding: chunked, identity\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding:\u{b}chunked\r\n",
            "X-One: 1\r\n two\r\n",
            "X-One: 1\r\n\ttwo\r\n",
            "X-One: 1\nX-Two: 2\r\n",
            "X-One: 1\rX-Two: 2\r\n",
            "X-One: a\u{0}b\r\n",
            "no colon\r\n",
            ": no name\r\n",
            "Host: b\r\n",
            "Upgrade: h2c\r\nContent-Length: 4\r\n",
            "Upgrade: websocket\r\nTransfer-Encoding: chunked\r\n",
        ] {
            assert_eq!(post(fields), Scanned::Refused(Refused::Framing), "{fields:?}");
        }
        for head in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
            "GET /\r\n\r\n",
            "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
            "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
            "G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\nHost: a\n\n",
            "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        ] {
            assert_eq!(scan(head), Scanned::Refused(Refused::Framing), "{head:?}");
        }
    }

    #[test]
    fn what_is_too_large_is_refused_before_it_is_whole() {
        let too_large = Scanned::Refused(Refused::HeadTooLarge);
        let many = |fields: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(fields));
        assert!(matches!(HeadScan::within(MOST_HEAD_BYTES).scan(many(MOST_HEADERS - 1).as_bytes()), Scanned::Whole { .. }));
        assert_eq!(HeadScan::within(MOST_HEAD_BYTES).scan(many(MOST_HEADERS).as_bytes()), too_large);
        let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "y".repeat(MOST_HEAD_BYTES));
        assert_eq!(HeadScan::within(MOST_HEAD_BYTES).scan(long.as_bytes()), too_large);
        assert_eq!(HeadScan::within(2 * MOST_HEAD_BYTES).scan(long.as_bytes()), Scanned::More, "as much as was set");
        let target = |bytes: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "t".repeat(bytes - 1));
        assert!(matches!(HeadScan::within(MOST_HEAD_BYTES).scan(target(MOST_TARGET_BYTES).as_bytes()), Scanned::Whole { .. }));
        for text in [target(MOST_TARGET_BYTES + 1), format!("GET /{}", "t".repeat(9_000))] {
            assert_eq!(HeadScan::within(MOST_HEAD_BYTES).scan(text.as_bytes()), Scanned::Refused(Refused::TargetTooLong));
        }
    }

    #[test]
    fn the_preface_tells_http2() {
        assert_eq!((is_http2(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nx"), is_http2(PREFACE)), (Some(true), Some(true)));
        assert_eq!((is_http2(b"P"), is_http2(b"PO"), is_http2(b"PRI * HTTP/1.1\r\n")), (None, Some(false), Some(false)));
    }

    #[test]
    fn paths_are_read_from_whatever_came() {
        for (head, path) in [("GET /v1/models?a=b HTTP/1.1\r\n", "/v1/models"), ("GET /v1", "/v1"), ("GET", ""), ("", ""), ("a b\r\n", "b")]
        {
            assert_eq!(path_of(head.as_bytes()), path, "{head:?}");
        }
    }
}
