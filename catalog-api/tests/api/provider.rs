//! A provider of identities that does what a test wants: it signs with keys that it makes itself.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use aws_lc_rs::{digest, hmac};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use url::{Url, form_urlencoded};

/// What it knows this server by, and what proves that.
pub(crate) const CLIENT: (&str, &str) = ("headwater", "a secret: of the client");

/// Who signs a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signer {
    Rsa,
    Ec,
    Ed,
    /// A key that it does not publish.
    Stranger,
    /// Nobody.
    Nobody,
    /// The secret of the client, as if it were a key.
    ClientSecret,
    /// The modulus of its public key, as if that were a secret.
    PublicKey,
}

/// A token before it is signed.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) header: Value,
    pub(crate) claims: Value,
    pub(crate) signer: Signer,
    /// Added to what is signed, behind the signature.
    pub(crate) tampered: Option<Value>,
}

type Change = Box<dyn Fn(&mut Draft) + Send>;

struct Keys {
    rsa: RsaKeyPair,
    ec: EcdsaKeyPair,
    ed: Ed25519KeyPair,
    stranger: Ed25519KeyPair,
    /// Counts how often they were changed.
    turn: u32,
}

struct Given {
    challenge: String,
    redirect_uri: String,
    nonce: String,
    person: Value,
}

#[derive(Default)]
struct Told {
    codes: HashMap<String, Given>,
    keys_asked: u32,
    tokens_asked: u32,
    is_down: bool,
    is_slow_to_publish: bool,
    change: Option<Change>,
    now_s: i64,
}

struct Inner {
    keys: Mutex<Keys>,
    told: Mutex<Told>,
    url: String,
}

/// The provider. It ends when it is dropped.
pub(crate) struct Provider {
    inner: Arc<Inner>,
    _tasks: JoinSet<()>,
}

fn keys(turn: u32) -> Keys {
    Keys {
        rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
        ec: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
        ed: Ed25519KeyPair::generate().unwrap(),
        stranger: Ed25519KeyPair::generate().unwrap(),
        turn,
    }
}

impl Provider {
    /// One whose tokens are made at this time, in seconds since 1970.
    pub(crate) async fn start(now_s: i64) -> Self {
        let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let told = Mutex::new(Told { now_s, ..Told::default() });
        let inner = Arc::new(Inner { keys: Mutex::new(keys(0)), told, url });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(describe))
            .route("/keys", get(publish))
            .route("/token", post(redeem))
            .with_state(Arc::clone(&inner));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Self { inner, _tasks: tasks }
    }

    /// What it calls itself.
    pub(crate) fn issuer(&self) -> &str {
        &self.inner.url
    }

    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.inner.told.lock().unwrap()
    }

    /// Somebody is sent here, and says who they are: the address that they are sent back to.
    pub(crate) fn agrees(&self, departure: &str, person: Value) -> Url {
        let url = Url::parse(departure).unwrap();
        let query: HashMap<String, String> = url.query_pairs().into_owned().collect();
        assert_eq!(
            format!("{}{}", url.origin().ascii_serialization(), url.path()),
            format!("{}/authorize", self.issuer())
        );
        let fixed = ["response_type", "client_id", "code_challenge_method"].map(|name| query[name].as_str());
        assert_eq!(fixed, ["code", CLIENT.0, "S256"]);
        assert!(query["scope"].split(' ').any(|scope| scope == "openid"));
        let code = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, query["state"].as_bytes()));
        let given = Given {
            challenge: query["code_challenge"].clone(),
            redirect_uri: query["redirect_uri"].clone(),
            nonce: query["nonce"].clone(),
            person,
        };
        self.told().codes.insert(code.clone(), given);
        let mut back = Url::parse(&query["redirect_uri"]).unwrap();
        back.query_pairs_mut().append_pair("code", &code).append_pair("state", &query["state"]);
        back.query_pairs_mut().append_pair("iss", self.issuer()).append_pair("session_state", "for nobody here");
        back
    }

    /// Makes something else of every token from here on.
    pub(crate) fn change(&self, change: impl Fn(&mut Draft) + Send + 'static) {
        self.told().change = Some(Box::new(change));
    }

    /// Tokens are as they should be again.
    pub(crate) fn behave(&self) {
        self.told().change = None;
    }

    /// It answers nothing that makes sense any more, or does again.
    pub(crate) fn is_down(&self, is_down: bool) {
        self.told().is_down = is_down;
    }

    /// It signs with other keys from here on, under other names.
    pub(crate) fn rotate(&self) {
        let mut held = self.inner.keys.lock().unwrap();
        *held = keys(held.turn + 1);
    }

    /// It goes on publishing nothing, whatever it signs with.
    pub(crate) fn hides_keys(&self, is_so: bool) {
        self.told().is_slow_to_publish = is_so;
    }

    /// How often it was asked for its keys, and for tokens.
    pub(crate) fn asked(&self) -> (u32, u32) {
        let told = self.told();
        (told.keys_asked, told.tokens_asked)
    }

    /// Tokens are made at this time.
    pub(crate) fn set_time(&self, now_s: i64) {
        self.told().now_s = now_s;
    }
}

type Answer = Result<Json<Value>, (StatusCode, Json<Value>)>;

fn down() -> Answer {
    Err((StatusCode::INTERNAL_SERVER_ERROR, Json(json!({ "error": "server_error" }))))
}

