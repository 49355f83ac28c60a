//! The languages of the console. English stands where it is shown, in [`t!`] and [`tv!`]; what says the same in Chinese is found in
//! [`zh`] while compiling, so that a message without one does not build.

mod fill;
mod language;
mod zh;

pub use fill::{Piece, fill, fill_in, pieces};
pub use language::{Language, language, speaking, speaking_on};

/// The Chinese of an English message. For constants only: what is missing there fails the build.
#[expect(clippy::panic, reason = "evaluated while compiling, where it is the build's error")]
pub const fn chinese(english: &str) -> &'static str {
    let mut table = 0;
    while table < zh::TABLES.len() {
        let messages = zh::TABLES[table];
        let mut place = 0;
        while place < messages.len() {
            if same(messages[place].0, english) {
                return messages[place].1;
            }
            place += 1;
        }
        table += 1;
    }
    panic!("a message has no Chinese in src/i18n/zh");
}

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut place = 0;
    while place < a.len() {
        if a[place] != b[place] {
            return false;
        }
        place += 1;
    }
    true
}

/// A message in the reader's language. `t!("Wallet")` is a `&'static str`; with values it is a `String`:
/// `t!("{left} of {tokens}", left = left.exact(), tokens = tokens.exact())`.
#[macro_export]
macro_rules! t {
    ($english:literal) => {{
        const CHINESE: &str = $crate::i18n::chinese($english);
        $crate::i18n::language().choose($english, CHINESE)
    }};
    ($english:literal, $($name:ident = $value:expr),+ $(,)?) => {{
        const CHINESE: &str = $crate::i18n::chinese($english);
        $crate::i18n::fill(
            $crate::i18n::language().choose($english, CHINESE),
            &[$((stringify!($name), &$value as &dyn ::std::fmt::Display)),+],
        )
    }};
}

/// A message in the reader's language with views in it, wherever the language has them:
/// `tv!("Begins anew {time}", time = view! { <UtcTime time /> })`.
#[macro_export]
macro_rules! tv {
    ($english:literal, $($name:ident = $value:expr),+ $(,)?) => {{
        const CHINESE: &str = $crate::i18n::chinese($english);
        $(let mut $name = Some(::leptos::prelude::IntoAny::into_any($value));)+
        $crate::i18n::pieces($crate::i18n::language().choose($english, CHINESE))
            .map(|piece| match piece {
                $($crate::i18n::Piece::Value(name) if name == stringify!($name) => ::leptos::prelude::IntoAny::into_any($name.take()),)+
                $crate::i18n::Piece::Text(text) | $crate::i18n::Piece::Value(text) => ::leptos::prelude::IntoAny::into_any(text),
            })
            .collect::<Vec<_>>()
    }};
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn both_languages_name_the_same_values() {
        let values = |message: &'static str| {
            pieces(message).filter_map(|piece| if let Piece::Value(name) = piece { Some(name) } else { None }).collect::<BTreeSet<_>>()
        };
        for (english, chinese) in zh::TABLES.iter().copied().flatten() {
            assert_eq!(values(english), values(chinese), "{english}");
            assert!(!chinese.is_empty(), "{english}");
        }
    }

    #[test]
    fn no_message_shouts() {
        for (english, chinese) in zh::TABLES.iter().copied().flatten() {
            assert!(!english.ends_with('!') && !chinese.ends_with(['!', '！']), "{english}: {chinese}");
        }
    }

    #[test]
    fn no_message_stands_twice() {
        let mut seen = BTreeSet::new();
        for (english, _) in zh::TABLES.iter().copied().flatten() {
            assert!(seen.insert(*english), "{english}");
        }
    }
}
