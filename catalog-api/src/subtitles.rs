//! Subtitle files of an asset: added, shown, removed.
//!
//! The file is stored as it is; a job reads it. What can be refused without reading is refused here.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State as Shared};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use catalog_store::{NewText, Text, TextFlags};
use domain::about::{Fault, at_most, line};
use domain::authority::Action;
use domain::text::{BYTES_MAX, NAME_CHARS_MAX};
use domain::{AssetId, AssetState, JobId, Language, TextId};
use media_store::layout;
use serde::Deserialize;

use crate::accounts::Caller;
use crate::assets::{Missing, asset_id, asset_in, no_store, output_of};
use crate::documents::{IfMatch, document, present, tag};
use crate::door::asset_for;
use crate::pages;
use crate::problem::{Problem, chain};
use crate::view::{SubtitleView, subtitles};
use crate::{State, body};

/// Longest label of a character set, in octets.
const CHARSET_BYTES_MAX: usize = 40;

/// What is said of a file besides its octets.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddQuery {
    language: Option<String>,
    name: Option<String>,
    charset: Option<String>,
    #[serde(default)]
    forced: bool,
    #[serde(default)]
    default: bool,
    #[serde(default)]
    hearing_impaired: bool,
}

/// What is to be changed of what is said.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    #[serde(default, deserialize_with = "present")]
    language: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    name: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    is_forced: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    is_default: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    is_hearing_impaired: Option<bool>,
}

pub(crate) async fn list(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let asset = asset_for(&state, &caller, asset_in(path)?, Action::ReadAsset).await?;
    let (output, texts) = output_of(&state, &asset).await?;
    Ok(pages::whole(subtitles(&asset, &output, &texts)))
}

