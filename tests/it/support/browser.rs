//! A browser without JavaScript: keeps its cookie, posts forms as they stand on a page, follows a redirect only when told to.

use crate::support::app::{PASSWORD, TestApp};
use crate::support::client::http;
use futures::{Stream, StreamExt};
use reqwest::header::{ACCEPT, COOKIE, LOCATION, REFERER, SET_COOKIE};
use std::sync::{Arc, Mutex};
use toki::accounts::store::NewAccount;
use toki::islands::IN_PART;

pub struct Browser {
    base: String,
    cookie: Mutex<Option<String>>,
    /// Kept when the session ends.
    device: Mutex<Option<String>>,
    /// Where every answer is noted.
    log: Option<PageLog>,
}

/// What browsers were answered, the oldest first: what they asked for, and where the answer leads and what it says.
pub type PageLog = Arc<Mutex<Vec<(String, String)>>>;

pub struct Page {
    pub status: u16,
    /// Where the answer sends the browser; empty = nowhere.
    pub location: String,
    pub html: String,
}

/// A form of a page: where it posts to, and what it sends.
#[derive(Clone, Debug)]
pub struct Form {
    pub action: String,
    pub fields: Vec<(String, String)>,
}

impl Browser {
    /// The server-sent events of an address, as they come; or the status that refuses them.
    pub async fn events(&self, path: &str) -> Result<impl Stream<Item = String> + Unpin, u16> {
        let cookie = self.cookie.lock().expect("cookie").clone().unwrap_or_default();
        let response = http().get(format!("{}{path}", self.base)).header(COOKIE, cookie).send().await.expect("an answer");
        if response.status() != 200 {
            return Err(response.status().as_u16());
        }
        // One event comes in one piece: they are small, and sent one by one.
        Ok(Box::pin(response.bytes_stream().map(|bytes| String::from_utf8_lossy(&bytes.expect("a piece")).into_owned())))
    }
}

impl TestApp {
    pub fn browser(&self) -> Browser {
        Browser::at(&format!("http://{}", self.addr))
    }

    /// A browser that sends this cookie, wherever it has it from.
    pub fn browser_with_cookie(&self, cookie: &str) -> Browser {
        Browser { cookie: Mutex::new(Some(cookie.to_string())), ..self.browser() }
    }

    /// A browser of a customer whom the test made.
    pub async fn browser_of(&self, account: &NewAccount) -> Browser {
        let email: String = sqlx::query_scalar("SELECT email FROM users WHERE user_id = $1")
            .bind(account.user_id.0)
            .fetch_one(&self.state.db)
            .await
            .expect("the customer");
        let browser = self.browser();
        let fields = [("email", email.as_str()), ("password", PASSWORD), ("next", "")];
        let answer = browser.post("/api/accounts/sign_in", "/sign-in", &fields).await;
        assert_eq!(answer.status, 302, "{}", answer.html);
        browser
    }

    /// A browser whose user has just signed up.
    pub async fn signed_up(&self, email: &str) -> Browser {
        let browser = self.browser();
        let fields = [("email", email), ("password", PASSWORD), ("next", "")];
        let answer = browser.post("/api/accounts/sign_up", "/sign-up", &fields).await;
        assert_eq!(answer.status, 302, "{}", answer.html);
        browser
    }
}

impl Browser {
    /// One that visits the server at this address.
    pub fn at(base: &str) -> Browser {
        Browser { base: base.to_string(), cookie: Mutex::new(None), device: Mutex::new(None), log: None }
    }

    /// One whose answers are noted, beside those of others.
    pub fn logged(base: &str, log: PageLog) -> Browser {
        Browser { log: Some(log), ..Browser::at(base) }
    }

    /// The session's cookie, as it is sent.
    #[track_caller]
    pub fn cookie(&self) -> String {
        self.cookie.lock().expect("cookie").clone().expect("a session")
    }

    pub async fn get(&self, path: &str) -> Page {
        self.send(path, http().get(self.url(path)).header(ACCEPT, "text/html")).await
    }

    /// The page as a script asks for it that keeps only a part.
    pub async fn get_part(&self, path: &str) -> Page {
        self.send(path, http().get(self.url(path)).header(ACCEPT, "text/html").header(IN_PART, "1")).await
    }

    pub async fn head(&self, path: &str) -> Page {
        self.send(path, http().head(self.url(path)).header(ACCEPT, "text/html")).await
    }

