//! Messages with values in them: `{name}` stands for one. No braces otherwise.

use std::fmt::{self, Display, Write};

/// A stretch of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    Text(&'static str),
    Value(&'static str),
}

/// A message, piece by piece.
pub fn pieces(message: &'static str) -> impl Iterator<Item = Piece> {
    message.split('}').flat_map(|stretch| {
        let (text, name) = match stretch.split_once('{') {
            Some((text, name)) => (text, Some(name)),
            None => (stretch, None),
        };
        [(!text.is_empty()).then_some(Piece::Text(text)), name.map(Piece::Value)].into_iter().flatten()
    })
}

/// A message with its values. One that is not given stays as its name.
pub fn fill(message: &'static str, values: &[(&str, &dyn Display)]) -> String {
    let mut filled = String::with_capacity(message.len() + 16);
    // Writing to a String does not fail.
    fill_in(&mut filled, message, values).unwrap_or_default();
    filled
}

/// The same, written where it is to stand.
pub fn fill_in(out: &mut impl Write, message: &'static str, values: &[(&str, &dyn Display)]) -> fmt::Result {
    pieces(message).try_for_each(|piece| match piece {
        Piece::Text(text) => out.write_str(text),
        Piece::Value(name) => match values.iter().find(|(given, _)| *given == name) {
            Some((_, value)) => write!(out, "{value}"),
            None => out.write_str(name),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_where_the_message_has_them() {
        assert_eq!(fill("{left} of {all} left", &[("all", &10), ("left", &"7")]), "7 of 10 left");
        assert_eq!(fill("共 {all}，剩 {left}", &[("left", &7), ("all", &10)]), "共 10，剩 7");
        assert_eq!(fill("nothing", &[]), "nothing");
        assert_eq!(fill("{unknown}", &[("known", &1)]), "unknown");
    }

    #[test]
    fn pieces_keep_their_order() {
        assert_eq!(pieces("a {b}{c} d").collect::<Vec<_>>(), [Piece::Text("a "), Piece::Value("b"), Piece::Value("c"), Piece::Text(" d")]);
        assert_eq!(pieces("").count(), 0);
    }
}
