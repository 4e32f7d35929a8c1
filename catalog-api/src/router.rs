//! The whole HTTP surface of this crate.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State as Shared;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, patch, post, put};
use axum::{Json, Router, middleware};
use catalog_store::Catalog;
use domain::Clock;
use domain::authority::Action;
use http::header;
use media_store::MediaStore;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accounts::Accounts;
use crate::body::BODIES_MAX;
use crate::picture::Studio;
use crate::problem::Problem;
use crate::publicity::HashPassword;
use crate::rates::{self, Rates};
use crate::tickets::Tickets;
use crate::{
    aliases, asset_documents, assets, audit, auth, availability, avatars, channels, chapters, collections, cues,
    describe, door, erasure, events, idempotency, jobs, markers, me, notifications, oidc, poster, preview, problem,
    publicity, reprocess, search, second_factor, shares, subtitles, tickets, unchanged, users, versions, webhooks,
};

/// Every route with its methods, and what each asks for; HEAD is answered wherever GET is.
pub const ROUTES: &[(&str, &[(&str, Action)])] = &[
    ("/.well-known/jwks.json", &[("get", Action::Describe)]),
    ("/api/problems/{code}", &[("get", Action::Describe)]),
    ("/api/v1/access", &[("get", Action::Describe)]),
    ("/api/v1/assets", &[("get", Action::ListAssets)]),
    (
        "/api/v1/assets/{id}",
        &[("get", Action::ReadAsset), ("patch", Action::EditAsset), ("delete", Action::DeleteAsset)],
    ),
    ("/api/v1/assets/{id}/channel", &[("put", Action::ShareAsset), ("delete", Action::ShareAsset)]),
    ("/api/v1/assets/{id}/documents", &[("get", Action::ReadAsset), ("post", Action::EditAsset)]),
    (
        "/api/v1/assets/{id}/documents/{document}",
        &[("get", Action::ReadAsset), ("patch", Action::EditAsset), ("delete", Action::EditAsset)],
    ),
    ("/api/v1/assets/{id}/subtitles", &[("get", Action::ReadAsset), ("post", Action::EditAsset)]),
    (
        "/api/v1/assets/{id}/subtitles/{subtitle}",
        &[("get", Action::ReadAsset), ("patch", Action::EditAsset), ("delete", Action::EditAsset)],
    ),
    ("/api/v1/assets/{id}/subtitles/{subtitle}/cues", &[("get", Action::ReadAsset), ("put", Action::EditAsset)]),
    (
        "/api/v1/assets/{id}/chapters",
        &[("get", Action::ReadAsset), ("put", Action::EditAsset), ("delete", Action::EditAsset)],
    ),
    (
        "/api/v1/assets/{id}/markers",
        &[("get", Action::ReadAsset), ("put", Action::EditAsset), ("delete", Action::EditAsset)],
    ),
    (
        "/api/v1/assets/{id}/poster",
        &[("get", Action::ReadAsset), ("put", Action::EditAsset), ("delete", Action::EditAsset)],
    ),
    ("/api/v1/assets/{id}/jobs", &[("get", Action::ReadAsset)]),
    ("/api/v1/assets/{id}/preview", &[("post", Action::ReviewAsset)]),
    ("/api/v1/assets/{id}/access", &[("get", Action::EditAsset), ("put", Action::ShareAsset)]),
    ("/api/v1/playback/{playback}/ticket", &[("post", Action::ListAssets)]),
    ("/api/v1/assets/{id}/reprocess", &[("post", Action::ReprocessAsset)]),
    ("/api/v1/assets/{id}/restore", &[("post", Action::DeleteAsset)]),
    ("/api/v1/assets/{id}/schedule", &[("put", Action::ShareAsset), ("delete", Action::ShareAsset)]),
    ("/api/v1/assets/{id}/stage", &[("put", Action::ShareAsset)]),
    ("/api/v1/assets/{id}/search", &[("get", Action::ReadAsset)]),
    ("/api/v1/assets/{id}/shares", &[("get", Action::ShareAsset)]),
    ("/api/v1/assets/{id}/shares/{user}", &[("put", Action::ShareAsset), ("delete", Action::ShareAsset)]),
    ("/api/v1/assets/{id}/versions", &[("get", Action::ReadAsset), ("post", Action::ReprocessAsset)]),
    ("/api/v1/assets/{id}/versions/{version}/restore", &[("post", Action::ReprocessAsset)]),
    ("/api/v1/audit-log", &[("get", Action::ReadAudit)]),
    ("/api/v1/auth/forgot-password", &[("post", Action::SignIn)]),
    ("/api/v1/auth/login", &[("post", Action::SignIn)]),
    ("/api/v1/auth/logout", &[("post", Action::SignIn)]),
    ("/api/v1/auth/oidc", &[("get", Action::Describe)]),
    ("/api/v1/auth/oidc/code", &[("post", Action::SignIn)]),
    ("/api/v1/auth/oidc/{provider}", &[("get", Action::SignIn)]),
    ("/api/v1/auth/oidc/{provider}/callback", &[("get", Action::SignIn)]),
    ("/api/v1/auth/refresh", &[("post", Action::SignIn)]),
    ("/api/v1/auth/register", &[("post", Action::SignIn)]),
    ("/api/v1/auth/reset-password", &[("post", Action::SignIn)]),
    ("/api/v1/auth/setup", &[("post", Action::SignIn)]),
    ("/api/v1/auth/verify-email", &[("post", Action::SignIn)]),
    ("/api/v1/bin", &[("get", Action::ListAssets)]),
    ("/api/v1/channels", &[("get", Action::ListAssets), ("post", Action::CreateChannel)]),
    (
        "/api/v1/channels/{channel}",
        &[("get", Action::ListAssets), ("patch", Action::EditChannel), ("delete", Action::EditChannel)],
    ),
    ("/api/v1/channels/{channel}/assets", &[("get", Action::ListAssets)]),
    ("/api/v1/collections", &[("get", Action::ListCollections), ("post", Action::CreateCollection)]),
    (
        "/api/v1/collections/{collection}",
        &[("get", Action::ReadCollection), ("patch", Action::EditCollection), ("delete", Action::DeleteCollection)],
    ),
    ("/api/v1/collections/{collection}/items", &[("get", Action::ReadCollection), ("post", Action::EditCollection)]),
    (
        "/api/v1/collections/{collection}/items/{item}",
        &[("patch", Action::EditCollection), ("delete", Action::EditCollection)],
    ),
    ("/api/v1/collections/{collection}/shares", &[("get", Action::ShareCollection)]),
    (
        "/api/v1/collections/{collection}/shares/{user}",
        &[("put", Action::ShareCollection), ("delete", Action::ShareCollection)],
    ),
    ("/api/v1/events", &[("get", Action::FollowEvents)]),
    ("/api/v1/jobs", &[("get", Action::ListJobs)]),
    ("/api/v1/jobs/{job}", &[("get", Action::ReadAsset)]),
    ("/api/v1/me", &[("get", Action::ReadSelf), ("patch", Action::ChangeSelf), ("delete", Action::ChangeSelf)]),
    ("/api/v1/me/api-keys", &[("get", Action::ChangeSelf), ("post", Action::ChangeSelf)]),
    ("/api/v1/me/api-keys/{key}", &[("delete", Action::ChangeSelf)]),
    ("/api/v1/me/avatar", &[("put", Action::ChangeSelf), ("delete", Action::ChangeSelf)]),
    ("/api/v1/me/export", &[("get", Action::ChangeSelf)]),
    ("/api/v1/me/identities", &[("get", Action::ChangeSelf), ("post", Action::ChangeSelf)]),
    ("/api/v1/me/identities/{identity}", &[("delete", Action::ChangeSelf)]),
    ("/api/v1/me/notification-preferences", &[("get", Action::ChangeSelf), ("patch", Action::ChangeSelf)]),
    ("/api/v1/me/notifications", &[("get", Action::ReadSelf)]),
    ("/api/v1/me/notifications/read", &[("post", Action::ChangeSelf)]),
    ("/api/v1/me/notifications/{notification}", &[("delete", Action::ChangeSelf)]),
    ("/api/v1/me/notifications/{notification}/read", &[("put", Action::ChangeSelf)]),
    ("/api/v1/me/password", &[("put", Action::ChangeSelf)]),
    ("/api/v1/me/sessions", &[("get", Action::ChangeSelf), ("delete", Action::ChangeSelf)]),
    ("/api/v1/me/sessions/{session}", &[("delete", Action::ChangeSelf)]),
    ("/api/v1/me/subscriptions", &[("get", Action::ReadSelf)]),
    ("/api/v1/me/subscriptions/assets", &[("get", Action::ReadSelf)]),
    ("/api/v1/me/subscriptions/{channel}", &[("put", Action::ChangeSelf), ("delete", Action::ChangeSelf)]),
    ("/api/v1/me/totp", &[("post", Action::ChangeSelf), ("put", Action::ChangeSelf)]),
    ("/api/v1/me/totp/removal", &[("post", Action::ChangeSelf)]),
    ("/api/v1/me/verification", &[("post", Action::ChangeSelf)]),
    ("/api/v1/openapi.json", &[("get", Action::Describe)]),
    ("/api/v1/reviews", &[("get", Action::ListAssets)]),
    ("/api/v1/search", &[("get", Action::ListAssets)]),
    ("/api/v1/users", &[("get", Action::ManageUsers), ("post", Action::ManageUsers)]),
    (
        "/api/v1/users/{user}",
        &[("get", Action::ManageUsers), ("patch", Action::ManageUsers), ("delete", Action::ManageUsers)],
    ),
    ("/api/v1/users/{user}/avatar", &[("get", Action::ReadAvatar), ("delete", Action::RemoveAvatar)]),
    ("/api/v1/webhooks", &[("get", Action::ManageWebhooks), ("post", Action::ManageWebhooks)]),
    (
        "/api/v1/webhooks/{webhook}",
        &[("get", Action::ManageWebhooks), ("patch", Action::ManageWebhooks), ("delete", Action::ManageWebhooks)],
    ),
    ("/api/v1/webhooks/{webhook}/deliveries", &[("get", Action::ManageWebhooks)]),
    ("/api/v1/webhooks/{webhook}/deliveries/{message}", &[("get", Action::ManageWebhooks)]),
    ("/api/v1/webhooks/{webhook}/deliveries/{message}/replay", &[("post", Action::ManageWebhooks)]),
    ("/api/v1/webhooks/{webhook}/replay", &[("post", Action::ManageWebhooks)]),
    ("/api/v1/webhooks/{webhook}/secrets", &[("post", Action::ManageWebhooks)]),
    ("/api/v1/webhooks/{webhook}/test", &[("post", Action::ManageWebhooks)]),
];

