//! From Markdown to what a page shows. Code becomes snippets, headings can be linked to, tables can become cards on phones, and HTML in
//! a text is shown as it is written: none gets through.

use crate::docs::types::Reader;
use crate::html::escaped;
use pulldown_cmark::{CodeBlockKind, CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

/// A text, taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Article {
    pub title: String,
    /// The first paragraph, without its markup: what search engines show.
    pub description: String,
    pub sections: Vec<Section>,
    pub blocks: Vec<Block>,
}

/// A heading below the title, and the anchor that leads there.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Section {
    pub anchor: String,
    pub title: String,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Block {
    Html(String),
    Snippet(Snippet),
}

/// A block of code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snippet {
    pub language: String,
    /// How `tests/docs` tries it out: `run`, or the application whose settings these are. Empty = not at all.
    pub check: String,
    pub code: String,
}

pub const OPTIONS: Options = Options::ENABLE_TABLES.union(Options::ENABLE_HEADING_ATTRIBUTES);

/// Takes a text apart, its code filled for the reader.
pub fn article(text: &str, reader: &Reader) -> Article {
    let mut writer = Writer::new(reader);
    for event in Parser::new_ext(text, OPTIONS) {
        writer.take(event);
    }
    writer.end_stretch();
    writer.article
}

/// Its title and description alone, which stand at its beginning: a list of texts reads none of them to the end.
pub fn beginning(text: &str, reader: &Reader) -> Article {
    let mut writer = Writer::new(reader);
    for event in Parser::new_ext(text, OPTIONS) {
        writer.take(event);
        if !writer.article.description.is_empty() {
            break;
        }
    }
    writer.article
}

struct Writer<'a> {
    reader: &'a Reader,
    article: Article,
    /// What goes into the next [`Block::Html`].
    stretch: Vec<Event<'a>>,
    /// The words of what is being read, where they are needed once more.
    noted: Option<String>,
    snippet: Option<Snippet>,
    table: Option<Table>,
}

#[derive(Default)]
struct Table {
    /// The words of the head, column by column.
    head: Vec<String>,
    /// The column that comes next.
    column: usize,
}

