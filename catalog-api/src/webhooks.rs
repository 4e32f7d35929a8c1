//! Webhooks: whom events are sent to, what became of each message, and sending it again.
//!
//! Here they are kept and asked for; the binary sends (docs/webhooks.md).

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State as Shared};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use catalog_store::webhooks::PAGE_DELIVERIES_MAX;
use catalog_store::{Delivery, DeliveryState, Listing, NewDelivery, NewWebhook, Webhook, WebhookChange};
use domain::authority::{Action, Resource};
use domain::{MessageId, Timestamp, Topics, WebhookId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use crate::State;
use crate::accounts::Caller;
use crate::assets::no_store;
use crate::documents::{IfMatch, document, present, tag};
use crate::pages;
use crate::problem::Problem;

mod message;

pub use message::{PAYLOAD_BYTES_MAX, headers, payload_of};

/// Longest address.
const URL_BYTES_MAX: usize = 2000;
/// Longest description.
const DESCRIPTION_CHARS_MAX: usize = 200;
/// Hours for which the secret before the present one is good, unless another time is asked for.
const OVERLAP_HOURS: u32 = 24;
/// Longest such time, in hours.
const OVERLAP_HOURS_MAX: u32 = 7 * 24;
/// Messages on a page when nothing else is asked for.
const PAGE_DELIVERIES: u32 = 20;
/// Ports that messages are sent to, whatever the settings say.
const PORTS: [u16; 2] = [80, 443];

const NO_WEBHOOK: &str = "there is no such webhook of yours";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WebhookRequest {
    url: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    topics: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeRequest {
    #[serde(default, deserialize_with = "present")]
    url: Option<String>,
    #[serde(default, deserialize_with = "present")]
    description: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    topics: Option<Option<Vec<String>>>,
    #[serde(default, deserialize_with = "present")]
    is_enabled: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretRequest {
    /// For how long the present secret goes on being good.
    #[serde(default, deserialize_with = "present")]
    overlap_hours: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplayRequest {
    since: String,
    #[serde(default, deserialize_with = "present")]
    until: Option<String>,
    #[serde(default, deserialize_with = "present")]
    state: Option<String>,
}

/// Which messages.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeliveriesQuery {
    state: Option<String>,
    limit: Option<u32>,
    after: Option<String>,
    before: Option<String>,
}

/// A webhook, without what is secret in it.
#[derive(Serialize)]
pub(crate) struct WebhookView {
    id: WebhookId,
    url: String,
    description: String,
    topics: Vec<String>,
    is_enabled: bool,
    disabled_reason: Option<String>,
    /// Checks signatures of the kind `v1a`.
    public_key: Option<String>,
    /// Until when messages are signed with the secret before this one as well.
    previous_secret_until: Option<String>,
    succeeded_at: Option<String>,
    created_at: String,
    updated_at: String,
    /// Only in the answer that makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

/// A message, and what became of it.
#[derive(Serialize)]
struct DeliveryView {
    id: MessageId,
    seq: Option<u64>,
    topic: String,
    state: DeliveryState,
    attempts: u32,
    next_attempt_at: Option<String>,
    created_at: String,
    updated_at: String,
    payload: Value,
    log: Vec<AttemptView>,
}

#[derive(Serialize)]
struct AttemptView {
    at: String,
    status: Option<u16>,
    error: Option<String>,
    elapsed_ms: u64,
}

pub(crate) async fn list(Shared(state): Shared<State>, caller: Caller) -> Result<Response, Problem> {
    let now = state.clock.now();
    let webhooks = state.catalog.webhooks_of(&caller.actor()).await?;
    let data: Vec<WebhookView> = webhooks.into_iter().map(|webhook| view(&state, webhook, None, now)).collect();
    Ok(pages::whole(data))
}

pub(crate) async fn create(
    Shared(state): Shared<State>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let wanted: WebhookRequest = document(&state, &headers, body).await?;
    let now = state.clock.now();
    let secret = message::mint(&*state.clock);
    let new = NewWebhook {
        id: WebhookId::mint(now, state.clock.entropy()),
        owner: caller.actor(),
        url: checked_url(&state, &wanted.url)?,
        description: checked_description(&wanted.description)?,
        topics: checked_topics(&wanted.topics)?,
        secret: secret.clone(),
    };
    let webhook = state.catalog.create_webhook(&new, now).await?;
    tracing::info!(webhook.id = %webhook.id, owner = webhook.owner, "webhook made");
    let mut answer = no_store();
    let location = format!("/api/v1/webhooks/{}", webhook.id);
    answer.extend(HeaderValue::try_from(location).ok().map(|location| (header::LOCATION, location)));
    answer.extend(tag(webhook.version));
    Ok((StatusCode::CREATED, answer, Json(view(&state, webhook, Some(secret), now))).into_response())
}

pub(crate) async fn show(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let webhook = own(&state, &caller, path).await?;
    Ok(shown(&state, webhook))
}

pub(crate) async fn change(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let webhook = own(&state, &caller, path).await?;
    let condition = IfMatch::of(&headers)?;
    condition.version(webhook.version)?;
    let wanted: ChangeRequest = document(&state, &headers, body).await?;
    let change = || async {
        let webhook = own_of(&state, &caller, &webhook.id.to_string()).await?;
        let version = condition.version(webhook.version)?;
        let present = WebhookChange {
            url: webhook.url.clone(),
            description: webhook.description.clone(),
            topics: webhook.topics.clone(),
            is_enabled: webhook.disabled_reason.is_none(),
        };
        let change = WebhookChange {
            url: wanted.url.as_deref().map_or(Ok(webhook.url.clone()), |url| checked_url(&state, url))?,
            description: match &wanted.description {
                Some(description) => checked_description(description.as_deref().unwrap_or_default())?,
                None => webhook.description.clone(),
            },
            topics: match &wanted.topics {
                Some(topics) => checked_topics(topics.as_deref().unwrap_or_default())?,
                None => webhook.topics.clone(),
            },
            is_enabled: wanted.is_enabled.unwrap_or(present.is_enabled),
        };
        if change == present {
            return Ok(webhook);
        }
        Ok(state.catalog.change_webhook((webhook.id, version), &change, state.clock.now()).await?)
    };
    let changed = condition.tried(change).await?;
    Ok(shown(&state, changed))
}

pub(crate) async fn delete(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let webhook = own(&state, &caller, path).await?;
    let version = IfMatch::of_deletion(&headers, webhook.version)?;
    if !state.catalog.delete_webhook((webhook.id, version), &webhook.owner, state.clock.now()).await? {
        return Err(Problem::not_found(NO_WEBHOOK));
    }
    tracing::info!(webhook.id = %webhook.id, "webhook removed");
    Ok((StatusCode::NO_CONTENT, no_store()).into_response())
}

/// Another secret; the present one goes on being good for a while, so that receivers can be changed one by one.
pub(crate) async fn rotate(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let webhook = own(&state, &caller, path).await?;
    let wanted: SecretRequest = document(&state, &headers, body).await?;
    let hours = wanted.overlap_hours.unwrap_or(OVERLAP_HOURS);
    if hours > OVERLAP_HOURS_MAX {
        return Err(Problem::invalid_member("/overlap_hours", "out_of_range", format!("is 0 to {OVERLAP_HOURS_MAX}")));
    }
    let now = state.clock.now();
    let secret = message::mint(&*state.clock);
    let until = now.plus(Duration::from_hours(hours.into()));
    let webhook = state.catalog.rotate_webhook(webhook.id, &secret, until, now).await?;
    tracing::info!(webhook.id = %webhook.id, "webhook has another secret");
    let mut answer = no_store();
    answer.extend(tag(webhook.version));
    Ok((StatusCode::CREATED, answer, Json(view(&state, webhook, Some(secret), now))).into_response())
}

/// Has a message sent to try the webhook out.
pub(crate) async fn test(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let webhook = own(&state, &caller, path).await?;
    let now = state.clock.now();
    let new = NewDelivery {
        id: MessageId::mint(now, state.clock.entropy()),
        webhook: webhook.id,
        seq: None,
        topic: message::TEST.to_owned(),
        payload: message::payload_of_test(webhook.id, now),
    };
    let delivery = state.catalog.send_message(&new, now).await?;
    Ok((StatusCode::ACCEPTED, no_store(), Json(DeliveryView::from(delivery))).into_response())
}

pub(crate) async fn deliveries(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
    query: Result<Query<DeliveriesQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let webhook = own(&state, &caller, path).await?;
    let Query(query) = query.map_err(|error| Problem::unreadable_query(&error.body_text()))?;
    let wanted = query.state.as_deref().map(|name| DeliveryState::named(name).ok_or_else(wrong_state)).transpose()?;
    let name = format!("deliveries of {} {wanted:?}", webhook.id);
    let list = Listing::of(&state.catalog, name, query.limit, (PAGE_DELIVERIES, PAGE_DELIVERIES_MAX))?
        .at(query.after.as_deref(), query.before.as_deref())?;
    let mut found = state.catalog.deliveries(webhook.id, wanted, list.side()?, list.rows()).await?;
    let page = list.cut(&mut found, |one| one.id.to_string());
    Ok(pages::answer(&uri, found.into_iter().map(DeliveryView::from).collect(), page))
}

pub(crate) async fn delivery(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, Problem> {
    let (webhook, message) = own_message(&state, &caller, path).await?;
    let delivery = state.catalog.delivery(message, webhook.id).await?.ok_or_else(no_message)?;
    Ok((no_store(), Json(DeliveryView::from(delivery))).into_response())
}

/// Sends one message again.
pub(crate) async fn replay_one(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, Problem> {
    let (webhook, message) = own_message(&state, &caller, path).await?;
    let delivery = state.catalog.replay_delivery(message, webhook.id, state.clock.now()).await?;
    let delivery = delivery.ok_or_else(no_message)?;
    Ok((StatusCode::ACCEPTED, no_store(), Json(DeliveryView::from(delivery))).into_response())
}

/// Sends the messages of a time again.
pub(crate) async fn replay_many(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let webhook = own(&state, &caller, path).await?;
    let wanted: ReplayRequest = document(&state, &headers, body).await?;
    let now = state.clock.now();
    let since = instant("/since", &wanted.since)?;
    let until = wanted.until.as_deref().map_or(Ok(now), |until| instant("/until", until))?;
    let which = match wanted.state.as_deref() {
        None => None,
        Some("failed") => Some(DeliveryState::Failed),
        Some("delivered") => Some(DeliveryState::Delivered),
        Some(_) => return Err(Problem::invalid_member("/state", "not_taken", "is failed or delivered")),
    };
    let count = state.catalog.replay_deliveries(webhook.id, (since, until), which, now).await?;
    tracing::info!(webhook.id = %webhook.id, count, "messages are sent again");
    Ok((StatusCode::ACCEPTED, no_store(), Json(json!({ "count": count }))).into_response())
}

/// The webhook, if it is the caller's.
async fn own(state: &State, caller: &Caller, path: Result<Path<String>, PathRejection>) -> Result<Webhook, Problem> {
    let Path(text) = path.map_err(|error| Problem::invalid_path(error.body_text()))?;
    own_of(state, caller, &text).await
}

async fn own_of(state: &State, caller: &Caller, text: &str) -> Result<Webhook, Problem> {
    let id: WebhookId = text.parse().map_err(|error| Problem::invalid_id(&error))?;
    let webhook = state.catalog.webhook(id).await?.ok_or(Problem::not_found(NO_WEBHOOK))?;
    // What belongs to others is not there. Where nobody is asked, all is everybody's.
    let is_own = caller.may(Action::ManageWebhooks, Resource::Belonging(Some(&webhook.owner))).is_ok();
    if is_own { Ok(webhook) } else { Err(Problem::not_found(NO_WEBHOOK)) }
}

async fn own_message(
    state: &State,
    caller: &Caller,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<(Webhook, MessageId), Problem> {
    let Path((webhook, message)) = path.map_err(|error| Problem::invalid_path(error.body_text()))?;
    let webhook = own_of(state, caller, &webhook).await?;
    Ok((webhook, message_id(&message)?))
}

fn message_id(text: &str) -> Result<MessageId, Problem> {
    text.parse().map_err(|error| Problem::invalid_id(&error))
}

fn no_message() -> Problem {
    Problem::not_found("there is no such message, or it is forgotten")
}

fn wrong_state() -> Problem {
    Problem::invalid_query("state is pending, delivered or failed")
}

/// An address that messages may be sent to, as far as that can be told before its name is looked up.
fn checked_url(state: &State, text: &str) -> Result<String, Problem> {
    let wrong = |detail: &str| Problem::invalid_member("/url", "invalid_url", detail);
    if text.len() > URL_BYTES_MAX {
        return Err(wrong("is longer than 2000 characters"));
    }
    let url = Url::parse(text.trim()).map_err(|_| wrong("is no address"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(wrong("begins with https:// or http:// and a host"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(wrong("has no user name, password or fragment"));
    }
    let port = url.port_or_known_default().unwrap_or_default();
    if !PORTS.contains(&port) && !state.webhook_ports.contains(&port) {
        return Err(wrong("has port 80 or 443, or one that the operator allows (webhook_ports)"));
    }
    Ok(url.to_string())
}

fn checked_description(text: &str) -> Result<String, Problem> {
    if text.chars().count() > DESCRIPTION_CHARS_MAX {
        let what = format!("has at most {DESCRIPTION_CHARS_MAX} characters");
        return Err(Problem::invalid_member("/description", "too_long", what));
    }
    Ok(text.chars().filter(|c| !c.is_control()).collect())
}

fn checked_topics(patterns: &[String]) -> Result<Topics, Problem> {
    Topics::new(patterns.iter().map(String::as_str)).map_err(|error| {
        let told = Problem::invalid_body(error.to_string());
        // Where none is wrong there are too many of them.
        match patterns.iter().position(|pattern| Topics::new([pattern.as_str()]).is_err()) {
            Some(at) => told.at_member(&format!("/topics/{at}"), "invalid_topic"),
            None => told.at_member("/topics", "too_many"),
        }
    })
}

/// The instant in the field at `pointer`.
fn instant(pointer: &str, text: &str) -> Result<Timestamp, Problem> {
    let what = "is an instant such as 2026-11-29T05:40:00Z";
    let wrong = || Problem::invalid_member(pointer, "invalid_time", what);
    Timestamp::from_rfc3339(text).ok_or_else(wrong)
}

fn shown(state: &State, webhook: Webhook) -> Response {
    let mut answer = no_store();
    answer.extend(tag(webhook.version));
    (answer, Json(listed(state, webhook))).into_response()
}

/// A webhook, without what is secret in it.
pub(crate) fn listed(state: &State, webhook: Webhook) -> WebhookView {
    view(state, webhook, None, state.clock.now())
}

fn view(state: &State, webhook: Webhook, secret: Option<String>, now: Timestamp) -> WebhookView {
    let secrets = state.catalog.webhook_secrets(&webhook, now).unwrap_or_default();
    let until = webhook.previous_secret.as_ref().map(|(_, until)| *until).filter(|until| *until > now);
    WebhookView {
        id: webhook.id,
        url: webhook.url,
        description: webhook.description,
        topics: webhook.topics.iter().map(str::to_owned).collect(),
        is_enabled: webhook.disabled_reason.is_none(),
        disabled_reason: webhook.disabled_reason,
        public_key: secrets.first().and_then(|secret| message::public_key(secret)),
        previous_secret_until: until.map(Timestamp::rfc3339),
        succeeded_at: webhook.succeeded_at.map(Timestamp::rfc3339),
        created_at: webhook.created_at.rfc3339(),
        updated_at: webhook.updated_at.rfc3339(),
        secret,
    }
}

impl From<Delivery> for DeliveryView {
    fn from(delivery: Delivery) -> Self {
        let attempt = |attempt: catalog_store::Attempt| AttemptView {
            at: attempt.at.rfc3339(),
            status: attempt.status,
            error: attempt.error,
            elapsed_ms: attempt.elapsed_ms,
        };
        Self {
            id: delivery.id,
            seq: delivery.seq,
            topic: delivery.topic,
            state: delivery.state,
            attempts: delivery.attempts,
            next_attempt_at: (delivery.state == DeliveryState::Pending).then(|| delivery.next_at.rfc3339()),
            created_at: delivery.created_at.rfc3339(),
            updated_at: delivery.updated_at.rfc3339(),
            payload: serde_json::from_str(&delivery.payload).unwrap_or_default(),
            log: delivery.log.into_iter().map(attempt).collect(),
        }
    }
}
