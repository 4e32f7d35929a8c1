//! `POST /uploads`: a new upload and its asset, perhaps with the first octets at once.

use axum::body::{Body, HttpBody};
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::response::Response;
use catalog_store::{Closing, NewUpload, Target, Upload, UploadKind, UploadState, UploadTerms};
use domain::document::NAME_CHARS_MAX;
use domain::{AssetId, PlaybackId, UploadId};

use crate::admission::{self, Demand};
use crate::append::{completes, conclude, give_up, piece};
use crate::concat::{self, Planned};
use crate::digest::Expected;
use crate::error::Causes;
use crate::protocol::metadata::{Metadata, disposed_name, metadata, plain_media_type};
use crate::protocol::tus::{Concat, UPLOAD_CONCAT, UPLOAD_DEFER_LENGTH};
use crate::protocol::{Dialect, UPLOAD_LENGTH, checks, draft, fields, tus};
use crate::receive;
use crate::router::Call;
use crate::{Denial, Limits, State, UploadError, answer, document, session, version};

/// What a creating request asks for.
struct Order {
    kind: UploadKind,
    length: Option<u64>,
    metadata: Metadata,
    terms: UploadTerms,
    /// Digests of the content that comes with the request.
    checks: Vec<Expected>,
    /// Whether that content is the whole upload; `None` where the length alone tells.
    completes: Option<bool>,
    /// Whether the content is a piece of the upload; if not, it is nothing.
    is_piece: bool,
}

pub(crate) async fn create(state: &State, call: &Call, body: Body) -> Result<Response, UploadError> {
    checks::uncoded(&call.headers)?;
    let order = match call.dialect {
        Dialect::Tus => Order::of_tus(call, &state.limits)?,
        Dialect::Draft(_) => Order::of_draft(call, &body, &state.limits)?,
    };
    order.check_length(&body, &state.limits)?;
    let target =
        match document::target(state, &call.entrant, order.metadata.document_of.as_deref(), order.length).await? {
            Some(_) if order.metadata.replaces.is_some() => {
                return Err(Denial::Grant { problem: "it is for a document" }.into());
            }
            Some(document) => Some(document),
            None => version::target(state, &call.entrant, order.metadata.replaces.as_deref()).await?,
        };
    if order.kind == UploadKind::Final {
        return join(state, call, order, target).await;
    }
    let admitted = admission::admit(state, &order.demand(call, order.length)).await?;
    let new = order.new_upload(state, call, order.length, target);
    record(state, &new).await?;
    drop(admitted);
    let location = call.location(new.id)?;
    if let Some((version, interim)) = call.interim() {
        let limit = draft::limit(Some(version), &state.limits, new.expires_at, new.now);
        interim.send(draft::interim(version, &location, limit));
    }
    let has_content = order.is_piece && !body.is_end_stream();
    let taken = if has_content || order.length == Some(0) || order.completes == Some(true) {
        let body = if order.is_piece { body } else { Body::empty() };
        first_piece(state, call, &order, &new, body).await
    } else {
        Ok(())
    };
    let upload = state.catalog.upload(new.id).await?.ok_or(UploadError::Gone)?;
    match taken {
        Ok(()) => {
            let response = answer::created(state, call.dialect, &upload, location, order.is_piece)?;
            answer::with_digest(state, call, &upload, response).await
        }
        // In the draft a client goes on from any answer that tells it where.
        Err(error) if matches!(call.dialect, Dialect::Draft(_)) => {
            let mut response = error.into_answer(call.dialect, &state.limits);
            response.headers_mut().insert(LOCATION, location);
            Ok(response)
        }
        Err(error) => Err(error),
    }
}

