//! Logging in by the word of a provider: the good way, and all that may be wrong with it.

use std::time::Duration;

use axum::http::StatusCode;
use domain::Clock;
use domain::authority::Role;
use serde_json::{Value, json};

use crate::accounts::shown;
use crate::harness::Answer;
use crate::people::{PASSWORD, PROVIDER, People, Who, by_token, provider};
use crate::provider::{Draft, Provider, Signer};

const START: &str = "/api/v1/auth/oidc/corp";
const IDENTITIES: &str = "/api/v1/me/identities";

/// A server, and a provider that it believes.
struct Ground {
    people: People,
    provider: Provider,
}

/// A browser on its way: the cookies that it holds.
#[derive(Clone, Default)]
struct Browser(Vec<(String, String)>);

impl Browser {
    fn takes(&mut self, answer: &Answer) {
        for value in answer.headers.get_all("set-cookie") {
            let (pair, rest) = value.to_str().unwrap().split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.0.retain(|(known, _)| known != name);
            if !rest.contains("Max-Age=0") {
                assert!(
                    rest.contains("HttpOnly") && rest.contains("SameSite=Lax") && rest.contains("Secure"),
                    "{rest}"
                );
                self.0.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    fn who(&self) -> Who {
        let cookie = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        Who { user: None, cookie: Some(cookie), bearer: None }
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }
}

fn ada() -> Value {
    json!({ "sub": "ada-1", "email": "ada@corp.example", "email_verified": true, "name": "Ada" })
}

fn location(answer: &Answer) -> &str {
    assert_eq!(answer.status, StatusCode::FOUND, "{}", answer.text);
    assert_eq!(answer.header("cache-control"), Some("private, no-store"));
    answer.header("location").unwrap()
}

impl Ground {
    async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    async fn start_with(change: impl FnOnce(&mut catalog_api::ProviderSettings)) -> Self {
        let double = Provider::start(1_800_000_000).await;
        let mut one = provider(double.issuer());
        change(&mut one);
        let people = People::start_with(|settings| {
            settings.oidc = vec![one];
            settings.is_registration_open = false;
        });
        let people = people.await;
        // Somebody stays who can decide about accounts.
        people.account(Role::Admin, Some("$argon2id$".into())).await;
        Self { people, provider: double }
    }

    /// Goes to the provider: where that is.
    async fn departs(&self, browser: &mut Browser, back: &str) -> String {
        let path =
            format!("{START}?back={}", url::form_urlencoded::byte_serialize(back.as_bytes()).collect::<String>());
        let answer = self.asks(browser, &path).await;
        browser.takes(&answer);
        location(&answer).to_owned()
    }

    /// From another address each time, as far as throttling is concerned.
    async fn asks(&self, browser: &Browser, path: &str) -> Answer {
        let nth = u128::from_be_bytes(self.people.server.clock.entropy());
        let from = format!("2001:db8:{:x}:{:x}::1", nth & 0xffff, nth >> 16 & 0xffff);
        self.people.send(&browser.who(), ("GET", path), Value::Null, &[("x-forwarded-for", &from)]).await
    }

    /// Comes back with what the provider gave.
    async fn returns(&self, browser: &mut Browser, back: &url::Url) -> Answer {
        let path = format!("{}?{}", back.path(), back.query().unwrap());
        let answer = self.asks(browser, &path).await;
        browser.takes(&answer);
        answer
    }

    /// All of it: where the browser ends.
    async fn logs_in(&self, browser: &mut Browser, person: Value) -> String {
        let departure = self.departs(browser, "/watch/x").await;
        let back = self.provider.agrees(&departure, person);
        location(&self.returns(browser, &back).await).to_owned()
    }

    async fn me(&self, browser: &Browser) -> Value {
        self.people.get(&browser.who(), "/api/v1/me").await.ok()
    }

    /// Links the provider's person to the account of a browser: where it ends.
    async fn links(&self, browser: &mut Browser, person: Value, password: Option<&str>) -> String {
        let wanted = json!({ "provider": PROVIDER, "password": password });
        let answer = self.people.post(&browser.who(), IDENTITIES, wanted).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text);
        browser.takes(&answer);
        let url = serde_json::from_str::<Value>(&answer.text).unwrap()["url"].as_str().unwrap().to_owned();
        let back = self.provider.agrees(&url, person);
        location(&self.returns(browser, &back).await).to_owned()
    }
}

/// A browser with a session of an account.
async fn logged_in(people: &People, email: &str) -> Browser {
    let wanted = json!({ "email": email, "password": PASSWORD, "cookie": true });
    let origin = [("origin", "https://media.example.org")];
    let answer = people.send(&Who::default(), ("POST", "/api/v1/auth/login"), wanted, &origin).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let mut browser = Browser::default();
    browser.takes(&answer);
    browser
}

#[tokio::test]
async fn whom_a_provider_vouches_for_has_an_account_and_is_known_again() {
    let ground = Ground::start().await;
    let listed = ground.people.get(&Who::default(), "/api/v1/auth/oidc").await.ok();
    assert_eq!(listed["data"], json!([{ "name": "corp", "label": "Corporate login", "may_register": true }]));
    let mut browser = Browser::default();
    let departure = ground.departs(&mut browser, "/watch/x?t=5").await;
    let redirect = "redirect_uri=https%3A%2F%2Fmedia.example.org%2Fapi%2Fv1%2Fauth%2Foidc%2Fcorp%2Fcallback";
    assert!(departure.contains(redirect), "never by what the request says of the host: {departure}");
    assert!(browser.has("__Host-headwater-oidc"));
    let back = ground.provider.agrees(&departure, ada());
    let answer = ground.returns(&mut browser, &back).await;
    assert_eq!((location(&answer), answer.header("referrer-policy")), ("/watch/x?t=5", Some("no-referrer")));
    assert!(browser.has("__Host-headwater") && !browser.has("__Host-headwater-oidc"));
    let me = ground.me(&browser).await;
    assert_eq!((&me["email"], &me["name"], &me["role"]), (&"ada@corp.example".into(), &"Ada".into(), &"user".into()));
    assert_eq!(me["is_email_verified"], true);

    // The identity is who they are, whatever becomes of the address.
    let mut other = Browser::default();
    let moved = json!({ "sub": "ada-1", "email": "moved@corp.example", "email_verified": false });
    assert_eq!(ground.logs_in(&mut other, moved).await, "/watch/x");
    assert_eq!(ground.me(&other).await["id"], me["id"]);
    let identities = ground.people.get(&other.who(), IDENTITIES).await.ok();
    assert_eq!(
        (&identities["data"][0]["provider"], &identities["data"][0]["subject"]),
        (&"corp".into(), &"ada-1".into())
    );
    let exported = ground.people.get(&other.who(), "/api/v1/me/export").await.ok();
    assert_eq!(exported["identities"], identities["data"]);
    assert_eq!(ground.provider.asked(), (1, 2), "keys are remembered");
    // Somebody else is somebody else.
    let mut third = Browser::default();
    let bob = json!({ "sub": "bob-1", "email": "bob@corp.example", "email_verified": true });
    assert_eq!(ground.logs_in(&mut third, bob).await, "/watch/x");
    assert_ne!(ground.me(&third).await["id"], me["id"]);
    ground.people.stop().await;
}

#[tokio::test]
async fn an_attempt_is_good_for_the_browser_that_began_it_and_once() {
    let ground = Ground::start().await;
    let mut browser = Browser::default();
    let departure = ground.departs(&mut browser, "/").await;
    let back = ground.provider.agrees(&departure, ada());
    let stranded = "/login?error=oidc_attempt";
    // Without the cookie, and with that of another attempt.
    assert_eq!(location(&ground.returns(&mut Browser::default(), &back).await), stranded);
    let mut other = Browser::default();
    ground.departs(&mut other, "/").await;
    assert_eq!(location(&ground.returns(&mut other.clone(), &back).await), stranded);
    // With another state, without one, without a code.
    let (code, state) = (query(&back, "code"), query(&back, "state"));
    for changed in [
        format!("code={code}&state={}x", state),
        format!("code={code}"),
        format!("state={state}"),
        String::from("x=y"),
        format!("code={}&state={state}", "a".repeat(5000)),
    ] {
        let mut url = back.clone();
        url.set_query(Some(&changed));
        assert_eq!(location(&ground.returns(&mut browser.clone(), &url).await), stranded, "{changed}");
    }
    assert_eq!(ground.provider.asked().1, 0, "the code was shown to nobody");
    // An answer of another provider.
    let mut url = back.clone();
    url.set_query(Some(&format!("code={code}&state={state}&iss=https%3A%2F%2Fevil.example")));
    assert_eq!(location(&ground.returns(&mut browser.clone(), &url).await), "/login?error=oidc_untrusted");
    // The good way; then again, with the cookie that somebody kept.
    let kept = browser.clone();
    assert_eq!(location(&ground.returns(&mut browser, &back).await), "/");
    assert_eq!(location(&ground.returns(&mut browser, &back).await), stranded);
    assert_eq!(location(&ground.returns(&mut kept.clone(), &back).await), "/login?error=oidc_untrusted", "it was used");
    // Who does not want to, and who takes too long.
    let mut browser = Browser::default();
    let departure = ground.departs(&mut browser, "/").await;
    let mut back = ground.provider.agrees(&departure, ada());
    let state = query(&back, "state");
    back.set_query(Some(&format!("error=access_denied&state={state}")));
    assert_eq!(location(&ground.returns(&mut browser.clone(), &back).await), "/login?error=oidc_denied");
    let back = ground.provider.agrees(&departure, ada());
    ground.people.server.clock.advance(Duration::from_secs(601));
    assert_eq!(location(&ground.returns(&mut browser, &back).await), stranded);
    ground.people.get(&Who::default(), "/api/v1/auth/oidc/none").await.is_problem(
        404,
        "not_found",
        "/api/v1/auth/oidc/none",
    );
    ground.people.stop().await;
}

fn query(url: &url::Url, name: &str) -> String {
    url.query_pairs().find(|(known, _)| known == name).unwrap().1.into_owned()
}

#[tokio::test]
async fn a_token_that_is_wrong_anywhere_lets_nobody_in() {
    let ground = Ground::start().await;
    let now = 1_800_000_000;
    type Change = Box<dyn Fn(&mut Draft) + Send>;
    let claim =
        |name: &'static str, value: Value| -> Change { Box::new(move |draft| draft.claims[name] = value.clone()) };
    let without = |name: &'static str| -> Change {
        Box::new(move |draft| drop(draft.claims.as_object_mut().unwrap().remove(name)))
    };
    let by = |signer: Signer, algorithm: &'static str| -> Change { Box::new(move |draft| draft.by(signer, algorithm)) };
    let wrong: Vec<(&str, Change)> = vec![
        ("another nonce", claim("nonce", json!("x"))),
        ("no nonce", without("nonce")),
        ("another audience", claim("aud", json!("somebody-else"))),
        ("no audience", without("aud")),
        ("an empty audience", claim("aud", json!([]))),
        ("several, without a party", claim("aud", json!(["headwater", "somebody-else"]))),
        ("another party", claim("azp", json!("somebody-else"))),
        ("another issuer", claim("iss", json!("https://evil.example"))),
        ("no issuer", without("iss")),
        ("over", claim("exp", json!(now - 61))),
        ("without end", without("exp")),
        ("an end that is no number", claim("exp", json!("9999999999"))),
        ("made in the future", claim("iat", json!(now + 61))),
        ("made long ago", claim("iat", json!(now - 3600))),
        ("without birth", without("iat")),
        ("not good yet", claim("nbf", json!(now + 61))),
        ("nobody", without("sub")),
        ("an empty name", claim("sub", json!(""))),
        ("a long name", claim("sub", json!("x".repeat(256)))),
        ("a name that is a number", claim("sub", json!(7))),
        ("signed by nobody", by(Signer::Nobody, "none")),
        ("signed by nobody, in another spelling", by(Signer::Nobody, "nOnE")),
        ("without a signature", by(Signer::Nobody, "RS256")),
        ("signed by the secret of the client", by(Signer::ClientSecret, "HS256")),
        ("signed by the public key", by(Signer::PublicKey, "HS256")),
        ("signed by a stranger", by(Signer::Stranger, "RS256")),
        ("signed by a stranger by another rule", by(Signer::Stranger, "EdDSA")),
        ("the key of another rule", Box::new(|draft| draft.header["alg"] = json!("PS256"))),
        ("a rule that nobody knows", Box::new(|draft| draft.header["alg"] = json!("XX256"))),
        ("a header that must be understood", Box::new(|draft| draft.header["crit"] = json!(["exp"]))),
        (
            "changed behind the signature",
            Box::new(|draft| {
                let mut claims = draft.claims.clone();
                claims["sub"] = json!("root");
                draft.tampered = Some(claims);
            }),
        ),
    ];
    for (what, change) in wrong {
        ground.provider.change(change);
        let mut browser = Browser::default();
        assert_eq!(ground.logs_in(&mut browser, ada()).await, "/login?error=oidc_untrusted", "{what}");
        assert!(!browser.has("__Host-headwater"), "{what}");
    }
    // Other rules are as good, and so is a token for several that names this one.
    for (signer, algorithm) in [(Signer::Ec, "ES256"), (Signer::Ed, "EdDSA"), (Signer::Rsa, "RS256")] {
        ground.provider.change(move |draft| {
            draft.by(signer, algorithm);
            draft.claims["aud"] = json!(["somebody-else", "headwater"]);
            draft.claims["azp"] = json!("headwater");
        });
        assert_eq!(ground.logs_in(&mut Browser::default(), ada()).await, "/watch/x", "{signer:?}");
    }
    ground.people.stop().await;
}

#[tokio::test]
async fn keys_that_are_changed_are_looked_for_once_a_minute_at_most() {
    let ground = Ground::start().await;
    assert_eq!(ground.logs_in(&mut Browser::default(), ada()).await, "/watch/x");
    let clock = &ground.people.server.clock;
    let later = |seconds: u64| {
        clock.advance(Duration::from_secs(seconds));
        ground.provider.set_time(clock.now().unix_ms() / 1000);
    };
    later(61);
    ground.provider.rotate();
    assert_eq!(ground.logs_in(&mut Browser::default(), ada()).await, "/watch/x", "the new ones were looked for");
    assert_eq!(ground.provider.asked().0, 2);
    // Names that somebody makes up cause no more requests.
    ground.provider.change(|draft| draft.header["kid"] = json!("made up"));
    for _ in 0..5 {
        assert_eq!(ground.logs_in(&mut Browser::default(), ada()).await, "/login?error=oidc_untrusted");
    }
    assert_eq!(ground.provider.asked().0, 2);
    later(61);
    assert_eq!(ground.logs_in(&mut Browser::default(), ada()).await, "/login?error=oidc_untrusted");
    assert_eq!(ground.provider.asked().0, 3);
    ground.provider.behave();
    // A key that is not published any more is good for nothing once they are asked for again.
    ground.provider.hides_keys(true);
    later(3601);
    assert_eq!(ground.logs_in(&mut Browser::default(), ada()).await, "/login?error=oidc_untrusted");
    ground.people.stop().await;
}

#[tokio::test]
async fn a_provider_that_is_away_costs_a_moment_and_nothing_else() {
    let ground = Ground::start().await;
    ground.provider.is_down(true);
    let mut browser = Browser::default();
    assert_eq!(ground.departs(&mut browser, "/").await, "/login?error=oidc_away");
    ground.provider.is_down(false);
    assert_eq!(ground.departs(&mut browser, "/").await, "/login?error=oidc_away", "it is left alone for a moment");
    let clock = &ground.people.server.clock;
    clock.advance(Duration::from_secs(6));
    let departure = ground.departs(&mut browser, "/").await;
    let back = ground.provider.agrees(&departure, ada());
    ground.provider.is_down(true);
    assert_eq!(location(&ground.returns(&mut browser, &back).await), "/login?error=oidc_away");
    assert!(!browser.has("__Host-headwater"));
    // Those with a password are let in meanwhile.
    let wanted = json!({ "provider": PROVIDER });
    let user = ground.people.somebody(Role::User).await;
    clock.advance(Duration::from_secs(3600));
    let fresh = ground.people.session_of(user.user.unwrap()).await;
    ground.people.post(&fresh, IDENTITIES, wanted).await.is_problem(503, "provider_away", IDENTITIES);
    ground.people.stop().await;
}

#[tokio::test]
async fn an_address_joins_accounts_only_where_both_sides_know_whose_it_is() {
    let ground = Ground::start().await;
    let (people, catalog) = (&ground.people, &ground.people.server.catalog);
    let person =
        |sub: &str, email: &str, verified: Value| json!({ "sub": sub, "email": email, "email_verified": verified });
    let needed = "/login?error=oidc_link_needed";
    for verified in [json!(false), Value::Null, json!("true"), json!(1)] {
        let found = ground.logs_in(&mut Browser::default(), person("eve", "ada@corp.example", verified.clone())).await;
        assert_eq!(found, needed, "{verified}");
    }
    assert_eq!(ground.logs_in(&mut Browser::default(), json!({ "sub": "eve" })).await, needed);
    // An account whose own address nobody has confirmed: whoever made it may not be whom the provider means.
    let squatted = people.account(Role::User, None).await;
    let known = catalog.user(squatted).await.unwrap().unwrap();
    let email = known.email.clone().unwrap();
    let new = catalog_store::NewUser {
        id: domain::UserId::mint(people.server.clock.now(), people.server.clock.entropy()),
        email: Some("squatter@corp.example".into()),
        name: "x".into(),
        language: None,
        role: Role::User,
        password: None,
        is_email_verified: false,
    };
    catalog.create_user(&new, "test", people.server.clock.now()).await.unwrap();
    let found = ground.logs_in(&mut Browser::default(), person("eve", "Squatter@corp.example", json!(true))).await;
    assert_eq!(found, needed);
    // One whose address is confirmed is joined, however it is written.
    let mut browser = Browser::default();
    let found = ground.logs_in(&mut browser, person("eve", &email.to_uppercase(), json!(true))).await;
    assert_eq!((found.as_str(), &ground.me(&browser).await["id"]), ("/watch/x", &json!(squatted)));
    let log: Vec<String> = catalog.audit_log(None, 20).await.unwrap().into_iter().map(|entry| entry.action).collect();
    assert!(log.contains(&"identity.linked".to_owned()), "{log:?}");
    // Whoever is suspended stays out.
    let user = catalog.user(squatted).await.unwrap().unwrap();
    let terms =
        catalog_store::Terms { role: Role::User, state: catalog_store::UserState::Suspended, quota_bytes: None };
    catalog.set_terms(squatted, user.version, &terms, "test", people.server.clock.now()).await.unwrap();
    let found = ground.logs_in(&mut Browser::default(), person("eve", &email, json!(true))).await;
    assert_eq!(found, "/login?error=account_suspended");
    ground.people.stop().await;
}

#[tokio::test]
async fn an_account_is_made_only_where_the_settings_say_so() {
    let ground = Ground::start_with(|one| one.may_register = false).await;
    assert_eq!(ground.logs_in(&mut Browser::default(), ada()).await, "/login?error=oidc_no_account");
    ground.people.stop().await;
}

#[tokio::test]
async fn identities_are_linked_and_taken_off_by_who_is_logged_in() {
    let ground = Ground::start().await;
    let people = &ground.people;
    let hash = argon(people).await;
    let user = people.account(Role::User, Some(hash)).await;
    let email = people.server.catalog.user(user).await.unwrap().unwrap().email.unwrap();
    let mut browser = logged_in(people, &email).await;
    let wanted = |password: Option<&str>| json!({ "provider": PROVIDER, "password": password });
    people.server.clock.advance(Duration::from_secs(601));
    ground.provider.set_time(people.server.clock.now().unix_ms() / 1000);
    people.post(&browser.who(), IDENTITIES, wanted(None)).await.is_problem(403, "forbidden", IDENTITIES);
    people.post(&browser.who(), IDENTITIES, wanted(Some("not the present"))).await.is_problem(
        403,
        "forbidden",
        IDENTITIES,
    );
    let unknown = json!({ "provider": "none", "password": PASSWORD });
    people.post(&browser.who(), IDENTITIES, unknown).await.is_problem(404, "not_found", IDENTITIES);
    // A page of somebody else begins nothing in their name.
    let evil = [("origin", "https://evil.example")];
    let bare = Who { cookie: None, ..browser.who() };
    let cookie = browser.who().cookie.unwrap();
    let crossed = [evil[0], ("cookie", cookie.as_str())];
    let answer = people.send(&bare, ("POST", IDENTITIES), wanted(Some(PASSWORD)), &crossed).await;
    assert_eq!(answer.code(), "cross_origin");
    assert_eq!(ground.links(&mut browser, ada(), Some(PASSWORD)).await, "/account");
    assert_eq!(ground.links(&mut browser, ada(), Some(PASSWORD)).await, "/account", "it is there already");
    let listed = people.get(&browser.who(), IDENTITIES).await.ok();
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    let one = format!("{IDENTITIES}/{}", listed["data"][0]["id"].as_str().unwrap());
    // Nobody else gets it, sees it or takes it off.
    let other = people.account(Role::User, None).await;
    let mut theirs = Browser::default();
    let session = people.session_of(other).await;
    theirs.0.push(("headwater".into(), session.cookie.unwrap().split_once('=').unwrap().1.to_owned()));
    assert_eq!(ground.links(&mut theirs, ada(), None).await, "/account?error=oidc_taken");
    people.send(&theirs.who(), ("DELETE", &one), Value::Null, &[]).await.is_problem(404, "not_found", &one);
    // Whoever logged out on the way links nothing.
    let answer = people.post(&browser.who(), IDENTITIES, wanted(Some(PASSWORD))).await;
    let mut gone = browser.clone();
    gone.takes(&answer);
    gone.0.retain(|(name, _)| name != "__Host-headwater");
    let url = serde_json::from_str::<Value>(&answer.text).unwrap()["url"].as_str().unwrap().to_owned();
    let back = ground.provider.agrees(&url, json!({ "sub": "ada-2" }));
    assert_eq!(location(&ground.returns(&mut gone, &back).await), "/account?error=oidc_attempt");
    // With a password there is another way in, without one there has to be.
    assert_eq!(people.send(&browser.who(), ("DELETE", &one), Value::Null, &[]).await.status, StatusCode::NO_CONTENT);
    assert_eq!(ground.links(&mut theirs, ada(), None).await, "/account", "it is free again");
    let listed = people.get(&theirs.who(), IDENTITIES).await.ok();
    let one = format!("{IDENTITIES}/{}", listed["data"][0]["id"].as_str().unwrap());
    people.send(&theirs.who(), ("DELETE", &one), Value::Null, &[]).await.is_problem(409, "last_way_in", &one);
    ground.people.stop().await;
}

/// The hash of the password of these tests, as the server makes it.
async fn argon(people: &People) -> String {
    let id = domain::UserId::mint(people.server.clock.now(), people.server.clock.entropy());
    let admin = people.somebody(Role::Admin).await;
    let wanted = json!({ "email": format!("{id}@example.org"), "role": "user", "password": PASSWORD });
    let made = people.post(&admin, "/api/v1/users", wanted).await.created();
    let id = made["id"].as_str().unwrap().parse().unwrap();
    people.server.catalog.user(id).await.unwrap().unwrap().password.unwrap()
}

#[tokio::test]
async fn a_second_factor_is_asked_for_behind_a_provider_too() {
    let ground = Ground::start().await;
    let people = &ground.people;
    let hash = argon(people).await;
    let user = people.account(Role::User, Some(hash)).await;
    let email = people.server.catalog.user(user).await.unwrap().unwrap().email.unwrap();
    let who = by_token(&people.logged_in(&email, PASSWORD).await.ok());
    let begun = people.post(&who, "/api/v1/me/totp", json!({ "password": PASSWORD })).await.ok();
    let secret = begun["secret"].as_str().unwrap();
    let code = json!({ "code": shown(secret, people.server.clock.now()) });
    people.send(&who, ("PUT", "/api/v1/me/totp"), code, &[]).await.ok();
    let person = json!({ "sub": "x", "email": email, "email_verified": true });
    let mut browser = Browser::default();
    assert_eq!(ground.logs_in(&mut browser, person).await, "/login?oidc=code");
    assert!(!browser.has("__Host-headwater"));
    let path = "/api/v1/auth/oidc/code";
    people.server.clock.advance(Duration::from_secs(30));
    let right = json!({ "code": shown(secret, people.server.clock.now()) });
    people.post(&Who::default(), path, right.clone()).await.is_problem(403, "cross_origin", path);
    let origin = [("origin", "https://media.example.org")];
    people.send(&Who::default(), ("POST", path), right.clone(), &origin).await.is_problem(410, "invalid_link", path);
    people.post(&browser.who(), path, json!({ "code": "000000" })).await.is_problem(401, "invalid_code", path);
    let answer = people.post(&browser.who(), path, right.clone()).await;
    browser.takes(&answer);
    assert_eq!(answer.ok()["back"], "/watch/x");
    assert_eq!(ground.me(&browser).await["id"], json!(user));
    people.post(&browser.who(), path, right).await.is_problem(410, "invalid_link", path);
    ground.people.stop().await;
}

#[tokio::test]
async fn nobody_is_sent_elsewhere() {
    let ground = Ground::start().await;
    for back in
        ["https://evil.example/", "//evil.example", "/\\evil.example", "/.//evil.example", "javascript:x", "\t//e"]
    {
        let mut browser = Browser::default();
        let departure = ground.departs(&mut browser, back).await;
        let url = ground.provider.agrees(&departure, ada());
        assert_eq!(location(&ground.returns(&mut browser, &url).await), "/", "{back}");
    }
    // What stands in the cookie is sealed: nobody writes another page into it.
    let mut browser = Browser::default();
    let departure = ground.departs(&mut browser, "/").await;
    let url = ground.provider.agrees(&departure, ada());
    for (_, value) in &mut browser.0 {
        let last = if value.ends_with('A') { "B" } else { "A" };
        value.replace_range(value.len() - 1.., last);
        value.replace_range(20..21, if &value[20..21] == "A" { "B" } else { "A" });
    }
    assert_eq!(location(&ground.returns(&mut browser, &url).await), "/login?error=oidc_attempt");
    ground.people.stop().await;
}

#[tokio::test]
async fn what_a_provider_says_makes_somebody_what_they_are_where_the_settings_say_so() {
    let rule = |value: &str, role| catalog_api::RoleRule { claim: "groups".into(), value: value.into(), role };
    let ground = Ground::start_with(|one| {
        one.roles = vec![rule("media", Role::Uploader), rule("boss", Role::Moderator)];
    });
    let ground = ground.await;
    let role = async |groups: Value| {
        let mut person = ada();
        person["groups"] = groups;
        let mut browser = Browser::default();
        assert_eq!(ground.logs_in(&mut browser, person).await, "/watch/x");
        ground.me(&browser).await["role"].as_str().unwrap().to_owned()
    };
    assert_eq!(role(json!(["others"])).await, "user");
    assert_eq!(role(json!(["others", "media"])).await, "uploader");
    assert_eq!(role(json!(["boss", "media"])).await, "moderator");
    assert_eq!(role(json!("media")).await, "uploader");
    assert_eq!(role(json!({ "media": true })).await, "uploader", "what is not understood changes nothing");
    // At the login that joins an account by its address, too.
    let known = ground.people.account(Role::User, None).await;
    let email = ground.people.server.catalog.user(known).await.unwrap().unwrap().email;
    let person = json!({ "sub": "known", "email": email, "email_verified": true, "groups": ["boss"] });
    let mut browser = Browser::default();
    assert_eq!(ground.logs_in(&mut browser, person).await, "/watch/x");
    let me = ground.me(&browser).await;
    assert_eq!((&me["id"], &me["role"]), (&json!(known), &json!("moderator")));
    ground.people.stop().await;
}