impl<'a> Writer<'a> {
    fn new(reader: &'a Reader) -> Writer<'a> {
        Writer { reader, article: Article::default(), stretch: Vec::new(), noted: None, snippet: None, table: None }
    }

    fn take(&mut self, event: Event<'a>) {
        match event {
            Event::Text(text) | Event::Html(text) | Event::InlineHtml(text) => self.words(text),
            Event::Code(code) => {
                let code = self.reader.fill(&code);
                self.note(&code);
                self.stretch.push(Event::Code(code.into()));
            }
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::SoftBreak => {
                self.note(" ");
                self.stretch.push(event);
            }
            event => self.stretch.push(event),
        }
    }

    fn words(&mut self, text: CowStr<'a>) {
        if let Some(snippet) = &mut self.snippet {
            return snippet.code.push_str(&text);
        }
        self.note(&text);
        self.stretch.push(Event::Text(text));
    }

    fn note(&mut self, words: &str) {
        if let Some(noted) = &mut self.noted {
            noted.push_str(words);
        }
    }

    fn start(&mut self, tag: Tag<'a>) {
        match tag {
            Tag::Heading { level, id, .. } => {
                self.noted = Some(String::new());
                if level != HeadingLevel::H1 {
                    let anchor = id.map(|id| escaped(&id)).unwrap_or_default();
                    self.html(format!(r##"<{level} id="{anchor}"><a class="docs-anchor" href="#{anchor}">"##));
                    self.article.sections.push(Section { anchor, title: String::new() });
                }
            }
            Tag::Paragraph => {
                if self.article.description.is_empty() {
                    self.noted = Some(String::new());
                }
                self.stretch.push(Event::Start(tag));
            }
            Tag::CodeBlock(kind) => {
                self.end_stretch();
                let info = if let CodeBlockKind::Fenced(info) = kind { info } else { CowStr::Borrowed("") };
                let (language, check) = info.split_once(' ').unwrap_or((&info, ""));
                self.snippet = Some(Snippet { language: language.into(), check: check.into(), code: String::new() });
            }
            Tag::Table(_) => {
                self.table = Some(Table::default());
                self.html(r#"<div class="table-wrap"><table>"#);
            }
            Tag::TableHead => self.html("<thead><tr>"),
            Tag::TableRow => {
                if let Some(table) = &mut self.table {
                    table.column = 0;
                }
                self.html("<tr>");
            }
            Tag::TableCell => self.start_cell(),
            tag => self.stretch.push(Event::Start(tag)),
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(level) => {
                let title = self.noted.take().unwrap_or_default();
                if level == HeadingLevel::H1 {
                    self.stretch.clear();
                    self.article.title = title;
                    return;
                }
                self.html(format!("</a></{level}>"));
                if let Some(section) = self.article.sections.last_mut() {
                    section.title = title;
                }
            }
            TagEnd::Paragraph => {
                self.stretch.push(Event::End(tag));
                if let Some(noted) = self.noted.take() {
                    self.article.description = noted;
                }
            }
            TagEnd::CodeBlock => {
                if let Some(snippet) = self.snippet.take() {
                    let code = self.reader.fill(snippet.code.trim_end());
                    self.article.blocks.push(Block::Snippet(Snippet { code, ..snippet }));
                }
            }
            TagEnd::Table => {
                self.table = None;
                self.html("</tbody></table></div>");
            }
            TagEnd::TableHead => self.html("</tr></thead><tbody>"),
            TagEnd::TableRow => self.html("</tr>"),
            TagEnd::TableCell => self.end_cell(),
            tag => self.stretch.push(Event::End(tag)),
        }
    }

    /// A cell of the body carries the name of its column, for when it is a line of a card.
    fn start_cell(&mut self) {
        let name = self.table.as_mut().and_then(|table| {
            table.column += 1;
            table.head.get(table.column - 1)
        });
        match name.map(|name| escaped(name)) {
            Some(name) => self.html(format!(r#"<td data-label="{name}">"#)),
            None => {
                self.noted = Some(String::new());
                self.html(r#"<th scope="col">"#);
            }
        }
    }

    fn end_cell(&mut self) {
        match (self.noted.take(), &mut self.table) {
            (Some(name), Some(table)) => {
                table.head.push(name);
                self.html("</th>");
            }
            _ => self.html("</td>"),
        }
    }

    fn html(&mut self, html: impl Into<CowStr<'a>>) {
        self.stretch.push(Event::InlineHtml(html.into()));
    }

    fn end_stretch(&mut self) {
        if !self.stretch.is_empty() {
            let mut text = String::new();
            html::push_html(&mut text, self.stretch.drain(..));
            self.article.blocks.push(Block::Html(text));
        }
    }
}

/// For text that stands in HTML, in an attribute too.
#[cfg(test)]
mod tests {
    use super::*;

    fn reader() -> Reader {
        Reader { server_url: "https://toki.example".into(), model_id: Some("alpha/<one>".into()) }
    }

    #[test]
    fn a_text_is_taken_apart() {
        let text = "# Title\n\nFirst `{{model}}`\n*words*.\n\n## A `b` {#a}\n\n```sh run\ncurl {{base_url}}\n\nend\n```\n\nRest.\n";
        let article = article(text, &reader());
        assert_eq!((article.title.as_str(), article.description.as_str()), ("Title", "First alpha/<one> words."));
        assert_eq!(article.sections, [Section { anchor: "a".into(), title: "A b".into() }]);
        let snippet = Snippet { language: "sh".into(), check: "run".into(), code: "curl https://toki.example/v1\n\nend".into() };
        let html = "<p>First <code>alpha/&lt;one&gt;</code>\n<em>words</em>.</p>\n\
                    <h2 id=\"a\"><a class=\"docs-anchor\" href=\"#a\">A <code>b</code></a></h2>";
        assert_eq!(article.blocks, [Block::Html(html.into()), Block::Snippet(snippet), Block::Html("<p>Rest.</p>\n".into()),]);
    }

    #[test]
    fn html_in_a_text_is_shown_and_does_nothing() {
        for text in ["a <script>b</script>", "<script>\nb\n</script>\n", "a <img src=x onerror=b> c"] {
            let article = article(text, &reader());
            let [Block::Html(html)] = article.blocks.as_slice() else { panic!("{:?}", article.blocks) };
            assert!(html.contains("&lt;") && !html.contains("<script") && !html.contains("<img"), "{html}");
        }
    }

    #[test]
    fn cells_know_their_columns() {
        let article = article("| One \"1\" | Two |\n| --- | --- |\n| a | b |\n| c | |\n", &reader());
        let html = r#"<div class="table-wrap"><table><thead><tr><th scope="col">One "1"</th><th scope="col">Two</th></tr></thead>"#
            .to_string()
            + r#"<tbody><tr><td data-label="One &quot;1&quot;">a</td><td data-label="Two">b</td></tr>"#
            + r#"<tr><td data-label="One &quot;1&quot;">c</td><td data-label="Two"></td></tr></tbody></table></div>"#;
        assert_eq!(article.blocks, [Block::Html(html)]);
    }
}