impl Order {
    fn of_tus(call: &Call, limits: &Limits) -> Result<Self, UploadError> {
        let headers = &call.headers;
        let refused = |header, reason| Err(UploadError::Header { header, reason });
        let is_piece = tus::is_piece(headers);
        let length = tus::integer(headers, &UPLOAD_LENGTH)?;
        let is_deferred = tus::defers_length(headers)?;
        let (kind, parts, concat) = match tus::concat(headers)? {
            None => (UploadKind::Whole, Vec::new(), None),
            Some((Concat::Partial, header)) => (UploadKind::Partial, Vec::new(), Some(header)),
            Some((Concat::Final(parts), header)) => (UploadKind::Final, parts, Some(header)),
        };
        match (kind, length, is_deferred) {
            (UploadKind::Final, Some(_), _) => return refused(UPLOAD_LENGTH, "a final upload is as long as its parts"),
            (UploadKind::Final, None, true) => {
                return refused(UPLOAD_DEFER_LENGTH, "a final upload is as long as its parts");
            }
            (UploadKind::Final, None, false) if is_piece => {
                return refused(CONTENT_TYPE, "a final upload takes no content");
            }
            (UploadKind::Final, ..) => {}
            (_, Some(_), true) => return refused(UPLOAD_DEFER_LENGTH, "the length is told and deferred at once"),
            (_, None, false) => return refused(UPLOAD_LENGTH, "it is required, or else Upload-Defer-Length: 1"),
            _ => {}
        }
        let checks = if is_piece { checks::of_content(headers)? } else { Vec::new() };
        let metadata = metadata(headers, limits.metadata_bytes_max)?;
        let terms = UploadTerms {
            concat,
            parts,
            digests: Expected::to_terms(&checks::of_whole(headers)?),
            wanted_digests: checks::wanted(headers),
            media_type: metadata.media_type.clone(),
            ..UploadTerms::default()
        };
        Ok(Self { kind, length, metadata, terms, checks, completes: None, is_piece })
    }

    fn of_draft(call: &Call, body: &Body, limits: &Limits) -> Result<Self, UploadError> {
        let headers = &call.headers;
        let refused = |header, reason| Err(UploadError::Header { header, reason });
        if headers.contains_key(crate::protocol::UPLOAD_OFFSET) {
            return refused(crate::protocol::UPLOAD_OFFSET, "a new upload begins at 0");
        }
        if headers.contains_key(UPLOAD_CONCAT) {
            return refused(UPLOAD_CONCAT, "only tus puts uploads together: send Tus-Resumable: 1.0.0");
        }
        if fields::integer(headers, &UPLOAD_LENGTH).is_some_and(|length| length > limits.size_max) {
            // Whatever else is wrong: this answer tells the limits.
            return Err(UploadError::TooLarge { size_max: limits.size_max });
        }
        let completes = completes(call)?;
        let length = draft::length(headers, 0, body.size_hint().exact(), completes == Some(true), None)?;
        let mut metadata = metadata(headers, limits.metadata_bytes_max)?;
        metadata.file_name = disposed_name(headers).or(metadata.file_name);
        let media_type = headers.get(CONTENT_TYPE).and_then(|value| plain_media_type(value.as_bytes()));
        let terms = UploadTerms {
            digests: Expected::to_terms(&checks::of_whole(headers)?),
            wanted_digests: checks::wanted(headers),
            media_type: media_type.or(metadata.media_type.clone()),
            is_draft: true,
            ..UploadTerms::default()
        };
        let checks = checks::of_content(headers)?;
        Ok(Self { kind: UploadKind::Whole, length, metadata, terms, checks, completes, is_piece: true })
    }

    /// Refuses what cannot fit, before an octet of it is read.
    fn check_length(&self, body: &Body, limits: &Limits) -> Result<(), UploadError> {
        let size_max = limits.size_max;
        let content_bytes = if self.is_piece { body.size_hint().lower() } else { 0 };
        match self.length {
            Some(length) if length > size_max => Err(UploadError::TooLarge { size_max }),
            Some(length) if content_bytes > length => Err(UploadError::BeyondLength { length, offset: 0 }),
            None if content_bytes > size_max => Err(UploadError::TooLarge { size_max }),
            _ => Ok(()),
        }
    }

    fn demand<'a>(&'a self, call: &'a Call, length: Option<u64>) -> Demand<'a> {
        let media_type = self.terms.media_type.as_deref();
        Demand { entrant: &call.entrant, kind: self.kind, length, media_type, parts: &self.terms.parts }
    }

    fn new_upload(&self, state: &State, call: &Call, length: Option<u64>, target: Option<Target>) -> NewUpload {
        let (now, entropy) = (state.clock.now(), || state.clock.entropy());
        let new_asset = || Target::new(AssetId::mint(now, entropy()), PlaybackId::mint(entropy()));
        let target = target.unwrap_or_else(new_asset);
        let mut new = NewUpload {
            kind: self.kind,
            metadata: self.metadata.header.clone(),
            file_name: self.metadata.file_name.clone(),
            terms: self.terms.clone(),
            expires_at: state.limits.expiry.map(|expiry| now.plus(expiry)),
            ..NewUpload::whole(UploadId::mint(now, entropy()), target, length, now)
        };
        if self.kind == UploadKind::Partial {
            new.target = None;
        }
        call.entrant.sign(&mut new);
        new.needs_review = state.admission.policy.has_review && !call.entrant.may_review();
        if new.target.is_some_and(|target| target.document.is_some()) {
            let rules = &state.admission.policy.documents;
            new.documents_max = rules.count_max;
            new.terms.bytes_max = Some(new.terms.bytes_max.unwrap_or(u64::MAX).min(rules.bytes_max));
            new.file_name = new.file_name.as_deref().map(|name| name.chars().take(NAME_CHARS_MAX).collect());
        }
        new
    }
}

