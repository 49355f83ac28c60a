//! Objects in the answers of suppliers, of which we read a few fields. Answers were paid for and are passed on as they came: what is in a
//! form that we do not know counts for nothing, and makes nothing else unreadable.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// What a field may hold.
pub trait Lenient<'de>: Sized {
    fn read(raw: &'de RawValue) -> Option<Self>;
}

impl<'de: 'a, 'a> Lenient<'de> for &'a RawValue {
    fn read(raw: &'de RawValue) -> Option<Self> {
        Some(raw)
    }
}

impl<'de, T: Deserialize<'de>> Lenient<'de> for Vec<T> {
    fn read(raw: &'de RawValue) -> Option<Self> {
        serde_json::from_str(raw.get()).ok()
    }
}

impl Lenient<'_> for String {
    fn read(raw: &RawValue) -> Option<Self> {
        serde_json::from_str(raw.get()).ok()
    }
}

impl Lenient<'_> for i64 {
    fn read(raw: &RawValue) -> Option<Self> {
        serde_json::from_str(raw.get()).ok()
    }
}

/// Structs of options that are read from JSON objects, `name => field: type`. Where a name stands twice, the last that can be read counts:
/// so the parsers of most callers have it.
macro_rules! lenient {
    ($($(#[$meta:meta])* struct $object:ident<$lt:lifetime $(, $param:ident)?> {
        $($(#[$of_field:meta])* $name:literal => $field:ident: $type:ty,)+
    })+) => { $(
        $(#[$meta])*
        struct $object<$lt $(, $param)?> {
            $($(#[$of_field])* $field: Option<$type>,)+
        }

        impl<'de: $lt, $lt $(, $param: ::serde::Deserialize<'de>)?> ::serde::Deserialize<'de> for $object<$lt $(, $param)?> {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                use $crate::gateway::wire::lenient::{Lenient, for_each_field};
                let mut object = Self { $($field: None),+ };
                for_each_field(deserializer, |name, raw| match name {
                    $($name => object.$field = Lenient::read(raw).or(object.$field.take()),)+
                    _ => {}
                })?;
                Ok(object)
            }
        }

        impl<'de: $lt, $lt $(, $param: ::serde::Deserialize<'de>)?> $crate::gateway::wire::lenient::Lenient<'de>
            for $object<$lt $(, $param)?>
        {
            fn read(raw: &'de ::serde_json::value::RawValue) -> Option<Self> {
                ::serde_json::from_str(raw.get()).ok()
            }
        }
    )+ };
}
pub(crate) use lenient;

/// Calls with each field of an object that is not null.
pub fn for_each_field<'de, D: Deserializer<'de>>(deserializer: D, field: impl FnMut(&str, &'de RawValue)) -> Result<(), D::Error> {
    #[derive(serde::Deserialize)]
    struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

    struct Fields<F>(F);
    impl<'de, F: FnMut(&str, &'de RawValue)> Visitor<'de> for Fields<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON object")
        }

        fn visit_map<M: MapAccess<'de>>(mut self, mut map: M) -> Result<(), M::Error> {
            while let Some((Name(name), raw)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
                if raw.get() != "null" {
                    (self.0)(&name, raw);
                }
            }
            Ok(())
        }
    }
    deserializer.deserialize_map(Fields(field))
}

#[cfg(test)]
mod tests {
    use super::*;

    lenient! {
        struct Outer<'a> {
            "type" => kind: String,
            "count" => count: i64,
            "raw" => raw: &'a RawValue,
            "inner" => inner: Inner<'a>,
            "list" => list: Vec<Inner<'a>>,
        }

        struct Inner<'a> {
            "text" => text: &'a RawValue,
        }
    }

    fn read(json: &str) -> Outer<'_> {
        serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"))
    }

    fn text<'a>(inner: &Inner<'a>) -> &'a str {
        inner.text.map_or("none", RawValue::get)
    }

    #[test]
    fn what_cannot_be_read_takes_nothing_else_with_it() {
        let outer = read(r#"{"x":{},"type":7,"count":1.5,"raw":[1, 2],"inner":[],"list":[{"text":"a"},{"text":null},{}],"\u0063ount":3}"#);
        assert_eq!((outer.kind, outer.count, outer.raw.map(RawValue::get)), (None, Some(3), Some("[1, 2]")));
        assert!(outer.inner.is_none());
        assert_eq!(outer.list.iter().flatten().map(text).collect::<Vec<_>>(), [r#""a""#, "none", "none"]);
        assert!(read(r#"{"list":[{"text":"a"},7]}"#).list.is_none());
    }

    #[test]
    fn the_last_of_a_name_counts_that_can_be_read() {
        let outer = read(r#"{"type":"a","raw":null,"type":"b","raw":1,"inner":{"text":1,"text":2},"type":null,"raw":2,"type":[]}"#);
        assert_eq!((outer.kind.as_deref(), outer.raw.map(RawValue::get)), (Some("b"), Some("2")));
        assert_eq!(outer.inner.as_ref().map(text), Some("2"));
    }

    #[test]
    fn only_objects_are_read() {
        for json in ["", "[]", "7", "null", r#""type""#, "{", r#"{"type":"#, r#"{"type":"a"}x"#] {
            assert!(serde_json::from_str::<Outer<'_>>(json).is_err(), "{json}");
        }
    }
}
