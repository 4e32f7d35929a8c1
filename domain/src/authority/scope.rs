//! What an API key is good for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One thing that an API key may do in its owner's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// See the owner's account.
    AccountRead,
    /// See assets.
    AssetsRead,
    /// Change, share and delete assets.
    AssetsWrite,
    /// Upload, import, and hand out upload links.
    UploadsCreate,
    /// Manage accounts.
    UsersAdmin,
    /// Read the audit log.
    AuditRead,
    /// Have events sent elsewhere.
    WebhooksAdmin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 7] = [
        Self::AccountRead,
        Self::AssetsRead,
        Self::AssetsWrite,
        Self::UploadsCreate,
        Self::UsersAdmin,
        Self::AuditRead,
        Self::WebhooksAdmin,
    ];

    /// Its name in documents and in the catalogue.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccountRead => "account:read",
            Self::AssetsRead => "assets:read",
            Self::AssetsWrite => "assets:write",
            Self::UploadsCreate => "uploads:create",
            Self::UsersAdmin => "users:admin",
            Self::AuditRead => "audit:read",
            Self::WebhooksAdmin => "webhooks:admin",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A word that names no scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "scopes are account:read, assets:read, assets:write, uploads:create, users:admin, audit:read and webhooks:admin"
)]
pub struct UnknownScope;

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(name: &str) -> Result<Self, UnknownScope> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name).ok_or(UnknownScope)
    }
}

/// A set of scopes; written as their names with blanks between them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// Whether `scope` is among them.
    pub fn has(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// True if there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those that are in it, in the order of [`Scope::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.has(*scope))
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<T: IntoIterator<Item = Scope>>(scopes: T) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.iter().map(Scope::as_str).collect();
        f.write_str(&names.join(" "))
    }
}

impl FromStr for Scopes {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        text.split_whitespace().map(Scope::from_str).collect()
    }
}

impl Serialize for Scopes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Scope::as_str))
    }
}

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        names.iter().map(|name| name.parse::<Scope>()).collect::<Result<_, _>>().map_err(serde::de::Error::custom)
    }
}
