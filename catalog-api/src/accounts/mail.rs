//! Letters: written here, and put into a folder or sent.
//!
//! What asks for a letter is answered before anything is looked up, so that the answer tells nothing of whether there
//! is such an account. The queue is bounded; what is lost with the process can be asked for again. What cannot be handed
//! over waits for its next try beside the queue, and what nobody will ever take is not tried again.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use catalog_store::{CatalogError, Notification, Purpose, User, UserState, Webhook};
use domain::{Clock, NotificationId, Timestamp, UserId, WebhookId};
use lettre::message::header::{ContentType, MIME_VERSION_1_0};
use lettre::message::{Mailbox, Message};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::letters::{self, Words};
use super::retries::{Retries, Task};
use super::{Accounts, secret};
use crate::problem::chain;

/// Letters that wait to be written.
const QUEUE: usize = 256;
/// How long a mail server may take for one letter.
const PATIENCE: Duration = Duration::from_secs(30);
/// What one letter of the week tells.
const DIGEST_NEWS_MAX: u32 = 20;
/// How long a link to a mail address is good.
const VERIFY: Duration = Duration::from_secs(3 * 24 * 3600);
/// How long a link to a new password is good.
const RESET: Duration = Duration::from_secs(3600);
/// What mail servers answer where there is no such mailbox, or none that they write to (RFC 5321 §4.2.3, RFC 7504).
const NO_MAILBOX: [u16; 5] = [550, 551, 553, 555, 556];

/// Where letters go.
#[derive(Clone)]
pub enum MailRoute {
    /// A file each into this folder, where the operator finds them.
    Folder(PathBuf),
    /// To the mail server at this address, such as `smtps://user:password@mail.example.org`.
    Smtp(String),
}

/// What somebody asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Errand {
    /// To show that an address is one's own.
    Verify(UserId),
    /// Somebody registers with an address that has an account.
    Known(UserId),
    /// To write of a notification.
    Tell(NotificationId),
    /// To write what somebody was told between these two and did not read.
    Digest(UserId, (Timestamp, Timestamp)),
    /// To set a new password for the account with this address, if there is one.
    Reset(String),
}

/// Takes errands. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Letterbox(mpsc::Sender<Errand>);

impl Letterbox {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Errand>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self(sender), receiver)
    }

    /// False if too many wait.
    pub(crate) fn put(&self, errand: Errand) -> bool {
        self.0.try_send(errand).is_ok()
    }
}

/// Why letters cannot be sent this way.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MailError {
    /// The sender's address is none.
    #[error("the sender of letters is no mail address")]
    From(#[source] lettre::address::AddressError),
    /// No letter can be written with the sender's address.
    #[error("the sender of letters has an address that cannot be put into one")]
    Sender,
    /// The address of the mail server is none.
    #[error(
        "the address of the mail server is not understood: expected smtps://user:password@host or smtp://host:port"
    )]
    Server,
}

/// Where somebody is written to who does not wait for it: only at an address that is known to be theirs.
fn reached(user: Option<&User>) -> Option<(&str, Words)> {
    let user = user.filter(|user| user.state == UserState::Active && user.is_email_verified)?;
    Some((user.email.as_deref()?, Words::of(user.language.as_deref())))
}

/// The name of the video or the webhook that something is about, as its owner knows it.
async fn subject_of(accounts: &Accounts, news: &Notification) -> Result<Option<String>, CatalogError> {
    let catalog = accounts.catalog();
    if let Some(asset) = news.asset {
        return Ok(catalog.asset(asset).await?.and_then(|asset| asset.title.or(asset.file_name)));
    }
    let Some(Ok(id)) = news.data.get("webhook").and_then(|id| id.as_str()).map(str::parse::<WebhookId>) else {
        return Ok(None);
    };
    // Of its address not the query, which may hold a secret.
    let name = |webhook: Webhook| match webhook.description.is_empty() {
        true => webhook.url.split(['?', '#']).next().unwrap_or_default().to_owned(),
        false => webhook.description,
    };
    Ok(catalog.webhook(id).await?.map(name))
}

enum Carrier {
    Folder(PathBuf),
    Smtp(Box<AsyncSmtpTransport<Tokio1Executor>>),
}