    pub async fn post(&self, path: &str, from: &str, fields: &[(&str, &str)]) -> Page {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = http()
            .post(self.url(path))
            .header(ACCEPT, "text/html")
            .header(REFERER, self.url(from))
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body);
        self.send(path, request).await
    }

    pub async fn submit(&self, form: &Form, from: &str) -> Page {
        let fields: Vec<_> = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.post(&form.action, from, &fields).await
    }

    /// Goes where an answer leads.
    pub async fn follow(&self, page: &Page) -> Page {
        self.get(self.path_of(page)).await
    }

    /// Where a redirect leads, as a path of ours. (Leptos leaves a bare `?` on the page a form goes back to.)
    pub fn path_of<'a>(&self, page: &'a Page) -> &'a str {
        page.location.strip_prefix(&self.base).unwrap_or(&page.location).trim_end_matches('?')
    }

    fn url(&self, path: &str) -> String {
        if path.starts_with("http") { path.to_string() } else { format!("{}{path}", self.base) }
    }

    async fn send(&self, path: &str, mut request: reqwest::RequestBuilder) -> Page {
        for kept in [&self.cookie, &self.device] {
            if let Some(cookie) = kept.lock().expect("cookie").clone() {
                request = request.header(COOKIE, cookie);
            }
        }
        let response = request.send().await.expect("an answer");
        for cookie in response.headers().get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok()) {
            let kept = if cookie.starts_with("device=") { &self.device } else { &self.cookie };
            *kept.lock().expect("cookie") = cookie.split(';').next().map(str::to_string);
        }
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default().to_string();
        let page = Page { status: response.status().as_u16(), location, html: response.text().await.expect("a whole body") };
        if let Some(log) = &self.log {
            log.lock().expect("log").push((path.to_string(), format!("{} {}", page.location, page.html)));
        }
        page
    }
}

impl Page {
    /// The form that posts to this path.
    #[track_caller]
    pub fn form(&self, action: &str) -> Form {
        self.find_form(action).unwrap_or_else(|| panic!("no form for {action} in {}", self.html))
    }

    /// The value of the first hidden field of this name.
    #[track_caller]
    pub fn hidden(&self, name: &str) -> String {
        let tag = self.html.split("<input").find(|tag| tag.split('>').next().is_some_and(|tag| tag.contains(&format!("name=\"{name}\""))));
        let value = tag.and_then(|tag| tag.split("value=\"").nth(1)).unwrap_or_else(|| panic!("no {name} in {}", self.html));
        value.split('"').next().unwrap_or_default().to_string()
    }

    pub fn find_form(&self, action: &str) -> Option<Form> {
        let form = self.html.split("<form").skip(1).find(|form| form.contains(&format!("action=\"{action}\"")))?;
        let form = form.split("</form>").next()?;
        let attribute = |tag: &str, name: &str| Some(tag.split(&format!("{name}=\"")).nth(1)?.split('"').next()?.to_string());
        // Of radio buttons, the one that is on.
        let is_sent = |tag: &&str| !tag.contains(r#"type="radio""#) || tag.contains("checked");
        let inputs = form.split("<input").skip(1).filter_map(|tag| tag.split('>').next()).filter(is_sent);
        let fields = inputs.filter_map(|tag| Some((attribute(tag, "name")?, attribute(tag, "value").unwrap_or_default()))).collect();
        Some(Form { action: action.to_string(), fields })
    }

    /// Ids that more than one thing on the page has.
    pub fn ids_twice(&self) -> Vec<&str> {
        let mut ids: Vec<_> = self.html.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        ids.sort_unstable();
        ids.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect()
    }

    /// Hints below fields that no field is described by, so that nobody is read them.
    pub fn unread_hints(&self) -> Vec<&str> {
        let values = |attribute: &'static str| self.html.split(attribute).skip(1).filter_map(|rest| rest.split('"').next());
        let read: Vec<_> = values(" aria-describedby=\"").flat_map(str::split_whitespace).collect();
        values(" id=\"").filter(|id| id.ends_with("-hint") && !read.contains(id)).collect()
    }

    /// What is marked as invalid: the names of fields, and of tags that are none.
    pub fn marked_invalid(&self) -> Vec<&str> {
        let tags = self.html.split('<').filter_map(|tag| tag.split('>').next());
        let wrong = tags.filter(|tag| tag.contains(" aria-invalid=\"true\""));
        wrong.map(|tag| tag.split(" name=\"").nth(1).unwrap_or(tag).split(['"', ' ']).next().unwrap_or_default()).collect()
    }

    /// As [`Page::text`], without the data that the page's script is given.
    pub fn words(&self) -> String {
        self.text().split(" __RESOLVED_RESOURCES").next().unwrap_or_default().to_string()
    }

    /// What a person reads: the text of the page, tags and markers removed, white space as one space.
    pub fn text(&self) -> String {
        let body = self.html.split("<main").nth(1).unwrap_or(&self.html);
        let mut text = String::new();
        let mut inside = true;
        for c in body.chars() {
            match c {
                '<' => inside = true,
                '>' if inside => {
                    inside = false;
                    text.push(' ');
                }
                c if !inside => text.push(c),
                _ => {}
            }
        }
        // Quotes need not be escaped where no attribute ends with one, and some are.
        text.split_whitespace().collect::<Vec<_>>().join(" ").replace("&quot;", "\"")
    }
}

impl Form {
    /// The form with one field changed, as somebody might who edits a page.
    pub fn with(&self, name: &str, value: &str) -> Form {
        let mut form = self.clone();
        for field in form.fields.iter_mut().filter(|field| field.0 == name) {
            field.1 = value.to_string();
        }
        form
    }
}
