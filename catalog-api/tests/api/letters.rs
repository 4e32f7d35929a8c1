//! Letters on their way to a mail server that does not take all of them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::StatusCode;
use catalog_api::MailRoute;
use catalog_store::NewUser;
use domain::authority::Role;
use domain::{Clock, UserId};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::people::{PASSWORD, People, Who};

/// How long a letter may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A mail server that takes letters (RFC 5321), but to `later@` not at this moment and to `nobody@` never.
struct MailServer {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
    _task: JoinSet<()>,
}

impl MailServer {
    async fn start() -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://{}", socket.local_addr().unwrap());
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let of_task = Arc::clone(&asked);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut talks = JoinSet::new();
            while let Ok((stream, _)) = socket.accept().await {
                talks.spawn(talk(stream, Arc::clone(&of_task)));
            }
        });
        Self { url, asked, _task: task }
    }

    /// To whom letters were to go, in that order, once one is for `last`.
    async fn asked_until(&self, last: &str) -> Vec<String> {
        let begun = std::time::Instant::now();
        loop {
            let asked = self.asked.lock().unwrap().clone();
            if asked.iter().any(|to| to == last) {
                return asked;
            }
            assert!(begun.elapsed() < PATIENCE, "no letter to {last}: {asked:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn talk(stream: TcpStream, asked: Arc<Mutex<Vec<String>>>) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    write.write_all(b"220 mail.example.org\r\n").await?;
    let mut is_letter = false;
    while let Some(line) = lines.next_line().await? {
        let answer = match line.to_ascii_uppercase() {
            _ if is_letter && line != "." => continue,
            to if to.starts_with("RCPT TO:") => {
                let to = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                asked.lock().unwrap().push(to.clone());
                match to.split('@').next().unwrap_or_default() {
                    "later" => "451 not now",
                    "nobody" => "550 no such mailbox",
                    _ => "250 ok",
                }
            }
            data if data == "DATA" => "354 go on",
            quit if quit == "QUIT" => "221 bye",
            _ => "250 ok",
        };
        is_letter = answer.starts_with("354");
        write.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_letter_that_is_not_taken_holds_up_no_other() {
    let server = MailServer::start().await;
    let url = server.url.clone();
    let people = People::start_with(|settings| settings.mail = MailRoute::Smtp(url)).await;
    let admin = people.somebody(Role::Admin).await;
    // From before such addresses were refused: nobody can write to it, and its turn is over at once.
    let clock = &people.server.clock;
    let old = NewUser {
        id: UserId::mint(clock.now(), clock.entropy()),
        email: Some(r#""q 1"@example.org"#.into()),
        name: "x".into(),
        language: None,
        role: Role::User,
        password: None,
        is_email_verified: false,
    };
    people.server.catalog.create_user(&old, "test", clock.now()).await.unwrap();
    let user = people.session_of(old.id).await;
    let asked = people.post(&user, "/api/v1/me/verification", json!({})).await;
    assert_eq!(asked.status, StatusCode::ACCEPTED, "{}", asked.text);
    for email in ["later@example.org", "nobody@example.org", "ada@example.org"] {
        people.post(&admin, "/api/v1/users", json!({ "email": email })).await.created();
    }
    let asked = server.asked_until("ada@example.org").await;
    assert_eq!(asked, ["later@example.org", "nobody@example.org", "ada@example.org"]);
    people.stop().await;
}

#[tokio::test]
async fn an_address_that_no_letter_can_be_addressed_to_is_refused() {
    let people = People::start().await;
    let admin = people.somebody(Role::Admin).await;
    for email in [r#""q 1"@ex.org"#, r#""a b"@ex.org"#, "a@[127.0.0.1]", "ada"] {
        for (who, path, document) in [
            (&Who::default(), "/api/v1/auth/register", json!({ "email": email, "password": PASSWORD })),
            (&Who::default(), "/api/v1/auth/forgot-password", json!({ "email": email })),
            (&Who::default(), "/api/v1/auth/setup", json!({ "token": "x", "email": email, "password": PASSWORD })),
            (&admin, "/api/v1/users", json!({ "email": email })),
        ] {
            let from = format!("2001:db8:{:x}::1", u128::from_be_bytes(people.server.clock.entropy()) & 0xffff);
            let answer = people.send(who, ("POST", path), document, &[("x-forwarded-for", &from)]).await;
            answer.is_problem(422, "invalid_body", path);
        }
    }
    people.stop().await;
}
