//! A server with accounts, people of every role, and what they carry to prove it.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{Request, StatusCode};
use catalog_api::rates::Rates;
use catalog_api::{
    Access, Accounts, Algorithm, ClientAddress, DigestTime, MailRoute, Notifier, ProviderSettings, Settings, Tickets,
};
use catalog_store::notifications::READER;
use catalog_store::{Evidence, NewApiKey, NewSession, NewUpload, NewUser, OutboxHold, Proof, Target};
use domain::authority::{Role, Scope};
use domain::{AssetId, Clock, DocumentId, KeyId, PictureId, PlaybackId, Principal, SessionId, UploadId, UserId};
use ingest::Denial;
use ingest::gate::{Answer as Asked, Gate};
use media_store::{Staging, layout};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::task::JoinSet;

use crate::harness::{Answer, EventStream, Server};

pub(crate) const PASSWORD: &str = "correct horse battery";
pub(crate) const TOKEN: &str = "a-token-of-sixteen-characters";
/// How long a letter may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The provider of identities of these tests.
pub(crate) const PROVIDER: &str = "corp";

/// How it is known.
pub(crate) fn provider(issuer: &str) -> ProviderSettings {
    ProviderSettings {
        name: PROVIDER.into(),
        label: "Corporate login".into(),
        issuer: issuer.into(),
        client_id: "headwater".into(),
        client_secret: Some("a secret: of the client".into()),
        scopes: "openid email profile".into(),
        may_register: true,
        roles: Vec::new(),
    }
}

/// How the server keeps accounts in these tests.
pub(crate) fn settings(server: &Server) -> Settings {
    Settings {
        algorithm: Algorithm::EdDsa,
        is_registration_open: true,
        public_url: Some("https://media.example.org".into()),
        mail: MailRoute::Folder(server.dir.path().join("mail")),
        mail_from: "headwater@example.org".into(),
        tokens: vec![("ada".into(), TOKEN.into())],
        proxies: vec!["127.0.0.0/8".parse().unwrap()],
        // Nobody listens there.
        oidc: vec![provider("http://127.0.0.1:1")],
    }
}

/// A server that asks who somebody is.
pub(crate) struct People {
    pub(crate) server: Server,
    pub(crate) accounts: Accounts,
    tasks: JoinSet<()>,
}

/// Who asks, and by what.
#[derive(Clone, Debug, Default)]
pub(crate) struct Who {
    pub(crate) user: Option<UserId>,
    pub(crate) cookie: Option<String>,
    pub(crate) bearer: Option<String>,
}

/// Asks the accounts, as the composition root has uploads do.
#[derive(Debug)]
pub(crate) struct AccountGate(pub(crate) Accounts);

impl Gate for AccountGate {
    fn principal<'a>(&'a self, parts: &'a Parts) -> Asked<'a> {
        Box::pin(async {
            match self.0.caller(&parts.method, &parts.uri, &parts.headers).await.map(|caller| caller.principal) {
                Ok(Principal::Anonymous) | Err(_) => Err(Denial::Unauthorized),
                Ok(principal) => Ok(principal),
            }
        })
    }

    fn maker<'a>(&'a self, name: Option<&'a str>, key: Option<KeyId>) -> Asked<'a> {
        Box::pin(async move {
            match self.0.known_as(name.ok_or(Denial::Unauthorized)?, key).await {
                Ok(Principal::Anonymous) | Err(_) => Err(Denial::Unauthorized),
                Ok(principal) => Ok(principal),
            }
        })
    }
}

/// What uploads stand on, asking `gate`.
pub(crate) async fn ingest_state(server: &Server, gate: Arc<dyn Gate>) -> ingest::State {
    ingest::State {
        catalog: server.catalog.clone(),
        store: server.store.clone(),
        staging: Staging::open(server.dir.path().join("uploads")).await.unwrap(),
        clock: server.clock.clone(),
        limits: ingest::Limits::default(),
        tasks: Default::default(),
        shutdown: Default::default(),
        sessions: ingest::Sessions::default(),
        gate,
        admission: ingest::Admission::default(),
        live: ingest::Live::default(),
        metrics: Arc::default(),
        imports: ingest::Imports::default(),
    }
}

