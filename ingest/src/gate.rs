//! Who may do what: the one question that every request on an upload answers first.
//!
//! A [`Gate`] tells who asks. What follows from that is decided here: an upload belongs to the
//! principal who created it, and an upload created under a capability obeys that capability in every
//! later request too.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;

use axum::http::header::{AUTHORIZATION, COOKIE, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Request};
use catalog_store::{Grant, NewUpload, Upload};
use domain::authority::{Action, Refusal, Resource, Standing};
use domain::{KeyId, Principal, UploadId, authorize};
use sha2::{Digest, Sha256};

use crate::{Denial, State, UploadError, admission, grant};

/// The answer of a [`Gate`], which may ask others for it.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<Principal, Denial>> + Send + 'a>>;

/// Tells who sends a request. What they may do is decided by [`domain::authorize`].
pub trait Gate: Send + Sync + std::fmt::Debug {
    /// The principal behind a request; its method is the one that it means, whatever carries it.
    ///
    /// # Errors
    /// [`Denial::Unauthorized`] when nobody is known by it, [`Denial::Unavailable`] when that cannot be told.
    fn principal<'a>(&'a self, parts: &'a Parts) -> Answer<'a>;

    /// Who goes by `name` at this moment, within what the API key allows with which they once made something; `None`
    /// is the name of whoever made it where nobody was asked.
    ///
    /// # Errors
    /// [`Denial::Unauthorized`] when nobody is known by it any more, [`Denial::Unavailable`] when that cannot be told.
    fn maker<'a>(&'a self, name: Option<&'a str>, key: Option<KeyId>) -> Answer<'a>;
}

/// Everybody may upload, and nobody is asked for a name.
#[derive(Clone, Copy, Debug, Default)]
pub struct Open;

impl Gate for Open {
    fn principal<'a>(&'a self, _: &'a Parts) -> Answer<'a> {
        Box::pin(std::future::ready(Ok(Principal::Unasked)))
    }

    fn maker<'a>(&'a self, _: Option<&'a str>, _: Option<KeyId>) -> Answer<'a> {
        Box::pin(std::future::ready(Ok(Principal::Unasked)))
    }
}

/// A fixed list of bearer tokens (RFC 6750 §2.1), of which only the hashes are kept.
#[derive(Clone)]
pub struct Tokens {
    names: Arc<HashMap<[u8; 32], String>>,
}

impl Tokens {
    /// A gate for these names, each with its token.
    pub fn new(tokens: impl IntoIterator<Item = (String, String)>) -> Self {
        let names = tokens.into_iter().map(|(name, token)| (Sha256::digest(token.as_bytes()).into(), name));
        Self { names: Arc::new(names.collect()) }
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("count", &self.names.len()).finish()
    }
}

impl Gate for Tokens {
    fn principal<'a>(&'a self, parts: &'a Parts) -> Answer<'a> {
        // By hash: how long the look-up takes tells nothing of the tokens.
        let token = bearer(&parts.headers);
        let name = token.and_then(|token| self.names.get(&<[u8; 32]>::from(Sha256::digest(token))));
        let principal = name.map(|name| Principal::Token { name: name.clone() });
        Box::pin(std::future::ready(principal.ok_or(Denial::Unauthorized)))
    }

    fn maker<'a>(&'a self, name: Option<&'a str>, _: Option<KeyId>) -> Answer<'a> {
        let name = name.filter(|name| self.names.values().any(|known| known == name));
        let principal = name.map(|name| Principal::Token { name: name.to_owned() });
        Box::pin(std::future::ready(principal.ok_or(Denial::Unauthorized)))
    }
}

/// The token of a request.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Somebody who was let in.
#[derive(Clone, Debug)]
pub(crate) struct Entrant {
    pub(crate) principal: Principal,
    /// The capability that let them in, with its secret.
    pub(crate) grant: Option<(Grant, String)>,
}

impl Entrant {
    /// The principal who has to answer for what is done.
    pub(crate) fn owner(&self) -> Option<String> {
        match &self.grant {
            Some((grant, _)) => grant.owner.clone(),
            None => self.principal.name(),
        }
    }

    /// Writes down whose upload it is, and under which capability it is created.
    pub(crate) fn sign(&self, new: &mut NewUpload) {
        new.owner = self.owner();
        if let Some((grant, _)) = &self.grant {
            new.terms.grant = Some(grant.id.clone());
            new.terms.bytes_max = grant.bytes_max;
            new.terms.duration_s_max = grant.duration_s_max;
            new.terms.types.clone_from(&grant.types);
        }
    }

