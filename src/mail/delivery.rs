//! Hands a mail to a mail server, or, where none is configured in development, to a folder.

use crate::ids::MailId;
use crate::mail::letter;
use crate::mail::outbox::Taken;
use lettre::message::header::{ContentTransferEncoding, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, Message, MultiPart};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

/// For one mail as a whole: connecting, signing in, sending.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where mail goes.
#[derive(Clone)]
pub enum Delivery {
    Smtp {
        server: AsyncSmtpTransport<Tokio1Executor>,
        from: Mailbox,
    },
    /// `.eml` files, for people who develop.
    Folder {
        path: PathBuf,
        from: Mailbox,
    },
    /// No mail server is configured: letters wait until one is, or until they are worth nothing.
    Nowhere,
}

/// Why a mail was not delivered.
#[derive(Debug, PartialEq, Eq)]
pub enum Undelivered {
    /// The server may take it another time.
    Yet(String),
    /// Nobody will ever take it.
    Ever(String),
}

impl Delivery {
    /// Whether people get what is sent to them.
    pub fn reaches_people(&self) -> bool {
        matches!(self, Delivery::Smtp { .. })
    }

    pub async fn deliver(&self, mail: &Taken) -> Result<(), Undelivered> {
        match self {
            Delivery::Nowhere => Err(Undelivered::Yet("SMTP_URL is not set".into())),
            Delivery::Folder { path, from } => {
                let message = composed(mail, from)?;
                write(path.clone(), mail.mail_id, message.formatted()).await.map_err(|error| Undelivered::Yet(error.to_string()))
            }
            Delivery::Smtp { server, from } => {
                let message = composed(mail, from)?;
                match tokio::time::timeout(PATIENCE, server.send(message)).await {
                    Ok(Ok(_)) => Ok(()),
                    // 5xx is what the server says of this mail; but not of a sign-in that it refuses (535), which is about us.
                    Ok(Err(error)) if error.is_permanent() && !is_about_us(&error) => Err(Undelivered::Ever(chain(&error))),
                    Ok(Err(error)) => Err(Undelivered::Yet(chain(&error))),
                    Err(_) => Err(Undelivered::Yet("the mail server took longer than a minute".into())),
                }
            }
        }
    }
}

/// 500 to 504: a server that speaks otherwise than we do; 530, 534, 535, 538: one that wants us to sign in, or otherwise.
fn is_about_us(error: &lettre::transport::smtp::Error) -> bool {
    error.status().is_some_and(|code| matches!(u16::from(code), 500..=504 | 530 | 534 | 535 | 538))
}

/// The mail as it goes over the wire. Its Message-ID is the row's id, so a second copy is recognised as one.
fn composed(mail: &Taken, from: &Mailbox) -> Result<Message, Undelivered> {
    let never = |error: &(dyn Error + 'static)| Undelivered::Ever(chain(error));
    let Some(letter::Body { text, html }) = mail.body.clone() else {
        // A replica that was given the new key already may have sealed it, and will send it.
        return Err(Undelivered::Yet("it does not open with this TOKI_SECRET_KEY".into()));
    };
    let to: Address = mail.recipient.parse().map_err(|error: lettre::address::AddressError| never(&error))?;
    // RFC 3834: no answering machine is to answer.
    let automatic = HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".into());
    Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to))
        .subject(mail.subject.clone())
        .message_id(Some(format!("<{}@{}>", mail.mail_id, from.email.domain())))
        .raw_header(automatic)
        .multipart(MultiPart::alternative_plain_html(encoded(text), encoded(html)))
        .map_err(|error| never(&error))
}

/// Words of ours go as they are, whatever the length of their lines up to what SMTP takes, so that a link can be copied from an `.eml`
/// file. What somebody's address brings along is left to the encoder.
fn encoded(text: String) -> Body {
    const LONGEST_LINE: usize = 900;
    if text.is_ascii() && text.lines().all(|line| line.len() <= LONGEST_LINE) {
        Body::dangerous_pre_encoded(text.replace('\n', "\r\n").into_bytes(), ContentTransferEncoding::SevenBit)
    } else {
        Body::new(text)
    }
}

async fn write(folder: PathBuf, mail_id: MailId, bytes: Vec<u8>) -> std::io::Result<()> {
    let written = tokio::task::spawn_blocking(move || {
        use std::io::Write;
        use std::os::unix::fs::OpenOptionsExt;
        std::fs::create_dir_all(&folder)?;
        let path = folder.join(format!("{mail_id}.eml"));
        let beside = folder.join(format!("{mail_id}.part"));
        // Links in it sign people in.
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?.write_all(&bytes)?;
        std::fs::rename(beside, path)
    });
    written.await.map_err(std::io::Error::other)?
}

fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(recipient: &str, body: Option<letter::Body>) -> Taken {
        let (kind, subject) = ("test".to_string(), "Hello".to_string());
        Taken { mail_id: MailId::generate(), recipient: recipient.into(), kind, subject, attempts: 1, body }
    }

    fn body() -> Option<letter::Body> {
        let text = format!("See https://toki.example/a?b={}\n", "c".repeat(100));
        Some(letter::Body { text, html: "<p>See</p>\n".into() })
    }

    #[tokio::test]
    async fn a_folder_gets_a_whole_message_whose_id_is_the_rows() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let from = "TOKI <toki@toki.example>".parse().expect("a mailbox");
        let delivery = Delivery::Folder { path: folder.path().join("mail"), from };
        let mail = taken("ada@example.com", body());
        delivery.deliver(&mail).await.expect("delivered");
        let file = folder.path().join("mail").join(format!("{}.eml", mail.mail_id));
        let text = std::fs::read_to_string(file).expect("a file");
        for line in [
            format!("Message-ID: <{}@toki.example>", mail.mail_id),
            "To: ada@example.com".into(),
            "Subject: Hello".into(),
            "Auto-Submitted: auto-generated".into(),
            format!("See https://toki.example/a?b={}", "c".repeat(100)),
            "<p>See</p>".into(),
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }

    #[tokio::test]
    async fn what_can_never_be_delivered_says_so() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let from: Mailbox = "toki@toki.example".parse().expect("a mailbox");
        let delivery = Delivery::Folder { path: folder.path().into(), from };
        assert!(matches!(delivery.deliver(&taken("ada@example.com", None)).await, Err(Undelivered::Yet(_))), "another replica has the key");
        assert!(matches!(delivery.deliver(&taken("a da@example.com", body())).await, Err(Undelivered::Ever(_))));
        assert!(matches!(Delivery::Nowhere.deliver(&taken("ada@example.com", body())).await, Err(Undelivered::Yet(_))));
    }
}
