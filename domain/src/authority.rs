//! Who may do what: the one question that is put before every operation on the API and on uploads.
//!
//! [`authorize`] decides from three things: who asks ([`Principal`]), what for ([`Action`]) and on what
//! ([`Resource`]). It reads nothing: what it needs to know of a resource comes with it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{KeyId, UserId};

mod scope;

pub use scope::{Scope, Scopes, UnknownScope};

/// What somebody is on this server; each may do what the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sees what others share with them.
    Guest,
    /// Also changes what others let them change.
    User,
    /// Also uploads.
    Uploader,
    /// Also sees, changes and deletes what belongs to others.
    Moderator,
    /// Also decides about accounts.
    Admin,
}

impl Role {
    /// Every role, from the least to the most.
    pub const ALL: [Self; 5] = [Self::Guest, Self::User, Self::Uploader, Self::Moderator, Self::Admin];

    /// Its name in documents and in the catalogue.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Guest => "guest",
            Self::User => "user",
            Self::Uploader => "uploader",
            Self::Moderator => "moderator",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a role is guest, user, uploader, moderator or admin")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(name: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == name).ok_or(UnknownRole)
    }
}

/// Somebody with an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The account.
    pub id: UserId,
    /// What they are at this moment.
    pub role: Role,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// Whoever comes, on a server that asks nobody for a name.
    Unasked,
    /// Nobody that is known, on a server that asks.
    Anonymous,
    /// Somebody who logged in.
    User(Member),
    /// A program with an API key: its owner, within the key's scopes.
    Key(Member, Scopes, KeyId),
    /// The holder of a token of the configuration, which is for uploads.
    Token {
        /// The name behind the token.
        name: String,
    },
}

impl Principal {
    /// The name under which belongings and quota are kept; `None` where there is none.
    pub fn name(&self) -> Option<String> {
        match self {
            Self::Unasked | Self::Anonymous => None,
            Self::User(member) | Self::Key(member, ..) => Some(member.id.to_string()),
            Self::Token { name } => Some(name.clone()),
        }
    }

    /// The account behind it.
    pub fn member(&self) -> Option<Member> {
        match self {
            Self::User(member) | Self::Key(member, ..) => Some(*member),
            Self::Unasked | Self::Anonymous | Self::Token { .. } => None,
        }
    }

    /// The API key that it showed.
    pub fn key(&self) -> Option<KeyId> {
        match self {
            Self::Key(_, _, key) => Some(*key),
            Self::Unasked | Self::Anonymous | Self::User(_) | Self::Token { .. } => None,
        }
    }

    /// Whether it sees only what is its own or shared with it.
    pub fn is_confined(&self) -> bool {
        match self {
            Self::Unasked => false,
            Self::User(member) | Self::Key(member, ..) => member.role < Role::Moderator,
            Self::Anonymous | Self::Token { .. } => true,
        }
    }
}

/// How somebody stands to an asset, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Not at all.
    Stranger,
    /// It is shared with them to look at.
    Viewer,
    /// It is shared with them to change.
    Editor,
    /// It is theirs.
    Owner,
}

impl Standing {
    /// Its name in documents and in the catalogue.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stranger => "stranger",
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::Owner => "owner",
        }
    }

    /// The standing of this name that an asset can be shared with.
    pub fn shared(name: &str) -> Option<Self> {
        [Self::Viewer, Self::Editor, Self::Owner].into_iter().find(|standing| standing.as_str() == name)
    }
}

