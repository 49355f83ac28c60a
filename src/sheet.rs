//! Cells that spreadsheets open as what they are.

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
