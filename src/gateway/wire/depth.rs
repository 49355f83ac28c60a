//! How deep JSON nests. Seen before it is parsed, by ours or a supplier's parser: some of them call themselves for every level.

/// Levels of arrays and objects in one another, at most: the fields of what is deeper are more than serde_json reads.
pub const DEEPEST: usize = 128;

/// Whether the bytes, were they JSON, would nest deeper than so many levels. Reads each byte once.
pub fn is_too_deep(json: &[u8], deepest: usize) -> bool {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(byte) = json.get(at) {
        match byte {
            b'[' | b'{' => {
                depth += 1;
                if depth > deepest {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => at = end_of_string(json, at + 1),
            _ => {}
        }
        at += 1;
    }
    false
}

/// Where the string ends that begins here: at its closing quote, or behind all bytes.
fn end_of_string(json: &[u8], mut at: usize) -> usize {
    while let Some(found) = json.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += found;
        if json[at] == b'"' {
            return at;
        }
        at += 2;
    }
    json.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(levels: usize) -> String {
        format!("{}{}", "[".repeat(levels), "]".repeat(levels))
    }

    #[test]
    fn the_deepest_is_served_and_one_more_is_not() {
        for deepest in [DEEPEST, 16] {
            assert!(!is_too_deep(nested(deepest).as_bytes(), deepest));
            assert!(is_too_deep(nested(deepest + 1).as_bytes(), deepest));
            assert!(is_too_deep(nested(100_000).as_bytes(), deepest));
            assert!(is_too_deep("{\"a\":".repeat(100_000).as_bytes(), deepest));
        }
    }

    #[test]
    fn only_brackets_of_json_count() {
        let brackets = "[".repeat(500);
        for json in [
            format!("\"{brackets}\""),
            format!("\"\\\"{brackets}\""),
            format!("\"\\\\\\\"{brackets}\""),
            format!("\"{brackets}"),
            "[]".repeat(500),
            "[\"]\",{}]".repeat(100),
            "]".repeat(500) + &nested(DEEPEST),
        ] {
            assert!(!is_too_deep(json.as_bytes(), DEEPEST), "{json}");
        }
        assert!(is_too_deep(format!("\"\\\\\"{brackets}").as_bytes(), DEEPEST));
        assert!(!is_too_deep(b"\"\\", DEEPEST) && !is_too_deep(b"\"", DEEPEST) && !is_too_deep(b"", DEEPEST));
    }
}