/// What is asked for. Every operation is one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// To learn what this server offers.
    Describe,
    /// To become somebody: register, log in, refresh, reset a password.
    SignIn,
    /// To look at one's own account.
    ReadSelf,
    /// To change one's own account, sessions and keys.
    ChangeSelf,
    /// To look at the picture of somebody.
    ReadAvatar,
    /// To remove the picture of somebody else.
    RemoveAvatar,
    /// To see and change the accounts of others.
    ManageUsers,
    /// To read the audit log.
    ReadAudit,
    /// To list assets: those that one may see.
    ListAssets,
    /// To follow what happens to assets that one may see.
    FollowEvents,
    /// To look at an asset.
    ReadAsset,
    /// To change what belongs to an asset.
    EditAsset,
    /// To have an asset processed again.
    ReprocessAsset,
    /// To delete an asset.
    DeleteAsset,
    /// To share an asset, and to see with whom it is shared.
    ShareAsset,
    /// To say whether an asset may be shown.
    ReviewAsset,
    /// To list collections: those that one may see.
    ListCollections,
    /// To make a collection.
    CreateCollection,
    /// To look at a collection and what is in it.
    ReadCollection,
    /// To change a collection and what is in it.
    EditCollection,
    /// To delete a collection.
    DeleteCollection,
    /// To share a collection, and to see with whom it is shared.
    ShareCollection,
    /// To make a channel.
    CreateChannel,
    /// To change a channel and what is published there, and to delete it.
    EditChannel,
    /// To create an upload.
    Upload,
    /// To look at, go on with or end an upload.
    UseUpload,
    /// To have a file fetched from another address.
    Import,
    /// To hand out a capability to upload.
    GrantUpload,
    /// To see such capabilities, and to take them back.
    RevokeGrant,
    /// To have events sent elsewhere.
    ManageWebhooks,
    /// To see the work on all assets.
    ListJobs,
}

/// On what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource<'a> {
    /// The server as such, or what the action says itself.
    Service,
    /// An asset, a collection or a channel, to which the one who asks stands like this.
    Asset(Standing),
    /// An upload or a capability that belongs to this name; `None` for those that are nobody's.
    Belonging(Option<&'a str>),
}

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nobody knows who asks.
    #[error("this server wants to know who asks: log in, or send Authorization: Bearer and a token")]
    Unknown,
    /// The one who asks may not do that.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The server keeps no accounts.
    #[error("this server asks nobody for a name and keeps no accounts: start it with --access accounts")]
    NoAccounts,
}

/// What an action asks of accounts.
struct Rule {
    /// The least role.
    role: Role,
    /// The scope that a key needs; `None` if no key is good for it.
    scope: Option<Scope>,
    /// A token of the configuration is good for it.
    takes_tokens: bool,
    /// The least standing to the asset; moderators need none.
    standing: Option<Standing>,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 31] = [
        Self::Describe,
        Self::SignIn,
        Self::ReadSelf,
        Self::ChangeSelf,
        Self::ReadAvatar,
        Self::RemoveAvatar,
        Self::ManageUsers,
        Self::ReadAudit,
        Self::ListAssets,
        Self::FollowEvents,
        Self::ReadAsset,
        Self::EditAsset,
        Self::ReprocessAsset,
        Self::DeleteAsset,
        Self::ShareAsset,
        Self::ReviewAsset,
        Self::ListCollections,
        Self::CreateCollection,
        Self::ReadCollection,
        Self::EditCollection,
        Self::DeleteCollection,
        Self::ShareCollection,
        Self::CreateChannel,
        Self::EditChannel,
        Self::Upload,
        Self::UseUpload,
        Self::Import,
        Self::GrantUpload,
        Self::RevokeGrant,
        Self::ManageWebhooks,
        Self::ListJobs,
    ];

    /// Scopes of what a role may do at all.
    pub fn scopes_of(role: Role) -> Scopes {
        let rules = Self::ALL.into_iter().filter_map(Self::rule).filter(|rule| rule.role <= role);
        rules.filter_map(|rule| rule.scope).collect()
    }

    /// `None` if it is open to all.
    fn rule(self) -> Option<Rule> {
        let rule = |role, scope| Rule { role, scope: Some(scope), takes_tokens: false, standing: None };
        let of_asset = |role, scope, standing| Rule { standing: Some(standing), ..rule(role, scope) };
        let with_tokens = |rule| Rule { takes_tokens: true, ..rule };
        Some(match self {
            Self::Describe | Self::SignIn => return None,
            Self::ReadSelf | Self::ReadAvatar => rule(Role::Guest, Scope::AccountRead),
            Self::RemoveAvatar => rule(Role::Moderator, Scope::UsersAdmin),
            Self::ChangeSelf => Rule { role: Role::Guest, scope: None, takes_tokens: false, standing: None },
            Self::ManageUsers => rule(Role::Admin, Scope::UsersAdmin),
            Self::ReadAudit => rule(Role::Admin, Scope::AuditRead),
            Self::ListAssets | Self::ListCollections | Self::FollowEvents => {
                with_tokens(rule(Role::Guest, Scope::AssetsRead))
            }
            Self::ReadAsset | Self::ReadCollection => {
                with_tokens(of_asset(Role::Guest, Scope::AssetsRead, Standing::Viewer))
            }
            Self::ReviewAsset => of_asset(Role::Moderator, Scope::AssetsWrite, Standing::Stranger),
            Self::CreateCollection => rule(Role::User, Scope::AssetsWrite),
            Self::CreateChannel => rule(Role::Uploader, Scope::AssetsWrite),
            Self::EditAsset | Self::EditCollection => of_asset(Role::User, Scope::AssetsWrite, Standing::Editor),
            Self::ReprocessAsset => of_asset(Role::Uploader, Scope::AssetsWrite, Standing::Editor),
            Self::DeleteAsset
            | Self::ShareAsset
            | Self::DeleteCollection
            | Self::ShareCollection
            | Self::EditChannel => of_asset(Role::User, Scope::AssetsWrite, Standing::Owner),
            Self::ManageWebhooks => rule(Role::Uploader, Scope::WebhooksAdmin),
            Self::ListJobs => rule(Role::Moderator, Scope::AssetsRead),
            Self::Upload | Self::UseUpload | Self::Import | Self::GrantUpload => {
                with_tokens(rule(Role::Uploader, Scope::UploadsCreate))
            }
            // Also of those who hand out places for documents of what is shared with them.
            Self::RevokeGrant => with_tokens(rule(Role::User, Scope::UploadsCreate)),
        })
    }

    /// True for what only exists where there are accounts.
    fn needs_accounts(self) -> bool {
        matches!(
            self,
            Self::SignIn
                | Self::ReadSelf
                | Self::ChangeSelf
                | Self::ReadAvatar
                | Self::RemoveAvatar
                | Self::ManageUsers
                | Self::ReadAudit
        )
    }

    /// The resource that leaves the most open: who may not do it on this may do it on none.
    pub fn best_case(self) -> Resource<'static> {
        match self.rule() {
            Some(Rule { standing: Some(_), .. }) => Resource::Asset(Standing::Owner),
            _ => Resource::Service,
        }
    }
}