    /// Whether what they bring may be shown without anybody else looking at it. Who holds a capability may be anybody.
    pub(crate) fn may_review(&self) -> bool {
        let own = Resource::Asset(Standing::Owner);
        self.grant.is_none() && authorize(&self.principal, Action::ReviewAsset, own).is_ok()
    }

    /// Where this client finds an upload: relative, so that it is right behind any proxy.
    pub(crate) fn location(&self, upload: UploadId) -> String {
        match &self.grant {
            Some((_, secret)) => format!("/uploads/{upload}?grant={secret}"),
            None => format!("/uploads/{upload}"),
        }
    }
}

/// Lets a request on the collection, or on one upload, in; or says why not.
///
/// An upload that does not exist is not missed here.
pub(crate) async fn enter(
    state: &State,
    parts: &Parts,
    method: &Method,
    upload: Option<UploadId>,
) -> Result<Entrant, UploadError> {
    let entered = let_in(state, parts, method, upload).await;
    if let Err(UploadError::Denied(denial)) = &entered {
        state.metrics.refused(denial.status_and_code().1);
    }
    entered
}

async fn let_in(
    state: &State,
    parts: &Parts,
    method: &Method,
    upload: Option<UploadId>,
) -> Result<Entrant, UploadError> {
    let (entrant, upload) = match presented(parts) {
        Some(secret) => by_grant(state, parts, method, secret, upload).await?,
        None => by_name(state, parts, method, upload).await?,
    };
    if let Some(upload) = upload.filter(|upload| *method == Method::PATCH && upload.length.is_none()) {
        // Before an octet is read: what is read is kept.
        admission::may_grow(state, &upload, 0).await?;
    }
    Ok(entrant)
}

/// What let a client in to look at an upload, kept to be shown again while it looks on.
pub(crate) struct Pass(Parts);

impl Pass {
    /// What a request showed.
    pub(crate) fn new(parts: &Parts) -> Self {
        let (mut kept, ()) = Request::new(()).into_parts();
        kept.method = Method::GET;
        kept.uri = parts.uri.clone();
        let shown = [AUTHORIZATION, COOKIE, ORIGIN].into_iter();
        kept.headers = shown.filter_map(|name| parts.headers.get(&name).map(|value| (name, value.clone()))).collect();
        Self(kept)
    }

    /// Fails if it would let in nobody any more.
    pub(crate) async fn still_holds(&self, state: &State, upload: &Upload) -> Result<(), UploadError> {
        match presented(&self.0) {
            Some(_) => still_holds(state, upload).await,
            None => by_name(state, &self.0, &Method::GET, Some(upload.id)).await.map(|_| ()),
        }
    }
}

/// The upload that a request is about, if there is one.
async fn known(state: &State, upload: Option<UploadId>) -> Result<Option<Upload>, UploadError> {
    match upload {
        Some(upload) => Ok(state.catalog.upload(upload).await?),
        None => Ok(None),
    }
}

/// The principal of a request that no capability can stand in for, if they may do `action`.
pub(crate) async fn principal(state: &State, parts: &Parts, action: Action) -> Result<Principal, UploadError> {
    if presented(parts).is_some() {
        return Err(Denial::Forbidden { reason: "an upload link is good for its upload only" }.into());
    }
    let principal = state.gate.principal(parts).await?;
    may(&principal, action, Resource::Service)?;
    Ok(principal)
}

/// Whether `principal` may do `action` on `resource`.
pub(crate) fn may(principal: &Principal, action: Action, resource: Resource<'_>) -> Result<(), Denial> {
    authorize(principal, action, resource).map_err(|refusal| match refusal {
        Refusal::Unknown => Denial::Unauthorized,
        Refusal::Forbidden(reason) => Denial::Forbidden { reason },
        Refusal::NoAccounts => Denial::Forbidden { reason: "this server keeps no accounts" },
    })
}

/// The secret of a capability, in the address or as the token.
fn presented(parts: &Parts) -> Option<&str> {
    let query = parts.uri.query().unwrap_or_default();
    let in_query = query.split('&').find_map(|pair| pair.strip_prefix("grant="));
    in_query.or_else(|| bearer(&parts.headers).filter(|token| token.starts_with(grant::PREFIX)))
}

