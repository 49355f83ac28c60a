//! Files that spreadsheets open: CSV (RFC 4180), with cells that are what they are.

use serde::Serialize;

/// A line for each row, without a head.
pub fn lines<T: Serialize>(rows: impl IntoIterator<Item = T>) -> csv::Result<String> {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    for row in rows {
        writer.serialize(row)?;
    }
    let bytes = writer.into_inner().map_err(|error| error.into_error())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A spreadsheet takes what begins like this for a formula, and names are their users' to choose.
pub fn harmless(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) { format!("'{text}") } else { text.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        for text in ["@x", "-1", "\tx", "=1", "+1", "\r=1"] {
            assert!(harmless(text).starts_with('\''), "{text}");
        }
        assert_eq!(harmless("a=1"), "a=1");
    }
}
