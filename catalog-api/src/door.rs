//! What every request passes: who asks, and whether they may at all.
//!
//! The table of routes names the action of each operation; what is not in it is not done. Here the action is held
//! against the best case: whoever could not do it even on what is their own is refused before anything is read. What
//! an operation does to one asset its handler asks again, with how the caller stands to that asset.

use std::net::IpAddr;

use axum::extract::{FromRequestParts, MatchedPath, Request, State as Shared};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use catalog_store::Asset;
use domain::authority::{Action, Refusal, Resource, Standing};
use domain::{AssetId, AssetState, Principal, authorize};

use crate::accounts::{Accounts, Caller, Unproven, tell};
use crate::aliases::Named;
use crate::assets::NO_ASSET;
use crate::characters;
use crate::problem::{Problem, chain};
use crate::router::ROUTES;
use crate::{Access, State};

/// Where a request was sent from. Whoever serves the API puts it into the request's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// That a request came over TLS which this process ends. Whoever serves the API puts it into the request's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encrypted;

/// Lets a request in, or says why not.
pub(crate) async fn enter(Shared(state): Shared<State>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let path = parts.extensions.get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let method = if parts.method == Method::HEAD { Method::GET } else { parts.method.clone() };
    // A method that no operation has is told so behind this.
    let Some(action) = path.and_then(|path| action_of(&path, &method)) else {
        return next.run(Request::from_parts(parts, body)).await;
    };
    let caller = caller_of(&state, (&parts.method, &parts.uri, &parts.headers), action).await;
    let peer = parts.extensions.get::<ClientAddress>().copied();
    let principal = caller.as_ref().ok().map(|caller| &caller.principal);
    let rate = state.rates.take(principal, (peer, &parts.headers), state.clock.now());
    if let Some((policy, allowance)) = rate.filter(|(_, allowance)| allowance.is_exceeded) {
        return Problem::too_many_requests(policy, allowance).into_response();
    }
    let admitted = caller.and_then(|caller| {
        caller.may(action, action.best_case())?;
        characters::check(&parts.uri)?;
        parts.extensions.get().map_or(Ok(()), |named| caller.check_named(named))?;
        Ok(caller)
    });
    let mut response = match admitted {
        Ok(caller) => {
            parts.extensions.insert(caller);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(problem) => problem.into_response(),
    };
    if let Some((policy, allowance)) = rate {
        tell(&policy, &allowance, response.headers_mut());
    }
    response
}

fn action_of(path: &str, method: &Method) -> Option<Action> {
    let (_, methods) = ROUTES.iter().find(|(route, _)| *route == path)?;
    methods.iter().find(|(name, _)| method.as_str().eq_ignore_ascii_case(name)).map(|(_, action)| *action)
}

async fn caller_of(
    state: &State,
    (method, uri, headers): (&Method, &Uri, &HeaderMap),
    action: Action,
) -> Result<Caller, Problem> {
    let Access::Accounts(accounts) = &state.access else {
        return Ok(Caller { principal: Principal::Unasked, session: None });
    };
    match accounts.caller(method, uri, headers).await {
        // Clients that renew a token, or begin anew, still send the old one; nobody asks for any there.
        Err(Unproven::InvalidToken) if matches!(action, Action::Describe | Action::SignIn) => Ok(Caller::anonymous()),
        caller => Ok(caller?),
    }
}

/// What let somebody in, kept to be shown again while the answer to them goes on.
pub(crate) struct Pass {
    caller: Caller,
    action: Action,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

impl Pass {
    /// What a request showed for `action`.
    pub(crate) fn new(caller: Caller, action: Action, parts: &Parts) -> Self {
        let shown = [header::AUTHORIZATION, header::COOKIE];
        let headers = shown.into_iter().filter_map(|name| parts.headers.get(&name).map(|value| (name, value.clone())));
        Self { caller, action, method: parts.method.clone(), uri: parts.uri.clone(), headers: headers.collect() }
    }

    /// Whether it would let in the same now, with the same rights. An account that cannot be asked lets nobody in.
    pub(crate) async fn still_holds(&self, state: &State) -> bool {
        let again = caller_of(state, (&self.method, &self.uri, &self.headers), self.action).await;
        again.is_ok_and(|again| again == self.caller && again.may(self.action, self.action.best_case()).is_ok())
    }
}

impl Caller {
    /// Whether the caller may do `action` on `resource`.
    pub(crate) fn may(&self, action: Action, resource: Resource<'_>) -> Result<(), Problem> {
        Ok(authorize(&self.principal, action, resource)?)
    }

    /// Refuses a path that names somebody else where only what is one's own is there.
    fn check_named(&self, Named(user): &Named) -> Result<(), Problem> {
        let is_own = self.principal.member().is_some_and(|member| member.id.to_string() == *user);
        if is_own { Ok(()) } else { Err(Problem::not_found("only what is your own is here: name your own id")) }
    }

    /// Under which name what they do is logged.
    pub(crate) fn actor(&self) -> String {
        self.principal.name().unwrap_or_else(|| "anybody".to_owned())
    }

    /// The name to which what is listed is confined; `None` if all is shown.
    pub(crate) fn confined_to(&self) -> Option<String> {
        self.principal.is_confined().then(|| self.actor())
    }
}

/// Who asks, as the door has found out.
impl FromRequestParts<State> for Caller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &State) -> Result<Self, Response> {
        // What is not in the table of routes has no caller, and is not done.
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Problem::internal().into_response())
    }
}

