//! Where a chunked body ends: its frame is followed byte by byte, its data is stepped over.

/// More digits would be no length.
const MOST_DIGITS: u8 = 15;
/// What may stand behind the sizes of a body, and in its trailers, in all.
const MOST_ASIDE: usize = 16 << 10;

#[derive(Debug, Default)]
pub struct Chunks {
    at: At,
    aside: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Start,
    Size {
        size: u64,
        digits: u8,
    },
    Extension {
        size: u64,
    },
    SizeEnd {
        size: u64,
    },
    Data {
        left: u64,
    },
    DataReturn,
    DataEnd,
    TrailerStart,
    Trailer,
    TrailerEnd,
    LastEnd,
    Over,
}

/// No chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl Chunks {
    pub fn is_over(&self) -> bool {
        self.at == At::Over
    }

    /// How many of these bytes belong to the body: all of them, unless it ends before.
    pub fn take(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        let mut taken = 0;
        while taken < bytes.len() && self.at != At::Over {
            if let At::Data { left } = self.at {
                let step = left.min((bytes.len() - taken) as u64);
                taken += step as usize;
                self.at = if left == step { At::DataReturn } else { At::Data { left: left - step } };
                continue;
            }
            self.at = self.step(bytes[taken])?;
            taken += 1;
        }
        Ok(taken)
    }

    fn step(&mut self, byte: u8) -> Result<At, Malformed> {
        if matches!(self.at, At::Extension { .. } | At::TrailerStart | At::Trailer) {
            self.aside += 1;
            if self.aside > MOST_ASIDE {
                return Err(Malformed);
            }
        }
        Ok(match (self.at, byte) {
            (At::Start, _) => At::Size { size: hex(byte)?, digits: 1 },
            (At::Size { size, .. }, b';' | b' ' | b'\t') => At::Extension { size },
            (At::Size { size, .. } | At::Extension { size }, b'\r') => At::SizeEnd { size },
            (At::Size { digits: MOST_DIGITS, .. }, _) => return Err(Malformed),
            (At::Size { size, digits }, _) => At::Size { size: size * 16 + hex(byte)?, digits: digits + 1 },
            (At::Extension { size }, byte) if byte != b'\n' => At::Extension { size },
            (At::SizeEnd { size: 0 }, b'\n') => At::TrailerStart,
            (At::SizeEnd { size }, b'\n') => At::Data { left: size },
            (At::DataReturn, b'\r') => At::DataEnd,
            (At::DataEnd, b'\n') => At::Start,
            (At::TrailerStart, b'\r') => At::LastEnd,
            (At::Trailer, b'\r') => At::TrailerEnd,
            (At::TrailerStart | At::Trailer, byte) if byte != b'\n' => At::Trailer,
            (At::TrailerEnd, b'\n') => At::TrailerStart,
            (At::LastEnd, b'\n') => At::Over,
            _ => return Err(Malformed),
        })
    }
}

fn hex(byte: u8) -> Result<u64, Malformed> {
    (byte as char).to_digit(16).map(u64::from).ok_or(Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In one piece, and in every two.
    fn take(text: &str) -> Result<usize, Malformed> {
        let whole = Chunks::default().take(text.as_bytes());
        for at in 0..=text.len() {
            let mut chunks = Chunks::default();
            let pieces = chunks.take(&text.as_bytes()[..at]).and_then(|first| {
                let rest = chunks.take(&text.as_bytes()[first..])?;
                Ok(first + rest)
            });
            assert_eq!(pieces, whole, "cut at {at}: {text:?}");
        }
        whole
    }

    #[test]
    fn bodies_end_behind_their_last_chunk() {
        for body in ["0\r\n\r\n", "3\r\nabc\r\n0\r\n\r\n", "00a;x=\"y\"\r\n0123456789\r\nB \r\n0123456789a\r\n0\r\nX: y\r\nZ:\r\n\r\n"] {
            assert_eq!(take(&format!("{body}GET / HTTP/1.1")), Ok(body.len()), "{body:?}");
            let mut chunks = Chunks::default();
            assert!(chunks.take(body.as_bytes()).is_ok() && chunks.is_over());
        }
        assert_eq!(take("5\r\nabc"), Ok(6));
    }

    #[test]
    fn what_is_no_chunk_is_malformed() {
        for body in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "0x3\r\nabc",
            "3\nabc\r\n",
            "3\r\nabcd\r\n",
            "3\r\nabc\n",
            "3;a\nb\r\nabc",
            "1000000000000000\r\n",
            "0\r\n\n",
            "0\r\nX: y\n\r\n",
        ] {
            assert_eq!(take(body), Err(Malformed), "{body:?}");
        }
        assert_eq!(Chunks::default().take(format!("0\r\nX: {}", "y".repeat(MOST_ASIDE)).as_bytes()), Err(Malformed));
    }
}
