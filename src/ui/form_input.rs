//! How the fields of a form reach a server function: URL-encoded (WHATWG URL, section 5), and none but those that it takes. What a form
//! of ours does not have was not sent by it, or by one of an older release: nothing is done rather than half of what was meant.

use bytes::Bytes;
use leptos::server_fn::codec::Post;
use leptos::server_fn::{ContentType, Decodes, Encodes, Format, FormatType};
use serde::Serialize;
use serde::de::{DeserializeOwned, Error};

/// The `input` of every server function that changes something.
pub type Form = Post<Fields>;

/// How deep fields may be nested: `limits[quota]` is two.
const MOST_DEPTH: usize = 5;

pub struct Fields;

impl ContentType for Fields {
    const CONTENT_TYPE: &'static str = "application/x-www-form-urlencoded";
}

impl FormatType for Fields {
    const FORMAT_TYPE: Format = Format::Text;
}

impl<T: Serialize> Encodes<T> for Fields {
    type Error = serde_qs::Error;

    fn encode(fields: &T) -> Result<Bytes, serde_qs::Error> {
        serde_qs::to_string(fields).map(Bytes::from)
    }
}

impl<T: DeserializeOwned> Decodes<T> for Fields {
    type Error = serde_qs::Error;

    fn decode(form: Bytes) -> Result<T, serde_qs::Error> {
        let mut unknown = None;
        // Not strict: browsers encode brackets.
        let fields = serde_qs::Deserializer::with_config(&serde_qs::Config::new(MOST_DEPTH, false), &form)?;
        let known = serde_ignored::deserialize(fields, |field| {
            unknown.get_or_insert_with(|| field.to_string());
        })?;
        unknown.map_or(Ok(known), |field| Err(serde_qs::Error::custom(format!("unknown field `{field}`"))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Deserialize, Serialize)]
    struct Typed {
        name: String,
        #[serde(default)]
        limits: Limits,
    }

    #[derive(Debug, Default, PartialEq, Deserialize, Serialize)]
    struct Limits {
        #[serde(default)]
        quota: String,
    }

    fn read(form: &str) -> Result<Typed, String> {
        Fields::decode(Bytes::copy_from_slice(form.as_bytes())).map_err(|error| error.to_string())
    }

    #[test]
    fn fields_of_the_form_are_read_and_those_left_out_are_empty() {
        let limits = || Limits { quota: "1,000".into() };
        assert_eq!(read("name=a+b%26c&limits[quota]=1%2C000"), Ok(Typed { name: "a b&c".into(), limits: limits() }));
        assert_eq!(read("name=&limits%5Bquota%5D=1%2C000"), Ok(Typed { name: String::new(), limits: limits() }));
        assert_eq!(read("name="), Ok(Typed { name: String::new(), limits: Limits::default() }));
        assert!(read("limits[quota]=1").is_err(), "a name is needed");
    }

    #[test]
    fn fields_that_the_form_does_not_have_are_refused() {
        for (form, field) in [("name=a&role=owner", "role"), ("name=a&limits[left]=1", "limits.left"), ("role[a][b]=1&name=a", "role")] {
            assert!(read(form).is_err_and(|error| error.contains(&format!("`{field}`"))), "{form}: {:?}", read(form));
        }
        assert!(read("name=a&name=b").is_err(), "one field twice");
        assert!(read(&format!("name=a&limits{}=1", "[a]".repeat(50))).is_err(), "nested without end");
    }
}
