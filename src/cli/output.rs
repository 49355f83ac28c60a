//! Where commands answer: one JSON document or short text on standard output, one line of complaint on standard error.

use crate::cli::CliError;
use serde::Serialize;
use std::error::Error;
use std::io::{ErrorKind, Write};

#[derive(Clone, Copy)]
pub struct Output {
    json: bool,
}

impl Output {
    pub fn new(json: bool) -> Output {
        Output { json }
    }

    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Answers with `document`, or for people with `text`.
    pub fn reply(&self, document: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), CliError> {
        let mut answer = if self.json { serde_json::to_string(document)? } else { text() };
        answer.push('\n');
        self.raw(answer.as_bytes())
    }

    /// Writes bytes as they are. A reader that left early (`| head`) has what it wanted.
    pub fn raw(&self, bytes: &[u8]) -> Result<(), CliError> {
        let mut stdout = std::io::stdout().lock();
        match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(CliError::Stdout(error)),
            _ => Ok(()),
        }
    }
}

/// One line on standard error: the error and what is behind it.
pub fn complain(error: &CliError) {
    let line = format!("toki: {}\n", cause_chain(error));
    // Nobody is left to tell when standard error is gone.
    drop(std::io::stderr().lock().write_all(line.as_bytes()));
}

/// An error and what is behind it, in one line.
pub fn cause_chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        // Some errors repeat their cause in their own text.
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        source = cause.source();
    }
    printable(&line)
}

/// Names are typed by customers: nothing in them may steer the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Rows under headings, in columns; columns of numbers are right-aligned.
pub fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> String {
    let rows: Vec<[String; N]> = rows.iter().map(|row| std::array::from_fn(|i| printable(&row[i]))).collect();
    let widths: [usize; N] =
        std::array::from_fn(|i| rows.iter().map(|row| row[i].chars().count()).chain([headings[i].len()]).max().unwrap_or(0));
    let numeric: [bool; N] = std::array::from_fn(|i| rows.iter().all(|row| is_number(&row[i])));
    let line = |cells: &[&str; N]| {
        let cells: [String; N] = std::array::from_fn(|i| {
            let (cell, width) = (cells[i], widths[i]);
            if numeric[i] { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        cells.join("  ").trim_end().to_string()
    };
    let head = std::iter::once(line(&headings));
    head.chain(rows.iter().map(|row| line(&std::array::from_fn(|i| row[i].as_str())))).collect::<Vec<_>>().join("\n")
}

fn is_number(cell: &str) -> bool {
    cell == "-" || (!cell.is_empty() && cell.bytes().all(|b| b.is_ascii_digit() || b == b','))
}

/// Names and values, one pair a line.
pub fn facts(pairs: &[(&str, String)]) -> String {
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    pairs.iter().map(|(name, value)| format!("{name:<width$}  {}", printable(value))).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_aligns_numbers_right_and_keeps_control_characters_out() {
        let rows = [["a\u{1b}[31m".to_string(), "7".to_string()], ["bcd".to_string(), "1,200".to_string()]];
        assert_eq!(table(["NAME", "TOKENS"], &rows), "NAME    TOKENS\na [31m       7\nbcd      1,200");
        assert_eq!(table(["NAME"], &[]), "NAME");
    }

    #[test]
    fn facts_align_their_values() {
        assert_eq!(facts(&[("left", "5".into()), ("granted", "10\n".into())]), "left     5\ngranted  10 ");
    }

    #[test]
    fn a_complaint_is_one_line_with_its_causes() {
        let error = CliError::Connect(sqlx::Error::Protocol("first\nsecond".into()));
        let line = cause_chain(&error);
        assert!(line.starts_with("the database cannot be reached: ") && !line.contains('\n'), "{line}");
    }
}