/// Writes the letters that accounts need. Let it [`run`](Self::run) as long as the server does.
pub struct Postman {
    carrier: Carrier,
    from: Mailbox,
    errands: mpsc::Receiver<Errand>,
}

/// Why one letter was not written or sent.
#[derive(Debug, thiserror::Error)]
enum Undelivered {
    #[error("the catalogue does not answer")]
    Catalog(#[from] CatalogError),
    #[error("no letter can be addressed to what the account has as its address")]
    Address,
    #[error("the letter cannot be put together")]
    Message(#[from] lettre::error::Error),
    #[error("the letter cannot be put into its folder")]
    Folder(#[from] std::io::Error),
    #[error("the mail server does not take the letter")]
    Smtp(#[from] lettre::transport::smtp::Error),
    #[error("the mail server takes no letter to the address")]
    Mailbox(#[source] lettre::transport::smtp::Error),
}

impl Undelivered {
    /// Whether another try would end the same.
    fn is_final(&self) -> bool {
        match self {
            Self::Address | Self::Message(_) | Self::Mailbox(_) => true,
            // What an operator can mend is tried again: a wrong password is no reason to lose letters.
            Self::Catalog(_) | Self::Folder(_) | Self::Smtp(_) => false,
        }
    }

    fn by_server(error: lettre::transport::smtp::Error, to: &Address) -> Self {
        let has_none = error.status().is_some_and(|code| NO_MAILBOX.contains(&u16::from(code)));
        // Such a server cannot be told of an address that is not ASCII (RFC 6531 §3.2).
        let is_unspeakable = error.is_client() && !AsRef::<str>::as_ref(to).is_ascii();
        if has_none || is_unspeakable { Self::Mailbox(error) } else { Self::Smtp(error) }
    }
}

/// Whether a letter can be addressed to this: it is put together as the one that is sent would be.
pub(crate) fn is_addressable(text: &str) -> bool {
    text.parse::<Address>().is_ok_and(|to| {
        let whole = Message::builder().from(Mailbox::new(None, to.clone())).to(Mailbox::new(None, to.clone()));
        whole.body(String::new()).is_ok_and(|letter| letter.envelope().to() == [to])
    })
}

impl Postman {
    pub(crate) fn new(route: &MailRoute, from: &str, errands: mpsc::Receiver<Errand>) -> Result<Self, MailError> {
        let address = from.parse::<Address>().map_err(MailError::From)?;
        if !is_addressable(from) {
            return Err(MailError::Sender);
        }
        let from = Mailbox::new(Some("Headwater".to_owned()), address);
        let carrier = match route {
            MailRoute::Folder(folder) => Carrier::Folder(folder.clone()),
            MailRoute::Smtp(url) => {
                // Its errors may hold the address, and that a password.
                let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url).map_err(|_| MailError::Server)?;
                Carrier::Smtp(Box::new(transport.timeout(Some(PATIENCE)).build()))
            }
        };
        Ok(Self { carrier, from, errands })
    }

    /// Does errands until `soft` is cancelled; what waits then is lost, and can be asked for again.
    pub async fn run(mut self, accounts: Accounts, soft: CancellationToken) {
        let mut retries = Retries::default();
        // Ends with the soft signal, or when nobody is left to ask.
        while let Some(Some(task)) = soft.run_until_cancelled(self.next(&mut retries)).await {
            let Err(error) = self.deliver(&accounts, &task.errand).await else { continue };
            let (attempt, is_final) = (task.tries + 1, error.is_final());
            tracing::warn!(attempt, is_final, error = %chain(&error), "a letter is not delivered");
            match task.errand {
                // What tells of news hands on what was not written by and by.
                Errand::Tell(id) if is_final => {
                    if let Err(error) = accounts.catalog().note_mailed(id).await {
                        tracing::warn!(error = %chain(&error), "a letter that nobody takes is tried again");
                    }
                }
                Errand::Tell(_) => {}
                _ if is_final => {}
                _ => {
                    if !retries.put(task, Instant::now()) {
                        tracing::error!(attempt, "a letter is given up");
                    }
                }
            }
        }
    }

    /// The next letter that is to be handed over; `None` when nobody is left to ask.
    async fn next(&mut self, retries: &mut Retries) -> Option<Task> {
        // Ends with the first that comes or is due.
        loop {
            // Taken first, and seldom due: a letter waits a few times, and the queue goes on behind it.
            if let Some(task) = retries.take(Instant::now()) {
                return Some(task);
            }
            let due = retries.due();
            let rest = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            // Neither loses anything: a letter stays where it is until it is taken.
            tokio::select! {
                errand = self.errands.recv() => return Some(Task { errand: errand?, tries: 0 }),
                () = rest => {}
            }
        }
    }

    async fn deliver(&self, accounts: &Accounts, errand: &Errand) -> Result<(), Undelivered> {
        let catalog = accounts.catalog();
        let user = match errand {
            Errand::Tell(id) => return self.tell(accounts, *id).await,
            Errand::Digest(user, time) => return self.digest(accounts, *user, *time).await,
            Errand::Verify(user) | Errand::Known(user) => catalog.user(*user).await?,
            Errand::Reset(email) => catalog.user_by_email(email).await?,
        };
        let Some(user) = user.filter(|user| user.state == UserState::Active) else { return Ok(()) };
        let Some(email) = user.email.as_deref() else { return Ok(()) };
        let words = Words::of(user.language.as_deref());
        let (subject, text) = match errand {
            Errand::Known(_) => letters::known(words, &accounts.link("/reset", None)),
            // Written above.
            Errand::Tell(_) | Errand::Digest(..) => return Ok(()),
            Errand::Verify(_) => {
                let link = self.ticket(accounts, &user, Purpose::VerifyEmail, VERIFY).await?;
                letters::verify(words, &accounts.link("/verify", Some(&link)))
            }
            Errand::Reset(_) => {
                let link = self.ticket(accounts, &user, Purpose::ResetPassword, RESET).await?;
                letters::reset(words, &accounts.link("/reset", Some(&link)))
            }
        };
        self.send(email, subject, text, accounts).await?;
        tracing::info!(user.id = %user.id, "letter delivered");
        Ok(())
    }

    /// Writes of a notification, if that was not done, and notes it.
    async fn tell(&self, accounts: &Accounts, id: NotificationId) -> Result<(), Undelivered> {
        let catalog = accounts.catalog();
        let Some(news) = catalog.notification(id).await?.filter(|news| news.is_mail_due) else { return Ok(()) };
        let user = catalog.user(news.user).await?;
        if let Some((email, words)) = reached(user.as_ref()) {
            let about = subject_of(accounts, &news).await?;
            let (subject, text) = letters::news(words, &news, about.as_deref(), &accounts.link("/", None));
            self.send(email, subject, text, accounts).await?;
            tracing::info!(user.id = %news.user, "letter delivered");
        }
        catalog.note_mailed(id).await?;
        Ok(())
    }

    /// Writes what somebody was told in this time and did not read.
    async fn digest(&self, accounts: &Accounts, user: UserId, time: (Timestamp, Timestamp)) -> Result<(), Undelivered> {
        let news = accounts.catalog().digest_of(user, time, DIGEST_NEWS_MAX).await?;
        let user = accounts.catalog().user(user).await?;
        if let Some((email, words)) = reached(user.as_ref()).filter(|_| !news.is_empty()) {
            let mut told = Vec::with_capacity(news.len());
            for one in news {
                let about = subject_of(accounts, &one).await?;
                told.push((one, about));
            }
            let (subject, text) = letters::digest(words, &told, &accounts.link("/", None));
            self.send(email, subject, text, accounts).await?;
            tracing::info!(user.id = user.as_ref().map(|user| tracing::field::display(user.id)), "letter delivered");
        }
        Ok(())
    }

    async fn ticket(
        &self,
        accounts: &Accounts,
        user: &User,
        purpose: Purpose,
        life: Duration,
    ) -> Result<String, CatalogError> {
        let (now, ticket) = (accounts.clock().now(), secret::mint(accounts.clock(), secret::TICKET));
        let until: Timestamp = now.plus(life);
        accounts.catalog().issue_ticket(&secret::hash(&ticket), (user.id, purpose), until, now).await?;
        Ok(ticket)
    }

    async fn send(&self, to: &str, subject: &str, text: String, accounts: &Accounts) -> Result<(), Undelivered> {
        let to = to.parse::<Address>().ok().filter(|_| is_addressable(to)).ok_or(Undelivered::Address)?;
        let letter = letter(&self.from, to.clone(), (subject, text), accounts.clock())?;
        match &self.carrier {
            Carrier::Smtp(transport) => {
                transport.send(letter).await.map_err(|error| Undelivered::by_server(error, &to))?;
            }
            Carrier::Folder(folder) => {
                tokio::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).await?;
                let name = format!("{}.eml", secret::hex(&accounts.clock().entropy()));
                // Letters hold links that are as good as passwords.
                let mut options = tokio::fs::OpenOptions::new();
                options.write(true).create_new(true).mode(0o600);
                let mut file = options.open(folder.join(name)).await?;
                file.write_all(&letter.formatted()).await?;
                file.sync_all().await?;
            }
        }
        Ok(())
    }
}

/// A letter with all that RFC 5322 §3.6 and RFC 2045 §4 ask for. Its `Message-ID` is of the sender's domain, so that it
/// tells nothing of this machine.
fn letter(
    from: &Mailbox,
    to: Address,
    (subject, text): (&str, String),
    clock: &dyn Clock,
) -> Result<Message, lettre::error::Error> {
    let sent_at = SystemTime::UNIX_EPOCH + Duration::from_millis(clock.now().unix_ms().try_into().unwrap_or(0));
    Message::builder()
        .header(MIME_VERSION_1_0)
        .message_id(Some(format!("<{}@{}>", secret::hex(&clock.entropy()), from.email.domain())))
        .date(sent_at)
        .from(from.clone())
        .to(Mailbox::new(None, to))
        .subject(subject)
        .header(ContentType::TEXT_PLAIN)
        .body(text)
}

#[cfg(test)]
mod tests {
    use domain::ManualClock;

    use super::*;

    #[test]
    fn an_address_that_cannot_be_put_into_a_letter_is_none() {
        for address in ["ada@example.org", "ada+x@example.org", "o'hara@example.org", "ada@xn--bcher-kva.example"] {
            assert!(is_addressable(address), "{address}");
        }
        for none in
            [r#""q 1"@ex.org"#, r#""a b"@ex.org"#, "a@[127.0.0.1]", "a@[IPv6:::1]", "", "ada", "ada@", "a b@ex.org"]
        {
            assert!(!is_addressable(none), "{none}");
        }
    }

    #[test]
    fn a_letter_has_the_fields_that_mail_servers_ask_for() {
        let clock = ManualClock::at(Timestamp::from_unix_ms(784_887_151_000));
        let from = Mailbox::new(Some("Headwater".to_owned()), "press@example.org".parse().unwrap());
        let written = |text: &str| {
            let to = "ada@example.org".parse().unwrap();
            let letter = letter(&from, to, ("A subject", text.to_owned()), &clock).unwrap().formatted();
            String::from_utf8(letter).unwrap()
        };
        let ids: Vec<String> = ["plain", "\u{e9}t\u{e9}"]
            .map(|text| {
                let letter = written(text);
                let (head, _) = letter.split_once("\r\n\r\n").unwrap();
                let fields = |name: &str| -> Vec<String> {
                    head.lines()
                        .filter_map(|line| Some(line.strip_prefix(name)?.strip_prefix(": ")?.to_owned()))
                        .collect()
                };
                assert_eq!(fields("MIME-Version"), ["1.0"], "{head}");
                assert_eq!(fields("Date"), ["Tue, 15 Nov 1994 08:12:31 +0000"], "{head}");
                assert_eq!(fields("Content-Type"), ["text/plain; charset=utf-8"], "{head}");
                let [id] = fields("Message-ID").try_into().unwrap();
                assert!(id.starts_with('<') && id.ends_with("@example.org>") && id.len() > 40, "{id}");
                id
            })
            .into();
        assert_ne!(ids[0], ids[1]);
    }
}