async fn by_grant(
    state: &State,
    parts: &Parts,
    method: &Method,
    secret: &str,
    upload: Option<UploadId>,
) -> Result<(Entrant, Option<Upload>), UploadError> {
    let id = grant::id_of(secret);
    let grant = state.catalog.grant(&id).await?;
    let grant = usable(state, grant).await?;
    at_origin(&grant, parts, method)?;
    if upload.is_none() && grant.uses_left == 0 {
        return Err(Denial::Grant { problem: "it was used before" }.into());
    }
    let upload = known(state, upload).await?;
    if upload.as_ref().is_some_and(|upload| upload.terms.grant.as_deref() != Some(&id)) {
        return Err(Denial::Grant { problem: "it is for another upload" }.into());
    }
    // Who they are is nobody's business: the capability is all that counts.
    Ok((Entrant { principal: Principal::Anonymous, grant: Some((grant, secret.to_owned())) }, upload))
}

async fn by_name(
    state: &State,
    parts: &Parts,
    method: &Method,
    upload: Option<UploadId>,
) -> Result<(Entrant, Option<Upload>), UploadError> {
    let principal = state.gate.principal(parts).await?;
    let action = if upload.is_some() { Action::UseUpload } else { Action::Upload };
    // Before anything is looked up, so that who may not upload at all learns nothing.
    may(&principal, action, Resource::Service)?;
    let upload = known(state, upload).await?;
    if let Some(upload) = &upload {
        may(&principal, action, Resource::Belonging(upload.owner.as_deref()))?;
        let name = principal.name();
        let is_owner = name.is_some() && name == upload.owner;
        if *method == Method::PATCH && upload.terms.url.is_some() {
            return Err(
                Denial::Forbidden { reason: "this upload is imported and takes no octets from anybody else" }.into()
            );
        }
        // Its owner may always look after it; for anybody else the capability must still hold.
        if !is_owner {
            under_its_grant(state, upload, parts, method).await?;
        }
    }
    Ok((Entrant { principal, grant: None }, upload))
}

async fn under_its_grant(state: &State, upload: &Upload, parts: &Parts, method: &Method) -> Result<(), UploadError> {
    let Some(id) = &upload.terms.grant else { return Ok(()) };
    let grant = usable(state, state.catalog.grant(id).await?).await?;
    at_origin(&grant, parts, method)?;
    Err(Denial::Grant { problem: "its address lacks the secret" }.into())
}

/// Fails if the capability under which an upload was created was taken back since, or who made it may not make it any
/// more.
pub(crate) async fn still_holds(state: &State, upload: &Upload) -> Result<(), UploadError> {
    let Some(id) = &upload.terms.grant else { return Ok(()) };
    match state.catalog.grant(id).await? {
        // Who began in time may finish: only the beginning of each request is held against the clock.
        Some(grant) if !grant.is_revoked => vouched(state, &grant).await,
        Some(_) => Err(Denial::Grant { problem: "it was taken back" }.into()),
        None => Err(Denial::Grant { problem: "it is not known" }.into()),
    }
}

async fn usable(state: &State, grant: Option<Grant>) -> Result<Grant, UploadError> {
    let grant = grant.ok_or(Denial::Grant { problem: "it is not known" })?;
    if grant.is_revoked {
        return Err(Denial::Grant { problem: "it was taken back" }.into());
    }
    if grant.expires_at <= state.clock.now() {
        return Err(Denial::Grant { problem: "it has expired" }.into());
    }
    vouched(state, &grant).await?;
    Ok(grant)
}

/// Fails if who made a capability may not make it any more: it gives nobody more than they have themselves.
async fn vouched(state: &State, grant: &Grant) -> Result<(), UploadError> {
    let refused = Denial::Grant { problem: "who made it may not make it any more" };
    let maker = match state.gate.maker(grant.owner.as_deref(), grant.key).await {
        Err(Denial::Unauthorized) => return Err(refused.into()),
        maker => maker?,
    };
    let Some(asset) = grant.asset else {
        return Ok(may(&maker, Action::GrantUpload, Resource::Service).map_err(|_| refused)?);
    };
    let standing = match maker.name() {
        Some(name) => state.catalog.standing(asset, &name, state.clock.now()).await?,
        None => Standing::Stranger,
    };
    let action = if grant.is_document { Action::EditAsset } else { Action::ReprocessAsset };
    Ok(may(&maker, action, Resource::Asset(standing)).map_err(|_| refused)?)
}