/// Makes the upload exist.
async fn record(state: &State, new: &NewUpload) -> Result<(), UploadError> {
    // File first: a file without a row is swept away at the next start, a row without a file would
    // be an upload that can never be written.
    state.staging.create(new.id).await?;
    if let Err(error) = state.catalog.create_upload(new).await {
        state.staging.discard(new.id).await?;
        return Err(error.into());
    }
    state.sessions.opened();
    tracing::info!(upload.id = %new.id, upload.kind = new.kind.as_str(), bytes = new.length, "upload created");
    Ok(())
}

/// Receives the body of the creating request.
///
/// The upload exists, so whatever cut the body short, a client of tus is told where to go on instead
/// of an error that would make it begin anew. Only a body that cannot be right is an error, and then
/// nothing is left of the upload.
async fn first_piece(
    state: &State,
    call: &Call,
    order: &Order,
    new: &NewUpload,
    body: Body,
) -> Result<(), UploadError> {
    let turn = session::append_at(state, new.id, 0).await;
    let turn = turn.map_err(|_| UploadError::Busy)?;
    let upload = state.catalog.upload(new.id).await?.ok_or(UploadError::Gone)?;
    if upload.state == UploadState::Complete {
        // An empty one needs nobody, and was found by who looks after those.
        return Ok(());
    }
    let piece = piece(call, turn, body, order.checks.clone(), order.completes);
    let error = match receive::receive(state, &upload, piece).await {
        Ok(received) => match conclude(state, call, &upload, order.completes, received).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        },
        Err(error) => error,
    };
    match error {
        UploadError::BeyondLength { .. } | UploadError::ChecksumMismatch { .. } | UploadError::Header { .. } => {
            give_up(state, &upload, Closing::Terminated).await?;
            Err(error)
        }
        UploadError::Refused(_) | UploadError::Denied(_) => Err(error),
        error if call.dialect == Dialect::Tus => {
            tracing::warn!(upload.id = %new.id, error = %Causes(&error), "the first octets of an upload broke off");
            Ok(())
        }
        error => Err(error),
    }
}

/// Makes one upload of several parts.
async fn join(state: &State, call: &Call, order: Order, target: Option<Target>) -> Result<Response, UploadError> {
    let (owner, parts) = (call.entrant.owner(), &order.terms.parts);
    // Whatever else was asked for tells one request from another.
    let wish = serde_json::to_string(&(&order.metadata.header, &order.terms)).map_err(|_| UploadError::Internal)?;
    let (length, repeat_key) = match concat::plan(state, owner.as_deref(), parts.clone(), &wish).await? {
        Planned::Again(upload) => return joined(state, call, &upload),
        Planned::New { length, repeat_key } => (length, repeat_key),
    };
    let new = NewUpload { repeat_key, ..order.new_upload(state, call, length, target) };
    let recorded = match admission::admit(state, &order.demand(call, length)).await {
        Ok(_admitted) => record(state, &new).await,
        Err(error) => Err(error),
    };
    if let Err(error) = recorded {
        // The same request may have come twice at once: whoever is second finds what the first made.
        return match concat::plan(state, owner.as_deref(), parts.clone(), &wish).await? {
            Planned::Again(upload) => joined(state, call, &upload),
            Planned::New { .. } => Err(error),
        };
    }
    match concat::begin(state, new.id).await {
        Ok(()) => {}
        Err(error @ (UploadError::Refused(_) | UploadError::Denied(_))) => return Err(error),
        // The upload exists, and its parts are put together later.
        Err(error) => tracing::warn!(upload.id = %new.id, error = %Causes(&error), "parts were not joined yet"),
    }
    let upload = state.catalog.upload(new.id).await?.ok_or(UploadError::Gone)?;
    joined(state, call, &upload)
}

fn joined(state: &State, call: &Call, upload: &Upload) -> Result<Response, UploadError> {
    answer::created(state, call.dialect, upload, call.location(upload.id)?, false)
}