/// The asset, if the caller may do `action` on it. One that they may not even see is not there.
pub(crate) async fn asset_for(state: &State, caller: &Caller, id: AssetId, action: Action) -> Result<Asset, Problem> {
    let asset = any_asset_for(state, caller, id, action).await?;
    if asset.state == AssetState::Deleted { Err(NO_ASSET.into()) } else { Ok(asset) }
}

/// The same, also of an asset that is deleted.
pub(crate) async fn any_asset_for(
    state: &State,
    caller: &Caller,
    id: AssetId,
    action: Action,
) -> Result<Asset, Problem> {
    let asset = state.catalog.asset(id).await?.ok_or(NO_ASSET)?;
    let standing = standing_to(state, caller, &asset).await?;
    let is_seen = authorize(&caller.principal, Action::ReadAsset, Resource::Asset(standing)).is_ok();
    // A key that only writes is told that it lacks the scope; the asset of a stranger is not there for it either.
    if !is_seen && standing < Standing::Viewer && caller.principal.is_confined() {
        return Err(NO_ASSET.into());
    }
    caller.may(action, Resource::Asset(standing))?;
    Ok(asset)
}

/// How the caller stands to an asset; what nobody asks for is not looked up.
pub(crate) async fn standing_to(state: &State, caller: &Caller, asset: &Asset) -> Result<Standing, Problem> {
    let Some(name) = caller.confined_to() else { return Ok(Standing::Owner) };
    if asset.owner.as_deref() == Some(&*name) {
        return Ok(Standing::Owner);
    }
    Ok(state.catalog.standing(asset.id, &name, state.clock.now()).await?)
}

/// The accounts, where there are any.
pub(crate) fn accounts(state: &State) -> Result<&Accounts, Problem> {
    match &state.access {
        Access::Accounts(accounts) => Ok(accounts),
        Access::Open => Err(Refusal::NoAccounts.into()),
    }
}

/// Where a request comes from, and how.
pub(crate) struct Origin {
    address: Option<IpAddr>,
    is_encrypted: bool,
}

impl Origin {
    /// What the proxies between say of it.
    pub(crate) fn address(&self, accounts: &Accounts, headers: &HeaderMap) -> Option<IpAddr> {
        accounts.address(headers, self.address)
    }

    /// Whether it came over TLS which this process ends.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }
}

impl FromRequestParts<State> for Origin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &State) -> Result<Self, Problem> {
        Ok(Self {
            address: parts.extensions.get::<ClientAddress>().map(|address| address.0),
            is_encrypted: parts.extensions.get::<Encrypted>().is_some(),
        })
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unknown => Self::unauthorized(refusal.to_string()),
            Refusal::Forbidden(reason) => Self::forbidden(reason),
            Refusal::NoAccounts => Self::accounts_off(refusal.to_string()),
        }
    }
}

impl From<Unproven> for Problem {
    fn from(unproven: Unproven) -> Self {
        match unproven {
            Unproven::CrossOrigin => Self::cross_origin(unproven.to_string()),
            Unproven::InvalidToken => Self::invalid_token(unproven.to_string()),
            Unproven::Unavailable(error) => {
                tracing::warn!(error = %chain(&error), "accounts cannot be reached");
                Self::unavailable()
            }
        }
    }
}