async fn describe(State(inner): State<Arc<Inner>>) -> Answer {
    if inner.told.lock().unwrap().is_down {
        return down();
    }
    let at = |path: &str| format!("{}{path}", inner.url);
    Ok(Json(json!({
        "issuer": inner.url,
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "jwks_uri": at("/keys"),
        "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        "authorization_response_iss_parameter_supported": true,
        "something_else": ["for nobody here"],
    })))
}

async fn publish(State(inner): State<Arc<Inner>>) -> Answer {
    let is_hidden = {
        let mut told = inner.told.lock().unwrap();
        told.keys_asked += 1;
        if told.is_down {
            return down();
        }
        told.is_slow_to_publish
    };
    if is_hidden {
        return Ok(Json(json!({ "keys": [] })));
    }
    let keys = inner.keys.lock().unwrap();
    let text = |octets: &[u8]| URL_SAFE_NO_PAD.encode(octets);
    let point = keys.ec.public_key().as_ref();
    Ok(Json(json!({ "keys": [
        { "kty": "RSA", "kid": kid(Signer::Rsa, keys.turn), "use": "sig", "alg": "RS256",
          "n": text(modulus(&keys.rsa)), "e": "AQAB" },
        { "kty": "EC", "kid": kid(Signer::Ec, keys.turn), "crv": "P-256", "x": text(&point[1..33]), "y": text(&point[33..]) },
        { "kty": "OKP", "kid": kid(Signer::Ed, keys.turn), "crv": "Ed25519", "x": text(keys.ed.public_key().as_ref()) },
        { "kty": "unheard of", "kid": "for nobody here" },
    ] })))
}

/// Of an `RSAPublicKey` of 2048 bits in DER's form: the head of the list, that of the number, a zero.
fn modulus(pair: &RsaKeyPair) -> &[u8] {
    &pair.public_key().as_ref()[9..265]
}

fn kid(signer: Signer, turn: u32) -> String {
    format!("{signer:?}-{turn}").to_lowercase()
}

async fn redeem(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: String) -> Answer {
    let refused =
        |error: &str| Err((StatusCode::BAD_REQUEST, Json(json!({ "error": error, "error_description": body }))));
    let form: HashMap<String, String> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let coded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let basic = STANDARD.encode(format!("{}:{}", coded(CLIENT.0), coded(CLIENT.1)));
    let mut told = inner.told.lock().unwrap();
    told.tokens_asked += 1;
    if told.is_down {
        return down();
    }
    if headers.get("authorization").is_none_or(|value| *value != format!("Basic {basic}")) {
        return refused("invalid_client");
    }
    let word = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    // Good once.
    let Some(given) = told.codes.remove(word("code")) else { return refused("invalid_grant") };
    let challenge = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, word("code_verifier").as_bytes()));
    let is_its = challenge == given.challenge && word("redirect_uri") == given.redirect_uri;
    if !is_its || word("grant_type") != "authorization_code" {
        return refused("invalid_grant");
    }
    let keys = inner.keys.lock().unwrap();
    let mut claims = json!({
        "iss": inner.url, "aud": CLIENT.0, "nonce": given.nonce, "iat": told.now_s, "exp": told.now_s + 300,
    });
    for (name, value) in given.person.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let header = json!({ "alg": "RS256", "kid": kid(Signer::Rsa, keys.turn), "typ": "JWT" });
    let mut draft = Draft { header, claims, signer: Signer::Rsa, tampered: None };
    if let Some(change) = &told.change {
        change(&mut draft);
    }
    let token = signed(&keys, draft);
    Ok(Json(json!({ "access_token": "for nobody here", "token_type": "Bearer", "id_token": token })))
}

fn signed(keys: &Keys, draft: Draft) -> String {
    let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", encoded(&draft.header), encoded(&draft.claims));
    let (random, octets) = (SystemRandom::new(), message.as_bytes());
    let by_secret = |secret: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), octets).as_ref().to_vec();
    let signature = match draft.signer {
        Signer::Rsa => {
            let mut signature = vec![0; 256];
            keys.rsa.sign(&RSA_PKCS1_SHA256, &random, octets, &mut signature).unwrap();
            signature
        }
        Signer::Ec => keys.ec.sign(&random, octets).unwrap().as_ref().to_vec(),
        Signer::Ed => keys.ed.sign(octets).as_ref().to_vec(),
        Signer::Stranger => keys.stranger.sign(octets).as_ref().to_vec(),
        Signer::Nobody => Vec::new(),
        Signer::ClientSecret => by_secret(CLIENT.1.as_bytes()),
        Signer::PublicKey => by_secret(modulus(&keys.rsa)),
    };
    let shown =
        draft.tampered.map_or(message.clone(), |claims| format!("{}.{}", encoded(&draft.header), encoded(&claims)));
    format!("{shown}.{}", URL_SAFE_NO_PAD.encode(signature))
}

impl Draft {
    /// Signed by another one of its keys.
    pub(crate) fn by(&mut self, signer: Signer, algorithm: &str) {
        self.signer = signer;
        self.header["alg"] = json!(algorithm);
        let turn = self.header["kid"].as_str().unwrap().rsplit('-').next().unwrap().to_owned();
        if matches!(signer, Signer::Rsa | Signer::Ec | Signer::Ed) {
            self.header["kid"] = json!(format!("{signer:?}-{turn}").to_lowercase());
        }
    }
}
