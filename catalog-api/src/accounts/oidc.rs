//! Providers of identities: who somebody is by the word of another server (OpenID Connect Core 1.0, authorization code
//! with PKCE).
//!
//! Nothing of an attempt is kept here: what belongs to it is sealed in a cookie of the browser that makes it. Of each
//! provider its description and its keys are remembered, no more.

use std::sync::Arc;

use tokio::sync::{Semaphore, SemaphorePermit};

mod provider;
mod token;
mod trip;

pub(crate) use provider::{Departure, OidcError, Provider, Return, challenge};
pub(crate) use token::Person;
pub(crate) use trip::{LIFE, Seals, Trip};

/// Requests to providers at the same time; one more is told to come back later.
const REQUESTS_MAX: usize = 32;

/// A provider as the settings name it.
#[derive(Clone, PartialEq, Eq)]
pub struct ProviderSettings {
    /// Its name in addresses: letters, digits and hyphens.
    pub name: String,
    /// What people read on the button.
    pub label: String,
    /// Its identifier, from which its description is found.
    pub issuer: String,
    /// What it knows this server by.
    pub client_id: String,
    /// What proves that; `None` where PKCE has to do.
    pub client_secret: Option<String>,
    /// What it is asked for, with blanks between; `openid` is among it.
    pub scopes: String,
    /// Whoever it vouches for gets an account.
    pub may_register: bool,
    /// What it says makes somebody what they are; empty to leave that to administrators.
    pub roles: Vec<RoleRule>,
}

/// Without the secret.
impl std::fmt::Debug for ProviderSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProviderSettings")
            .field("name", &self.name)
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

/// Whoever has this value in this claim has this role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleRule {
    /// The claim: a text, or a list of texts.
    pub claim: String,
    /// The value.
    pub value: String,
    /// The role.
    pub role: domain::authority::Role,
}

/// All providers of this server.
pub(crate) struct Providers {
    all: Vec<Arc<Provider>>,
    requests: Semaphore,
}

impl Providers {
    pub(crate) fn new(settings: &[ProviderSettings]) -> Result<Self, OidcError> {
        let all = settings.iter().map(|one| Provider::new(one.clone()).map(Arc::new)).collect::<Result<_, _>>()?;
        Ok(Self { all, requests: Semaphore::new(REQUESTS_MAX) })
    }

    /// The provider of this name.
    pub(crate) fn named(&self, name: &str) -> Option<&Provider> {
        self.all.iter().map(|provider| &**provider).find(|provider| provider.settings().name == name)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &ProviderSettings> {
        self.all.iter().map(|provider| provider.settings())
    }

    /// A place among those who ask a provider something; `None` if all are taken.
    pub(crate) fn place(&self) -> Option<SemaphorePermit<'_>> {
        self.requests.try_acquire().ok()
    }
}
