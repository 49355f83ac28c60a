//! Objects in the answers of suppliers, of which we read a few fields. Answers were paid for and are passed on as they came: a field in a
//! form that we do not know counts for nothing, a list of which one item is so as well, and makes no other unreadable.

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// What a field may hold.
pub trait Lenient<'de>: Deserialize<'de> {
    fn read(raw: &'de RawValue) -> Option<Self> {
        serde_json::from_str(raw.get()).ok()
    }
}

impl Lenient<'_> for String {}
impl Lenient<'_> for i64 {}
impl<'de, T: Deserialize<'de>> Lenient<'de> for Vec<T> {}
impl<'de: 'a, 'a> Lenient<'de> for &'a RawValue {
    fn read(raw: &'de RawValue) -> Option<Self> {
        Some(raw)
    }
}

/// Structs of options that are read from JSON objects, `"name" => field: type`. Where a name stands twice, the last that can be read
/// counts; null says nothing, and takes nothing back.
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
                for_each_field(deserializer, &[$($name),+], |name, raw| match name {
                    $($name => if let Some(value) = Lenient::read(raw) {
                        object.$field = Some(value);
                    },)+
                    _ => {}
                })?;
                Ok(object)
            }
        }

        impl<'de: $lt, $lt $(, $param: ::serde::Deserialize<'de>)?> $crate::gateway::wire::lenient::Lenient<'de>
            for $object<$lt $(, $param)?> {}
    )+ };
}
pub(crate) use lenient;

/// Of two fields that stand for the same, what is said: some send the other empty, or the same again.
pub fn longer<'a>(one: Option<&'a RawValue>, other: Option<&'a RawValue>) -> Option<&'a RawValue> {
    one.into_iter().chain(other).max_by_key(|raw| raw.get().len())
}

/// Calls with each field of an object that has one of these names and is not null.
pub fn for_each_field<'de, D: Deserializer<'de>>(
    deserializer: D,
    names: &[&str],
    field: impl FnMut(&str, &'de RawValue),
) -> Result<(), D::Error> {
    #[derive(serde::Deserialize)]
    struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

    struct Fields<'a, F>(&'a [&'a str], F);
    impl<'de, F: FnMut(&str, &'de RawValue)> Visitor<'de> for Fields<'_, F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON object")
        }

        fn visit_map<M: MapAccess<'de>>(mut self, mut map: M) -> Result<(), M::Error> {
            while let Some(Name(name)) = map.next_key::<Name<'de>>()? {
                if !self.0.contains(&&*name) {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
                let raw = map.next_value::<&'de RawValue>()?;
                if raw.get() != "null" {
                    (self.1)(&name, raw);
                }
            }
            Ok(())
        }
    }
    deserializer.deserialize_map(Fields(names, field))
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
        // What is not even text, where we do not look.
        let outer: Outer<'_> = serde_json::from_slice(b"{\"x\":\"\xff\",\"count\":3}").expect("an object");
        assert_eq!(outer.count, Some(3));
    }

    #[test]
    fn the_last_of_a_name_counts_that_can_be_read() {
        let outer = read(r#"{"type":"a","raw":null,"type":"b","raw":1,"inner":{"text":1,"text":2},"type":null,"raw":2,"type":[]}"#);
        assert_eq!((outer.kind.as_deref(), outer.raw.map(RawValue::get)), (Some("b"), Some("2")));
        assert_eq!(outer.inner.as_ref().map(text), Some("2"));
    }

    #[test]
    fn of_two_that_stand_for_the_same_one_is_said() {
        let raw = |json: &str| RawValue::from_string(json.to_string()).expect("JSON");
        let (empty, some) = (raw(r#""""#), raw(r#""{}""#));
        for (one, other) in [(Some(&some), None), (None, Some(&some)), (Some(&empty), Some(&some)), (Some(&some), Some(&some))] {
            assert_eq!(longer(one.map(|raw| &**raw), other.map(|raw| &**raw)).map(RawValue::get), Some(some.get()));
        }
        assert!(longer(None, None).is_none());
    }

    #[test]
    fn only_objects_are_read() {
        for json in ["", "[]", "7", "null", r#""type""#, "{", r#"{"type":"#, r#"{"type":"a"}x"#] {
            assert!(serde_json::from_str::<Outer<'_>>(json).is_err(), "{json}");
        }
    }
}