/// Who may use this server.
#[derive(Clone, Debug)]
pub enum Access {
    /// Everybody, and nobody is asked for a name.
    Open,
    /// Those who have an account.
    Accounts(Accounts),
}

/// What the handlers work with.
#[derive(Clone)]
pub struct State {
    pub(crate) catalog: Catalog,
    pub(crate) store: MediaStore,
    pub(crate) clock: Arc<dyn Clock>,
    /// Ends the event streams, so that a shutdown need not wait for them.
    pub(crate) shutdown: CancellationToken,
    pub(crate) streams: events::Places,
    pub(crate) bodies: Arc<Semaphore>,
    /// Where pictures that are sent are decoded.
    pub(crate) studio: Studio,
    pub(crate) access: Access,
    /// What goes on when whoever asked for it is gone.
    pub(crate) tasks: TaskTracker,
    /// Ports that webhooks may have besides the usual ones.
    pub(crate) webhook_ports: Arc<[u16]>,
    /// How long what is deleted lies in the bin; `None` if there is none.
    pub(crate) bin_retention: Option<Duration>,
    /// Somebody has to look at what is to be shown.
    pub(crate) has_review: bool,
    /// Who signs what opens assets that not everybody plays.
    pub(crate) tickets: Tickets,
    /// How often everybody may ask.
    pub(crate) rates: Arc<Rates>,
    /// How passwords that open assets are kept; `None` where none are set.
    pub(crate) hash_password: Option<HashPassword>,
}