/// Decides whether `principal` may do `action` on `resource`.
///
/// # Errors
/// [`Refusal`] says why not. What follows for the answer (that a hidden asset is not there) is the caller's to decide.
pub fn authorize(principal: &Principal, action: Action, resource: Resource<'_>) -> Result<(), Refusal> {
    let Some(rule) = action.rule() else {
        let is_off = *principal == Principal::Unasked && action.needs_accounts();
        return if is_off { Err(Refusal::NoAccounts) } else { Ok(()) };
    };
    match principal {
        Principal::Unasked if action.needs_accounts() => return Err(Refusal::NoAccounts),
        Principal::Unasked => return Ok(()),
        Principal::Anonymous => return Err(Refusal::Unknown),
        Principal::Token { .. } if !rule.takes_tokens => {
            return Err(Refusal::Forbidden("this token is for uploads only"));
        }
        Principal::Token { .. } => {}
        Principal::Key(_, scopes, _) => match rule.scope {
            None => return Err(Refusal::Forbidden("no API key can do this: log in")),
            Some(scope) if !scopes.has(scope) => {
                return Err(Refusal::Forbidden("this API key lacks the scope for it"));
            }
            Some(_) => {}
        },
        Principal::User(_) => {}
    }
    if principal.member().is_some_and(|member| member.role < rule.role) {
        return Err(Refusal::Forbidden("your role does not allow this"));
    }
    on_resource(principal, &rule, resource)
}

fn on_resource(principal: &Principal, rule: &Rule, resource: Resource<'_>) -> Result<(), Refusal> {
    match (resource, rule.standing) {
        (Resource::Asset(standing), Some(least)) if standing < least && principal.is_confined() => {
            Err(Refusal::Forbidden("this belongs to somebody else, who did not share it for this"))
        }
        // What an action asks of an asset it asks of nothing else.
        (Resource::Service | Resource::Belonging(_), Some(_)) => Err(Refusal::Forbidden("this is no asset")),
        (Resource::Belonging(Some(owner)), _) if principal.name().as_deref() != Some(owner) => {
            Err(Refusal::Forbidden("this belongs to somebody else"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