pub(crate) async fn show(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, Problem> {
    let (asset, id) = text_in(path)?;
    asset_for(&state, &caller, asset, Action::ReadAsset).await?;
    shown(&state.catalog.text(asset, id).await?.ok_or(NO_TEXT)?)
}

/// Changes language, name and flags by JSON Merge Patch (RFC 7396); what was made of the file stays.
pub(crate) async fn change(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (asset, id) = text_in(path)?;
    asset_for(&state, &caller, asset, Action::EditAsset).await?;
    let text = state.catalog.text(asset, id).await?.ok_or(NO_TEXT)?;
    let condition = IfMatch::of(&headers)?;
    condition.version(text.version)?;
    let wanted: Change = document(&state, &headers, body).await?;
    let change = || async {
        let text = state.catalog.text(asset, id).await?.ok_or(NO_TEXT)?;
        let version = condition.version(text.version)?;
        let flags = changed(wanted.clone(), &text)?;
        let present = (&text.language, &text.name, text.is_forced, text.is_default, text.is_sdh);
        if (&flags.language, &flags.name, flags.is_forced, flags.is_default, flags.is_sdh) == present {
            return Ok(text);
        }
        let now = state.clock.now();
        let job = JobId::mint(now, state.clock.entropy());
        let text = state.catalog.change_text((asset, id), version, &flags, job, now).await?.ok_or(NO_TEXT)?;
        tracing::info!(asset.id = %asset, text.id = %id, "text described");
        Ok(text)
    };
    let text = condition.tried(change).await?;
    shown(&text)
}

fn shown(text: &Text) -> Result<Response, Problem> {
    let mut headers = no_store();
    headers.extend(tag(text.version));
    Ok((headers, Json(SubtitleView::from(text))).into_response())
}

/// What is said once `wanted` is done.
fn changed(wanted: Change, text: &Text) -> Result<TextFlags, Problem> {
    let mut faults = Vec::new();
    let language = match wanted.language {
        None => text.language.clone(),
        Some(code) => {
            let code = code.as_deref().map(str::trim).filter(|code| !code.is_empty());
            let language = code.and_then(Language::from_tag);
            if code.is_some() && language.is_none() {
                faults.push(Fault::new("/language", "unknown_language", "is a BCP 47 tag or an ISO 639 code"));
            }
            language
        }
    };
    let name = wanted.name.unwrap_or_else(|| text.name.clone());
    at_most(name.as_deref().unwrap_or_default(), NAME_CHARS_MAX, "/name", &mut faults);
    let name = name.map(|name| line(&name)).filter(|name| !name.is_empty());
    if !faults.is_empty() {
        return Err(Problem::invalid_fields(faults));
    }
    Ok(TextFlags {
        language,
        name,
        is_forced: wanted.is_forced.unwrap_or(text.is_forced),
        is_default: wanted.is_default.unwrap_or(text.is_default),
        is_sdh: wanted.is_hearing_impaired.unwrap_or(text.is_sdh),
    })
}

pub(crate) async fn add(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<AddQuery>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let asset = asset_in(path)?;
    let Query(query) = query.map_err(|error| Problem::unreadable_query(&error.body_text()))?;
    let now = state.clock.now();
    let new = described(asset, TextId::mint(now, state.clock.entropy()), query)?;
    // Asked before the body is taken, and again in the transaction that adds it.
    if asset_for(&state, &caller, asset, Action::EditAsset).await?.state == AssetState::Failed {
        return Err(Problem::asset_failed());
    }
    let content = body::read(&state, &headers, body, BYTES_MAX).await?;
    check(&content)?;
    let (key, bytes) = (layout::text(asset, new.id), content.len());
    state.store.put_once(&key, content).await?;
    if let Err(error) = state.catalog.add_text(&new, JobId::mint(now, state.clock.entropy()), now).await {
        // Nobody knows of it, so nobody else removes it before the asset is deleted.
        if let Err(left) = state.store.delete(&key).await {
            tracing::warn!(asset.id = %asset, error = %chain(&left), "a refused text is left in the store");
        }
        return Err(error.into());
    }
    tracing::info!(asset.id = %asset, text.id = %new.id, bytes, "text added");
    let text = state.catalog.text(asset, new.id).await?.ok_or(NO_TEXT)?;
    let mut headers = no_store();
    headers.extend(tag(text.version));
    let location = format!("/api/v1/assets/{asset}/subtitles/{}", new.id);
    headers.extend(HeaderValue::try_from(location).ok().map(|location| (header::LOCATION, location)));
    Ok((StatusCode::CREATED, headers, Json(SubtitleView::from(&text))).into_response())
}

pub(crate) async fn remove(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (asset, id) = text_in(path)?;
    asset_for(&state, &caller, asset, Action::EditAsset).await?;
    let text = state.catalog.text(asset, id).await?.ok_or(NO_TEXT)?;
    let version = IfMatch::of_deletion(&headers, text.version)?;
    let now = state.clock.now();
    if !state.catalog.remove_text((asset, id), version, JobId::mint(now, state.clock.entropy()), now).await? {
        return Err(NO_TEXT.into());
    }
    tracing::info!(asset.id = %asset, text.id = %id, "text taken back");
    Ok((StatusCode::NO_CONTENT, no_store()).into_response())
}

/// There is no such text.
pub(crate) const NO_TEXT: Missing = Missing("the asset has no such subtitle file");

fn text_in(path: Result<Path<(String, String)>, PathRejection>) -> Result<(AssetId, TextId), Problem> {
    let Path((asset, text)) = path.map_err(|error| Problem::invalid_path(error.body_text()))?;
    Ok((asset_id(&asset)?, text.parse().map_err(|error| Problem::invalid_id(&error))?))
}

fn described(asset: AssetId, id: TextId, query: AddQuery) -> Result<NewText, Problem> {
    let language = match query.language.as_deref().map(str::trim).filter(|code| !code.is_empty()) {
        Some(code) => Some(Language::from_tag(code).ok_or_else(Problem::unknown_language)?),
        None => None,
    };
    if query.name.as_ref().is_some_and(|name| name.chars().count() > NAME_CHARS_MAX) {
        return Err(Problem::invalid_query(format!("name has at most {NAME_CHARS_MAX} characters")));
    }
    let name = query.name.map(|name| line(&name)).filter(|name| !name.is_empty());
    let charset = query.charset.filter(|label| !label.trim().is_empty());
    if charset.as_ref().is_some_and(|label| label.len() > CHARSET_BYTES_MAX || !label.is_ascii()) {
        return Err(Problem::invalid_query("charset is the label of a character set, such as windows-1251"));
    }
    let (is_forced, is_default, is_sdh) = (query.forced, query.default, query.hearing_impaired);
    Ok(NewText { id, asset, language, name, charset, is_forced, is_default, is_sdh, replaces: None })
}

/// Refuses what is certainly no subtitle file, whatever the character set.
fn check(content: &[u8]) -> Result<(), Problem> {
    let is_blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0;
    if content.iter().all(is_blank) {
        return Err(Problem::invalid_body("the body is the subtitle file, and it is empty"));
    }
    if is_text(content) { Ok(()) } else { Err(Problem::not_text()) }
}

/// True unless there are octets that no text has.
fn is_text(content: &[u8]) -> bool {
    let zeros = |parity: usize| content.iter().skip(parity).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd) = (zeros(0), zeros(1));
    if even + odd > 0 {
        // UTF-16 has its zeros in one half of each pair; in the other they would be the character NUL.
        return even.min(odd) * 16 <= even.max(odd);
    }
    let is_odd = |byte: &&u8| byte.is_ascii_control() && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1a | 0x1b);
    content.iter().filter(is_odd).count() * 64 <= content.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_in_any_character_set_is_told_from_other_files() {
        let wide: Vec<u8> = "1\n00:01,000 --> 00:02,000\nПривет".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for text in
            [b"1\n00:01,000 --> 00:02,000\nHi\n".as_slice(), b"\xcf\xf0\xe8\xe2\xe5\xf2", &wide, b"\x1b$B$3\x1b(B"]
        {
            assert!(is_text(text), "{text:?}");
        }
        let other = [
            b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x01\0\0\0\x01\0".as_slice(),
            b"PG\0\0\x12\x34\0\0\0\0\x16\0\x13\x07\x80\x04\x38",
            b"\x01\x02\x03\x04\x05\x06\x07\x08",
        ];
        for other in other {
            assert!(!is_text(other), "{other:?}");
        }
    }
}