impl State {
    /// The API over this catalogue, open to everybody; event streams end when `shutdown` is cancelled.
    pub fn new(catalog: Catalog, store: MediaStore, clock: Arc<dyn Clock>, shutdown: CancellationToken) -> Self {
        let (streams, bodies) = (events::Places::new(), Arc::new(Semaphore::new(BODIES_MAX)));
        Self {
            catalog,
            store,
            clock,
            shutdown,
            streams,
            bodies,
            studio: Studio::new(),
            access: Access::Open,
            tasks: TaskTracker::new(),
            webhook_ports: Arc::default(),
            bin_retention: None,
            has_review: false,
            tickets: Tickets::none(),
            hash_password: None,
            rates: Arc::default(),
        }
    }

    /// The same for those whom `access` lets in.
    #[must_use]
    pub fn with_access(self, access: Access) -> Self {
        Self { access, ..self }
    }

    /// The same, with tasks that a shutdown waits for.
    #[must_use]
    pub fn with_tasks(self, tasks: TaskTracker) -> Self {
        Self { tasks, ..self }
    }

    /// Operations of another crate below `/api`, done once for each `Idempotency-Key` and asked for as often as those of
    /// this one are.
    pub fn once_around(&self, router: Router) -> Router {
        let router = idempotency::around(self.clone(), router);
        router.layer(middleware::from_fn_with_state(self.clone(), rates::bounded))
    }