/// A browser says where a page comes from with everything that changes something, and cannot be made to lie.
fn at_origin(grant: &Grant, parts: &Parts, method: &Method) -> Result<(), Denial> {
    let Some(wanted) = &grant.origin else { return Ok(()) };
    let refused = Denial::Grant { problem: "it is for pages of another origin" };
    match parts.headers.get(ORIGIN) {
        Some(origin) if origin.as_bytes().eq_ignore_ascii_case(wanted.as_bytes()) => Ok(()),
        None if matches!(*method, Method::GET | Method::HEAD) => Ok(()),
        _ => Err(refused),
    }
}

#[cfg(test)]
mod tests {
    use domain::authority::{Member, Role};

    use super::*;

    fn with(authorization: Option<&str>) -> Parts {
        let mut request = Request::builder();
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        request.body(()).expect("a request").into_parts().0
    }

    #[tokio::test]
    async fn a_token_names_its_principal_and_nothing_else_does() {
        let gate = Tokens::new([("ada".to_owned(), "secret-a".to_owned()), ("bob".to_owned(), "secret-b".to_owned())]);
        let named = async |header: &str| gate.principal(&with(Some(header))).await.map(|principal| principal.name());
        assert_eq!(named("Bearer secret-a").await, Ok(Some("ada".into())));
        assert_eq!(named("bearer  secret-b").await, Ok(Some("bob".into())));
        for wrong in ["Bearer secret", "Bearer ", "Basic secret-a", "secret-a", "Bearer secret-a secret-b"] {
            assert_eq!(named(wrong).await, Err(Denial::Unauthorized), "{wrong}");
        }
        assert_eq!(gate.principal(&with(None)).await, Err(Denial::Unauthorized));
        assert!(!format!("{gate:?}").contains("secret"));
        let maker = async |name| gate.maker(name, None).await.map(|principal| principal.name());
        assert_eq!(maker(Some("ada")).await, Ok(Some("ada".into())));
        for gone in [Some("eve"), Some("secret-a"), None] {
            assert_eq!(maker(gone).await, Err(Denial::Unauthorized), "{gone:?}");
        }
    }

    #[tokio::test]
    async fn an_open_gate_lets_everybody_in() {
        assert_eq!(Open.principal(&with(None)).await, Ok(Principal::Unasked));
        assert_eq!(Open.maker(None, None).await, Ok(Principal::Unasked));
    }

    #[test]
    fn what_moderators_bring_themselves_nobody_else_has_to_look_at() {
        let member = |role| Member { id: domain::UserId::from_u128(1), role };
        let entrant = |principal| Entrant { principal, grant: None };
        for (role, expected) in [(Role::Uploader, false), (Role::Moderator, true), (Role::Admin, true)] {
            assert_eq!(entrant(Principal::User(member(role))).may_review(), expected, "{role}");
        }
        assert!(!entrant(Principal::Token { name: "ada".into() }).may_review());
        assert!(entrant(Principal::Unasked).may_review(), "where nobody is asked for a name, nobody reviews");
        let grant = Grant {
            id: "grt_1".into(),
            owner: Some("usr_1".into()),
            key: None,
            bytes_max: None,
            duration_s_max: None,
            types: Vec::new(),
            origin: None,
            uses_left: 1,
            expires_at: domain::Timestamp::from_unix_ms(0),
            is_revoked: false,
            created_at: domain::Timestamp::from_unix_ms(0),
            asset: None,
            is_document: false,
        };
        let handed_on =
            Entrant { grant: Some((grant, "secret".into())), ..entrant(Principal::User(member(Role::Admin))) };
        assert!(!handed_on.may_review(), "whoever gave it away has not seen the file");
    }

    #[test]
    fn a_capability_is_found_in_the_address_or_as_the_token() {
        let found = |uri: &str, authorization: &str| {
            let request = Request::builder().uri(uri).header(AUTHORIZATION, authorization);
            let (parts, ()) = request.body(()).expect("a request").into_parts();
            presented(&parts).map(str::to_owned)
        };
        assert_eq!(found("/uploads?grant=grt_x", "").as_deref(), Some("grt_x"));
        assert_eq!(found("/uploads?a=b&grant=grt_x&c", "").as_deref(), Some("grt_x"));
        assert_eq!(found("/uploads", "Bearer grt_y").as_deref(), Some("grt_y"));
        assert_eq!(found("/uploads", "Bearer other"), None);
    }
}
