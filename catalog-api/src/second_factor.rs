//! A second thing that proves who somebody is: begun, confirmed, asked for at the login, removed.

use axum::Json;
use axum::body::Body;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use catalog_store::User;
use serde::Deserialize;
use serde_json::json;

use crate::State;
use crate::accounts::{Accounts, CODES, Caller, LOGIN, secret, totp};
use crate::assets::no_store;
use crate::auth::{counted, limited};
use crate::documents::document;
use crate::door::{Origin, accounts};
use crate::me::{confirmed, own};
use crate::problem::Problem;

/// Octets of a secret: as many as HMAC-SHA-1 makes (RFC 4226 §4).
const SECRET_BYTES: usize = 20;
/// Codes for when the device is lost.
const RECOVERY_CODES: usize = 10;
/// Characters of each.
const RECOVERY_CHARS: usize = 16;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PasswordProof {
    password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CodeProof {
    code: String,
}

/// Makes a secret, which is asked for once a code of it was shown.
pub(crate) async fn begin(
    Shared(state): Shared<State>,
    caller: Caller,
    origin: Origin,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let accounts = accounts(&state)?;
    limited(accounts, &LOGIN, origin.address(accounts, &headers), async || {
        let PasswordProof { password } = document(&state, &headers, body).await?;
        let user = own(accounts, &caller).await?;
        confirmed(accounts, &user, password).await?;
        let octets = secret::octets(accounts.clock());
        let secret = &octets[..SECRET_BYTES];
        accounts.catalog().begin_totp(user.id, &secret::hex(secret), accounts.clock().now()).await?;
        let text = totp::base32(secret);
        let uri = format!("otpauth://totp/Headwater:{}?secret={text}&issuer=Headwater", user.id);
        Ok((no_store(), Json(json!({ "secret": text, "uri": uri }))).into_response())
    })
    .await
}

/// Puts the secret in force, and tells codes for when its device is lost.
pub(crate) async fn confirm(
    Shared(state): Shared<State>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let accounts = accounts(&state)?;
    let CodeProof { code } = document(&state, &headers, body).await?;
    let user = own(accounts, &caller).await?;
    counted(accounts, &CODES, &user.id.to_string())?;
    let (clock, now) = (accounts.clock(), accounts.clock().now());
    let pending = user.totp_pending.as_ref().ok_or_else(Problem::invalid_code)?;
    let pending = accounts.catalog().opened_totp(user.id, pending)?;
    let step = totp::step_of(&totp::unhex(&pending), &code, now).ok_or_else(Problem::invalid_code)?;
    let fresh = || totp::base32(&secret::octets(clock)).chars().take(RECOVERY_CHARS).collect::<String>();
    let codes: Vec<String> = (0..RECOVERY_CODES).map(|_| fresh()).collect();
    let hashes: Vec<String> = codes.iter().map(|code| secret::hash(code)).collect();
    if !accounts.catalog().confirm_totp(user.id, step, &hashes, now).await? {
        return Err(Problem::invalid_code());
    }
    accounts.give_back(&CODES, &user.id.to_string());
    tracing::info!(user.id = %user.id, "second factor set");
    Ok((no_store(), Json(json!({ "recovery_codes": codes }))).into_response())
}

pub(crate) async fn remove(
    Shared(state): Shared<State>,
    caller: Caller,
    origin: Origin,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let accounts = accounts(&state)?;
    limited(accounts, &LOGIN, origin.address(accounts, &headers), async || {
        let PasswordProof { password } = document(&state, &headers, body).await?;
        let user = own(accounts, &caller).await?;
        confirmed(accounts, &user, password).await?;
        accounts.catalog().remove_totp(user.id, accounts.clock().now()).await?;
        tracing::info!(user.id = %user.id, "second factor removed");
        Ok((StatusCode::NO_CONTENT, no_store()).into_response())
    })
    .await
}

/// Asks for the second factor of an account that has one, behind its password.
pub(crate) async fn asked(accounts: &Accounts, user: &User, code: Option<&str>) -> Result<(), Problem> {
    let Some(secret) = user.totp.as_ref() else { return Ok(()) };
    let code = code.ok_or_else(Problem::code_required)?;
    let subject = user.id.to_string();
    counted(accounts, &CODES, &subject)?;
    let (catalog, now) = (accounts.catalog(), accounts.clock().now());
    let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    let secret = catalog.opened_totp(user.id, secret)?;
    let is_right = match totp::step_of(&totp::unhex(&secret), &code, now) {
        // Good once, also for whoever looked over the shoulder.
        Some(step) => catalog.use_totp_step(user.id, step).await?,
        None if code.len() == RECOVERY_CHARS => {
            catalog.take_recovery_code(user.id, &secret::hash(&code.to_ascii_uppercase()), now).await?
        }
        None => false,
    };
    if !is_right {
        return Err(Problem::invalid_code());
    }
    accounts.give_back(&CODES, &subject);
    Ok(())
}
