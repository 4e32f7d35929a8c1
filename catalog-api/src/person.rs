//! How an account looks in JSON, and what may stand in its fields.

use catalog_store::User;
use domain::about::{line, lines};
use domain::authority::Role;
use domain::{Language, UserId};
use serde::Serialize;

use crate::accounts::is_addressable;
use crate::avatars;
use crate::problem::Problem;

/// Longest mail address (RFC 5321 §4.5.3.1.3).
const EMAIL_BYTES_MAX: usize = 254;
/// Longest name.
const NAME_CHARS_MAX: usize = 80;
/// Longest text about oneself.
const BIO_CHARS_MAX: usize = 2000;

/// An account, as it is shown to whoever it is, and to administrators.
#[derive(Serialize)]
pub(crate) struct PersonView {
    id: UserId,
    email: Option<String>,
    name: String,
    bio: String,
    language: Option<String>,
    /// Where their picture is.
    avatar: Option<String>,
    role: Role,
    state: &'static str,
    is_email_verified: bool,
    /// The login asks for a second factor.
    has_second_factor: bool,
    quota_bytes: Option<u64>,
    created_at: String,
    updated_at: String,
}

impl From<User> for PersonView {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            email: user.email,
            name: user.name,
            bio: user.bio,
            language: user.language,
            avatar: user.avatar.map(|picture| avatars::address(user.id, picture)),
            role: user.role,
            state: user.state.as_str(),
            is_email_verified: user.is_email_verified,
            has_second_factor: user.totp.is_some(),
            quota_bytes: user.quota_bytes,
            created_at: user.created_at.rfc3339(),
            updated_at: user.updated_at.rfc3339(),
        }
    }
}

/// A mail address that letters can be sent to.
pub(crate) fn checked_email(text: &str) -> Result<String, Problem> {
    let is_short = text.len() <= EMAIL_BYTES_MAX;
    let text = text.trim();
    let is_address = is_short && is_addressable(text);
    if is_address {
        Ok(text.to_owned())
    } else {
        Err(Problem::invalid_member("/email", "invalid_email", "is no mail address"))
    }
}

/// A name on one line.
pub(crate) fn checked_name(text: &str) -> Result<String, Problem> {
    if text.chars().count() > NAME_CHARS_MAX {
        return Err(Problem::invalid_member("/name", "too_long", format!("has at most {NAME_CHARS_MAX} characters")));
    }
    Ok(line(text))
}

/// A text of several lines.
pub(crate) fn checked_bio(text: &str) -> Result<String, Problem> {
    if text.chars().count() > BIO_CHARS_MAX {
        return Err(Problem::invalid_member("/bio", "too_long", format!("has at most {BIO_CHARS_MAX} characters")));
    }
    Ok(lines(text))
}

/// A language tag.
pub(crate) fn checked_language(text: Option<&str>) -> Result<Option<String>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let language = Language::from_code(text);
    let wrong = || Problem::invalid_member("/language", "invalid_language", "is a BCP 47 tag, such as fr");
    let language = language.ok_or_else(wrong)?;
    Ok(Some(language.to_string()))
}
