//! What crosses the wire of the docs.

use serde::{Deserialize, Serialize};

/// What the examples are filled with, so that they run as they are pasted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reader {
    /// Where this server is, without a slash at the end.
    pub server_url: String,
    /// A model that can be called; none = there is none yet.
    pub model_id: Option<String>,
}

impl Reader {
    /// Code as the reader can use it: with their server and a model in the place of `{{…}}`.
    pub fn fill(&self, code: &str) -> String {
        code.replace("{{base_url}}", &format!("{}/v1", self.server_url))
            .replace("{{server_url}}", &self.server_url)
            .replace("{{model}}", self.model_id.as_deref().unwrap_or("vendor/model"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_filled_with_what_the_reader_has() {
        let reader = Reader { server_url: "https://toki.example".into(), model_id: Some("alpha/one".into()) };
        assert_eq!(reader.fill("{{base_url}} {{server_url}} {{model}}"), "https://toki.example/v1 https://toki.example alpha/one");
        // Other braces are the code's own.
        let reader = Reader { model_id: None, ..reader };
        assert_eq!(reader.fill("${{ secrets.TOKI_KEY }} {{model}}"), "${{ secrets.TOKI_KEY }} vendor/model");
    }
}
