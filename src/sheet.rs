//! Files that spreadsheets open: CSV (RFC 4180), with cells that are what they are.

use futures::{Stream, StreamExt, future, stream};
use serde::Serialize;

/// The byte-order mark. Without it Excel takes a file for one of its country's old code page, and Chinese names for something else.
const MARK: &str = "\u{feff}";

/// A file as people open it: its text behind the mark. What programs read, of the command line, has none.
pub fn marked<E>(text: impl Stream<Item = Result<String, E>>) -> impl Stream<Item = Result<String, E>> {
    stream::once(future::ready(Ok(MARK.to_string()))).chain(text)
}

/// A line for each row, without a head.
pub fn lines<T: Serialize>(rows: impl IntoIterator<Item = T>) -> csv::Result<String> {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    for row in rows {
        writer.serialize(row)?;
    }
    let bytes = writer.into_inner().map_err(|error| error.into_error())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What a spreadsheet takes for the beginning of a formula: the full-width forms too, where Excel speaks Chinese or Japanese.
const FORMULA: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];

/// A cell that is text however it begins: names are their users' to choose.
pub fn harmless(text: &str) -> String {
    if text.starts_with(FORMULA) { format!("'{text}") } else { text.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::TryStreamExt;
    use futures::executor::block_on;

    #[test]
    fn a_file_for_people_begins_with_the_mark() {
        let text = stream::iter([Ok::<_, ()>("name\n".to_string()), Ok("客服机器人\n".to_string())]);
        let file: String = block_on(marked(text).try_collect()).expect("a file");
        assert_eq!(file.as_bytes().strip_prefix(b"\xEF\xBB\xBF"), Some("name\n客服机器人\n".as_bytes()));
    }

    #[test]
    fn no_cell_is_a_formula() {
        for text in ["@x", "-1", "\tx", "=1", "+1", "\r=1", "＝1", "＋1", "－1", "＠x"] {
            assert!(harmless(text).starts_with('\''), "{text}");
        }
        for text in ["a=1", "客服－1", ""] {
            assert_eq!(harmless(text), text);
        }
    }
}
