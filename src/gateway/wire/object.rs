//! A JSON object whose fields keep their order and their bytes: read the few we need, replace the few we must.

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use std::marker::PhantomData;

/// Fields in the order they came; a name may stand twice, as it may in JSON.
pub struct RawObject<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for RawObject<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = RawObject<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<RawObject<'de>, M::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry::<String, &'de RawValue>()? {
                    fields.push(field);
                }
                Ok(RawObject(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// An object read into a struct. Left to itself, serde takes an array as well, its items for the fields.
pub struct Fields<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Fields<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
            type Value = Fields<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Fields<T>, M::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Fields)
            }
        }
        deserializer.deserialize_map(Object(PhantomData))
    }
}

impl<'a> RawObject<'a> {
    pub fn parse(bytes: &'a [u8]) -> Option<RawObject<'a>> {
        serde_json::from_slice(bytes).ok()
    }

    /// The field's value; `null` counts as absent, as it does for OpenAI.
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| *value).filter(|value| value.get() != "null")
    }

    pub fn has_twice(&self, name: &str) -> bool {
        self.0.iter().filter(|(field, _)| field == name).count() > 1
    }

    /// Every field that somebody may take for this one, as it is spelled there.
    pub fn spellings(&self, name: &str) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().filter(move |(field, _)| is_spelling(field, name)).map(|(field, value)| (field.as_str(), *value))
    }

    /// The object again, with what another one says instead or besides; what is null there says nothing.
    pub fn overlaid(&self, later: &RawObject<'_>) -> Vec<u8> {
        let said = later.0.iter().filter(|(_, value)| value.get() != "null");
        self.rewrite(&said.map(|(name, value)| (name.as_str(), value.get().to_string())).collect::<Vec<_>>())
    }

    /// The object again, with `replacements` in the places of the fields they name, and at the end where there is none. An empty
    /// replacement drops the field.
    pub fn rewrite(&self, replacements: &[(&str, String)]) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.0.iter().map(|(name, value)| name.len() + value.get().len() + 8).sum::<usize>() + 128);
        out.push(b'{');
        let mut put = |name: &str, value: &str| {
            if value.is_empty() {
                return;
            }
            if out.len() > 1 {
                out.push(b',');
            }
            // A string always serialises.
            out.extend_from_slice(serde_json::to_string(name).unwrap_or_default().as_bytes());
            out.push(b':');
            out.extend_from_slice(value.as_bytes());
        };
        for (name, value) in &self.0 {
            match replacements.iter().find(|(replaced, _)| replaced == name) {
                Some((_, replacement)) => put(name, replacement),
                None => put(name, value.get()),
            }
        }
        for (name, value) in replacements.iter().filter(|(name, _)| !self.0.iter().any(|(field, _)| field == name)) {
            put(name, value);
        }
        out.push(b'}');
        out
    }
}

/// Whether a server written in Go takes `field` for `name`, which is in small ASCII letters: its `encoding/json` ignores case as Unicode
/// folds it, by which two letters beyond ASCII are an s and a k.
pub fn is_spelling(field: &str, name: &str) -> bool {
    let folded = |letter: char| match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        letter => letter.to_ascii_lowercase(),
    };
    field.len() >= name.len() && field.chars().map(folded).eq(name.chars())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(json: &str, replacements: &[(&str, String)]) -> String {
        String::from_utf8(RawObject::parse(json.as_bytes()).expect("object").rewrite(replacements)).expect("UTF-8")
    }

    #[test]
    fn rewrite_keeps_order_and_bytes_of_the_rest() {
        assert_eq!(
            rewritten(r#"{ "b":1.50, "model":"x" ,"a": [1, 2 ], "é\"":null}"#, &[("model", "\"y\"".into()), ("n", "2".into())]),
            r#"{"b":1.50,"model":"y","a":[1, 2 ],"é\"":null,"n":2}"#
        );
        assert_eq!(rewritten(r#"{"a":1,"b":2}"#, &[("a", String::new()), ("c", String::new())]), r#"{"b":2}"#);
        assert_eq!(rewritten("{}", &[]), "{}");
    }

    #[test]
    fn parse_takes_objects_only() {
        for json in ["[]", "1", "\"x\"", "null", "{", r#"{"a":1}x"#, r#"{"a":}"#, "", "\u{feff}{}"] {
            assert!(RawObject::parse(json.as_bytes()).is_none(), "{json:?}");
        }
        assert!(RawObject::parse(b"{\"a\":\"\xff\"}").is_none());
    }

    #[test]
    fn deep_nesting_is_no_stack_overflow() {
        let json = format!("{{\"a\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(RawObject::parse(json.as_bytes()).is_none_or(|object| object.get("a").is_some()));
    }

    #[test]
    fn get_takes_null_for_absent() {
        let object = RawObject::parse(br#"{"a":null,"b":1,"b":2}"#).expect("object");
        assert!(object.get("a").is_none() && object.get("c").is_none());
        assert_eq!(object.get("b").map(RawValue::get), Some("1"));
        assert!(object.has_twice("b") && !object.has_twice("a"));
    }

    #[test]
    fn names_are_spelled_in_every_way_that_go_takes_for_one() {
        for (field, name, is) in [
            ("model", "model", true),
            ("MODEL", "model", true),
            ("mOdEl", "model", true),
            ("max_to\u{212a}ens", "max_tokens", true),
            ("max_token\u{17f}", "max_tokens", true),
            ("models", "model", false),
            ("mode", "model", false),
            ("model ", "model", false),
            ("m\u{f6}del", "model", false),
            ("", "model", false),
        ] {
            assert_eq!(is_spelling(field, name), is, "{field:?}");
        }
        let object = RawObject::parse(br#"{"N":1,"x":2,"n":3,"\u004e":null}"#).expect("object");
        let spelled: Vec<_> = object.spellings("n").map(|(field, value)| (field, value.get())).collect();
        assert_eq!(spelled, [("N", "1"), ("n", "3"), ("N", "null")]);
    }
}
