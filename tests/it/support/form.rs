//! Forms as they stand on a page, posted as they are or as somebody changed them; and a page as somebody reads it.

use crate::support::app::TestApp;
use crate::support::browser::{Browser, Page};

/// A form of a page: where it posts to, and its fields.
#[derive(Clone, Debug)]
pub struct Form {
    pub action: String,
    pub fields: Vec<(String, String)>,
}

impl Form {
    /// The form with one field changed.
    pub fn with(&self, name: &str, value: &str) -> Form {
        let mut form = self.clone();
        for field in form.fields.iter_mut().filter(|field| field.0 == name) {
            field.1 = value.to_string();
        }
        form
    }
}

impl TestApp {
    /// The browser of a new customer without Tokens.
    pub async fn signed_up(&self, email: &str) -> Browser {
        let account = self.customer(email, 0).await;
        self.browser(&account).await
    }
}

impl Browser {
    /// Posts a form of the page `on`.
    pub async fn submit(&self, on: &str, form: &Form) -> Page {
        let fields: Vec<_> = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.post(on, &form.action, &fields).await
    }

    /// Goes where an answer leads.
    pub async fn follow(&self, page: &Page) -> Page {
        self.get(self.path_of(page)).await
    }
}

impl Page {
    /// The form that posts to this path.
    #[track_caller]
    pub fn form(&self, action: &str) -> Form {
        self.find_form(action).unwrap_or_else(|| panic!("no form for {action} in {}", self.html))
    }

    pub fn find_form(&self, action: &str) -> Option<Form> {
        let form = self.html.split("<form").skip(1).find(|form| form.contains(&format!("action=\"{action}\"")))?;
        let form = form.split("</form>").next()?;
        let attribute = |tag: &str, name: &str| Some(tag.split(&format!("{name}=\"")).nth(1)?.split('"').next()?.to_string());
        let inputs = form.split("<input").skip(1).filter_map(|tag| tag.split('>').next());
        let fields = inputs.filter_map(|tag| Some((attribute(tag, "name")?, attribute(tag, "value").unwrap_or_default()))).collect();
        Some(Form { action: action.to_string(), fields })
    }

    /// The text of the page's main part, white space as one space.
    pub fn words(&self) -> String {
        let main = self.html.split("<main").nth(1).unwrap_or_default();
        let texts = main.split('<').filter_map(|tag| tag.split_once('>')).map(|(_, text)| text);
        texts.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
    }
}