    /// Operations of another crate, whose errors are told as those of this one are: with titles in the language of
    /// whoever asks.
    pub fn told_around(router: Router) -> Router {
        router.layer(middleware::from_fn(problem::entitle))
    }

    /// The same with other ports that webhooks may have, besides 80 and 443.
    #[must_use]
    pub fn with_webhook_ports(self, ports: &[u16]) -> Self {
        Self { webhook_ports: ports.into(), ..self }
    }
}

impl State {
    /// The same with a bin in which what is deleted lies for so long; without one it is deleted at once.
    #[must_use]
    pub fn with_bin(self, retention: Option<Duration>) -> Self {
        Self { bin_retention: retention, ..self }
    }

    /// The same where tickets open what not everybody plays.
    #[must_use]
    pub fn with_tickets(self, tickets: Tickets) -> Self {
        Self { tickets, ..self }
    }

    /// The same where everybody may ask as often as `rates` has it.
    #[must_use]
    pub fn with_rates(self, rates: Rates) -> Self {
        Self { rates: Arc::new(rates), ..self }
    }

    /// The same where assets may have passwords, which are kept as this makes them.
    #[must_use]
    pub fn with_passwords(self, hash: HashPassword) -> Self {
        Self { hash_password: Some(hash), ..self }
    }

    /// The same where a moderator has to look at what is to be shown, or where nobody has.
    #[must_use]
    pub fn with_review(self, has_review: bool) -> Self {
        Self { has_review, ..self }
    }
}

/// Answers everything below `/api`, and where keys are published; paths it does not know with a problem document.
pub fn router(state: State) -> Router {
    Router::new()
        .merge(of_assets())
        .merge(of_collections())
        .merge(of_accounts())
        .merge(of_webhooks())
        .route("/api/v1/access", get(access))
        .route("/api/v1/openapi.json", get(openapi))
        .route("/api/problems/{code}", get(problem::kinds::show))
        .route_layer(middleware::from_fn_with_state(state.clone(), idempotency::once))
        .route_layer(middleware::from_fn(unchanged::unless_known))
        .route_layer(middleware::from_fn_with_state(state.clone(), door::enter))
        .fallback(async || Problem::not_found("there is nothing at this path"))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(middleware::from_fn(problem::render))
        .with_state(state)
}