impl People {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut server = Server::start().await;
        let mut settings = settings(&server);
        change(&mut settings);
        let proxies = settings.proxies.clone();
        let (accounts, postman) = Accounts::open(server.catalog.clone(), server.clock.clone(), settings).await.unwrap();
        let state = catalog_api::State::new(
            server.catalog.clone(),
            server.store.clone(),
            server.clock.clone(),
            server.shutdown.clone(),
        );
        let rates = Rates::new(catalog_api::rates::PER_MINUTE, proxies);
        let state = state.with_rates(rates);
        let ingest = ingest_state(&server, Arc::new(AccountGate(accounts.clone()))).await;
        let state = state.with_access(Access::Accounts(accounts.clone()));
        let sign = |playback, kind, _| Some(format!("/t/{kind:?}-{playback}"));
        let state = state.with_tickets(Tickets::signed_by(sign)).with_passwords(|word, _| format!("made of {word}"));
        // As the binary has it: what belongs to uploads is answered by ingest, the rest by the API.
        let uploads = catalog_api::State::told_around(ingest::router(ingest.clone()));
        let uploads = uploads.merge(state.once_around(ingest::api(ingest)));
        server.router = uploads.fallback_service(catalog_api::router(state));
        let mut tasks = JoinSet::new();
        tasks.spawn(postman.run(accounts.clone(), server.shutdown.clone()));
        // Begun before anything happens, so that all of it is told.
        let hold = OutboxHold { reader: READER, holder: "test" };
        server.catalog.hold_reader(hold, Duration::from_secs(60), server.clock.now()).await.unwrap();
        let notifier = Notifier::new(accounts.clone(), "test".into(), Some(DigestTime { day: 0, minute: 9 * 60 }));
        tasks.spawn(notifier.run(server.shutdown.clone()));
        Self { server, accounts, tasks }
    }

    /// Somebody with this role, known by a cookie.
    pub(crate) async fn somebody(&self, role: Role) -> Who {
        let user = self.account(role, None).await;
        self.session_of(user).await
    }

    /// An account; without a password unless its hash is given.
    pub(crate) async fn account(&self, role: Role, password: Option<String>) -> UserId {
        let id = UserId::mint(self.server.clock.now(), self.server.clock.entropy());
        let new = NewUser {
            id,
            email: Some(format!("{id}@example.org")),
            name: role.to_string(),
            language: None,
            role,
            password,
            is_email_verified: true,
        };
        self.server.catalog.create_user(&new, "test", self.server.clock.now()).await.unwrap();
        id
    }

    /// A fresh session of an account, by a cookie.
    pub(crate) async fn session_of(&self, user: UserId) -> Who {
        let clock = &self.server.clock;
        let id = SessionId::mint(clock.now(), clock.entropy());
        let secret = format!("hws_{}", id);
        let new = NewSession {
            id,
            user,
            evidence: Evidence::of_password(&self.server.catalog.user(user).await.unwrap().unwrap()),
            proof: Proof::Cookie(hash(&secret)),
            client: "test".into(),
            expires_at: clock.now().plus(Duration::from_secs(7 * 24 * 3600)),
        };
        self.server.catalog.begin_session(&new, clock.now()).await.unwrap();
        Who { user: Some(user), cookie: Some(format!("headwater={secret}")), bearer: None }
    }

    /// A picture of an account, of a few octets.
    pub(crate) async fn avatar_of(&self, user: UserId) -> PictureId {
        let (catalog, clock) = (&self.server.catalog, &self.server.clock);
        let picture = PictureId::mint(clock.now(), clock.entropy());
        catalog.announce_avatar(user, picture, clock.now().plus(Duration::from_secs(60))).await.unwrap();
        self.server.store.put_once(&layout::avatar(user, picture), "picture".into()).await.unwrap();
        catalog.set_avatar(user, picture, clock.now()).await.unwrap();
        picture
    }

    /// An API key of an account.
    pub(crate) async fn key_of(&self, user: UserId, scopes: &[Scope]) -> (KeyId, Who) {
        let clock = &self.server.clock;
        let id = KeyId::mint(clock.now(), clock.entropy());
        let key = format!("hwk_{id}");
        let new = NewApiKey {
            id,
            user,
            name: "test".into(),
            prefix: "hwk_".into(),
            hash: hash(&key),
            scopes: scopes.iter().copied().collect(),
            expires_at: None,
        };
        self.server.catalog.create_api_key(&new, clock.now()).await.unwrap();
        (id, Who { user: Some(user), cookie: None, bearer: Some(key) })
    }

    /// An asset that this name uploads.
    pub(crate) async fn asset_of(&self, owner: Option<String>) -> AssetId {
        let clock = &self.server.clock;
        clock.advance(Duration::from_millis(1));
        let asset = AssetId::mint(clock.now(), clock.entropy());
        let target = Target::new(asset, PlaybackId::mint(clock.entropy()));
        let id = UploadId::mint(clock.now(), clock.entropy());
        let new = NewUpload { owner, ..NewUpload::whole(id, target, None, clock.now()) };
        self.server.catalog.create_upload(&new).await.unwrap();
        asset
    }

    /// A document of an asset, all of which is there.
    pub(crate) async fn document_of(&self, asset: AssetId) -> DocumentId {
        self.server.document_of(asset, "script.pdf").await
    }

    /// Sends a request as somebody, with a document unless that is null, and more headers.
    pub(crate) async fn send(
        &self,
        who: &Who,
        (method, path): (&str, &str),
        document: Value,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("host", "media.example.org");
        if let Some(cookie) = &who.cookie {
            request = request.header("cookie", cookie).header("origin", "https://media.example.org");
        }
        if let Some(bearer) = &who.bearer {
            request = request.header("authorization", format!("Bearer {bearer}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = match document {
            Value::Null => Body::empty(),
            document => {
                request = request.header("content-type", "application/json");
                Body::from(document.to_string())
            }
        };
        let mut request = request.body(body).unwrap();
        // Through a proxy on this machine, which says in X-Forwarded-For whom it speaks for.
        request.extensions_mut().insert(ClientAddress(Ipv4Addr::LOCALHOST.into()));
        self.server.ask(request).await
    }

    pub(crate) async fn get(&self, who: &Who, path: &str) -> Answer {
        self.send(who, ("GET", path), Value::Null, &[]).await
    }

    /// A stream of events, as somebody.
    pub(crate) async fn stream(&self, who: &Who, path: &str) -> EventStream {
        let bearer = who.bearer.as_ref().map(|bearer| format!("Bearer {bearer}"));
        match (&who.cookie, &bearer) {
            (Some(cookie), _) => self.server.stream_by(path, ("cookie", cookie)).await,
            (None, bearer) => self.server.stream_by(path, ("authorization", bearer.as_deref().unwrap())).await,
        }
    }

    pub(crate) async fn post(&self, who: &Who, path: &str, document: Value) -> Answer {
        self.send(who, ("POST", path), document, &[]).await
    }

    /// Registers and logs in: the mail address, and the tokens.
    pub(crate) async fn registered(&self, name: &str) -> (String, Value) {
        let email = format!("{name}@example.org");
        let wanted = json!({ "email": email, "password": PASSWORD, "name": name });
        let answer = self.post(&Who::default(), "/api/v1/auth/register", wanted).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text);
        (email.clone(), self.logged_in(&email, PASSWORD).await.ok())
    }

    pub(crate) async fn logged_in(&self, email: &str, password: &str) -> Answer {
        self.post(&Who::default(), "/api/v1/auth/login", json!({ "email": email, "password": password })).await
    }

    /// Waits until there are so many letters; all of them.
    pub(crate) async fn letters(&self, count: usize) -> Vec<String> {
        let folder = self.server.dir.path().join("mail");
        let begun = std::time::Instant::now();
        loop {
            let found = read_all(&folder);
            if found.len() >= count {
                return found;
            }
            assert!(begun.elapsed() < PATIENCE, "{} letters, not {count}", found.len());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends what runs beside the server.
    pub(crate) async fn stop(mut self) {
        self.server.shutdown.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// By whatever an access token was given for.
pub(crate) fn by_token(tokens: &Value) -> Who {
    Who { user: None, cookie: None, bearer: Some(tokens["access_token"].as_str().unwrap().to_owned()) }
}

/// The secret in the link of a letter.
pub(crate) fn link_in(letter: &str) -> String {
    let (_, rest) = letter.split_once("#token=").unwrap_or_else(|| panic!("no link in {letter}"));
    rest.split_whitespace().next().unwrap().to_owned()
}

fn read_all(folder: &PathBuf) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort_by_key(|file| std::fs::metadata(file).and_then(|file| file.modified()).ok());
    let texts = files.iter().filter_map(|file| std::fs::read_to_string(file).ok());
    // One that is being written has no end yet. Quoted-printable breaks lines with an equals sign at their end, and
    // writes one in the text as =3D.
    let whole = texts.filter(|text| text.ends_with('\n'));
    whole.map(|text| text.replace("=\r\n", "").replace("=3D", "=")).collect()
}

pub(crate) fn hash(secret: &str) -> String {
    Sha256::digest(secret.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