fn of_assets() -> Router<State> {
    Router::new()
        .route("/api/v1/assets", get(assets::list))
        .route("/api/v1/assets/{id}", get(assets::show).patch(describe::change).delete(assets::delete))
        .route("/api/v1/assets/{id}/documents", get(asset_documents::list).post(asset_documents::begin))
        .route(
            "/api/v1/assets/{id}/documents/{document}",
            get(asset_documents::show).patch(asset_documents::change).delete(asset_documents::remove),
        )
        .route("/api/v1/assets/{id}/subtitles", get(subtitles::list).post(subtitles::add))
        .route(
            "/api/v1/assets/{id}/subtitles/{subtitle}",
            get(subtitles::show).patch(subtitles::change).delete(subtitles::remove),
        )
        .route("/api/v1/assets/{id}/subtitles/{subtitle}/cues", get(cues::show).put(cues::set))
        .route("/api/v1/assets/{id}/chapters", get(chapters::show).put(chapters::set).delete(chapters::unset))
        .route("/api/v1/assets/{id}/markers", get(markers::show).put(markers::set).delete(markers::unset))
        .route("/api/v1/assets/{id}/poster", get(poster::show).put(poster::set).delete(poster::unset))
        .route("/api/v1/assets/{id}/jobs", get(jobs::list_of_asset))
        .route("/api/v1/jobs", get(jobs::list))
        .route("/api/v1/jobs/{job}", get(jobs::show))
        .route("/api/v1/assets/{id}/preview", post(preview::create))
        .route("/api/v1/assets/{id}/access", get(publicity::show).put(publicity::set))
        .route("/api/v1/playback/{playback}/ticket", post(tickets::create))
        .route("/api/v1/assets/{id}/reprocess", post(reprocess::begin))
        .route("/api/v1/assets/{id}/versions", get(versions::list).post(versions::begin))
        .route("/api/v1/assets/{id}/versions/{version}/restore", post(versions::restore))
        .route("/api/v1/assets/{id}/restore", post(availability::restore))
        .route("/api/v1/assets/{id}/schedule", put(availability::schedule).delete(availability::unschedule))
        .route("/api/v1/assets/{id}/stage", put(availability::set_stage))
        .route("/api/v1/reviews", get(availability::reviews))
        .route("/api/v1/bin", get(availability::list))
        .route("/api/v1/assets/{id}/search", get(search::in_asset))
        .route("/api/v1/search", get(search::search))
        .route("/api/v1/assets/{id}/shares", get(shares::list))
        .route("/api/v1/assets/{id}/shares/{user}", put(shares::put).delete(shares::remove))
        .route("/api/v1/events", get(events::stream))
}

fn of_collections() -> Router<State> {
    Router::new()
        .route("/api/v1/collections", get(collections::list).post(collections::create))
        .route(
            "/api/v1/collections/{collection}",
            get(collections::show).patch(collections::change).delete(collections::delete),
        )
        .route("/api/v1/collections/{collection}/items", get(collections::items).post(collections::put_item))
        .route(
            "/api/v1/collections/{collection}/items/{item}",
            patch(collections::move_item).delete(collections::remove_item),
        )
        .route("/api/v1/collections/{collection}/shares", get(collections::shares))
        .route("/api/v1/collections/{collection}/shares/{user}", put(collections::share).delete(collections::unshare))
        .route("/api/v1/assets/{id}/channel", put(channels::put_asset).delete(channels::remove_asset))
        .route("/api/v1/channels", get(channels::list).post(channels::create))
        .route("/api/v1/channels/{channel}", get(channels::show).patch(channels::change).delete(channels::delete))
        .route("/api/v1/channels/{channel}/assets", get(channels::assets))
        .route("/api/v1/me/subscriptions", get(channels::subscriptions))
        .route("/api/v1/me/subscriptions/assets", get(channels::feed))
        .route("/api/v1/me/subscriptions/{channel}", put(channels::subscribe).delete(channels::unsubscribe))
}

fn of_accounts() -> Router<State> {
    Router::new()
        .route("/.well-known/jwks.json", get(published_keys))
        .route("/api/v1/auth/register", post(auth::register))
        .route("/api/v1/auth/login", post(auth::log_in))
        .route("/api/v1/auth/logout", post(auth::log_out))
        .route("/api/v1/auth/oidc", get(oidc::providers))
        .route("/api/v1/auth/oidc/code", post(oidc::code))
        .route("/api/v1/auth/oidc/{provider}", get(oidc::start))
        .route("/api/v1/auth/oidc/{provider}/callback", get(oidc::callback))
        .route("/api/v1/auth/refresh", post(auth::refresh))
        .route("/api/v1/auth/verify-email", post(auth::verify_email))
        .route("/api/v1/auth/forgot-password", post(auth::forgot_password))
        .route("/api/v1/auth/reset-password", post(auth::reset_password))
        .route("/api/v1/auth/setup", post(auth::set_up))
        .route("/api/v1/me", get(me::show).patch(me::change).delete(erasure::leave))
        .route("/api/v1/me/avatar", put(avatars::set).delete(avatars::remove_own))
        .route("/api/v1/me/export", get(erasure::export))
        .route(
            "/api/v1/me/notification-preferences",
            get(notifications::preferences).patch(notifications::set_preferences),
        )
        .route("/api/v1/me/notifications", get(notifications::list))
        .route("/api/v1/me/notifications/read", post(notifications::read))
        .route("/api/v1/me/notifications/{notification}", delete(notifications::delete))
        .route("/api/v1/me/notifications/{notification}/read", put(notifications::read_one))
        .route("/api/v1/me/identities", get(oidc::identities).post(oidc::link))
        .route("/api/v1/me/identities/{identity}", delete(oidc::unlink))
        .route("/api/v1/me/password", put(me::set_password))
        .route("/api/v1/me/verification", post(me::send_verification))
        .route("/api/v1/me/totp", post(second_factor::begin).put(second_factor::confirm))
        .route("/api/v1/me/totp/removal", post(second_factor::remove))
        .route("/api/v1/me/sessions", get(me::sessions).delete(me::end_sessions))
        .route("/api/v1/me/sessions/{session}", delete(me::end_session))
        .route("/api/v1/me/api-keys", get(me::keys).post(me::create_key))
        .route("/api/v1/me/api-keys/{key}", delete(me::revoke_key))
        .route("/api/v1/users", get(users::list).post(users::create))
        .route("/api/v1/users/{user}", get(users::show).patch(users::change).delete(users::delete))
        .route("/api/v1/users/{user}/avatar", get(avatars::show).delete(avatars::remove))
        .route("/api/v1/audit-log", get(audit::list))
}

fn of_webhooks() -> Router<State> {
    Router::new()
        .route("/api/v1/webhooks", get(webhooks::list).post(webhooks::create))
        .route("/api/v1/webhooks/{webhook}", get(webhooks::show).patch(webhooks::change).delete(webhooks::delete))
        .route("/api/v1/webhooks/{webhook}/secrets", post(webhooks::rotate))
        .route("/api/v1/webhooks/{webhook}/test", post(webhooks::test))
        .route("/api/v1/webhooks/{webhook}/replay", post(webhooks::replay_many))
        .route("/api/v1/webhooks/{webhook}/deliveries", get(webhooks::deliveries))
        .route("/api/v1/webhooks/{webhook}/deliveries/{message}", get(webhooks::delivery))
        .route("/api/v1/webhooks/{webhook}/deliveries/{message}/replay", post(webhooks::replay_one))
}

/// What whoever comes has to know before anything else.
async fn access(Shared(state): Shared<State>) -> Result<Response, Problem> {
    let (access, registration) = match &state.access {
        Access::Open => ("open", false),
        Access::Accounts(accounts) => ("accounts", accounts.settings().is_registration_open),
    };
    Ok((assets::no_store(), Json(json!({ "access": access, "is_registration_open": registration }))).into_response())
}

/// The public keys of access tokens.
async fn published_keys(Shared(state): Shared<State>) -> Result<Response, Problem> {
    let keys = door::accounts(&state)?.ring().published();
    Ok(([(header::CACHE_CONTROL, "public, max-age=600")], Json(keys)).into_response())
}

async fn openapi() -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "public, max-age=300")];
    (headers, aliases::DOCUMENT.as_str()).into_response()
}
