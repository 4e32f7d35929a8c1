//! Pulls one file, over as many connections as it takes.

mod extent;
mod pace;

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use catalog_store::{CatalogError, ImportNote, Upload, UploadState};
use domain::{Failure, FailureCode, UploadId};
use futures::{StreamExt, TryStreamExt};
use reqwest::Response;
use reqwest::header::{ACCEPT_ENCODING, IF_RANGE, LOCATION, RANGE};
use url::Url;

use self::extent::{Extent, text, validator};
use self::pace::Pace;
use crate::address::{self, AddressError};
use crate::error::Causes;
use crate::receive::{self, End, Piece};
use crate::{Denial, State, UploadError, admission, session};

/// Time for the head of an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Redirects that are followed, all at one origin.
const REDIRECTS_MAX: usize = 5;
/// Longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_secs(300);
/// A piece of so many octets that ended where it said is followed by the next one without a pause.
const PIECE_BYTES_MIN: u64 = 64 << 10;

/// Why an attempt did not bring the whole file.
#[derive(Debug)]
enum Trouble {
    /// Another attempt may bring the rest.
    Passing(String),
    /// A piece of the file came whole: the next request brings more.
    More,
    /// Somebody else took the turn, such as a client that asked where the upload stands: nobody is to blame.
    Interrupted,
    /// No attempt will.
    Final(Failure),
    /// The upload has ended, or this process ends.
    Over,
}

/// Pulls the file of an import in a task of its own.
pub(super) fn begin(state: &State, id: UploadId, owner: Option<String>) {
    let owned = state.clone();
    state.tasks.spawn(async move {
        let stop = owned.shutdown.clone();
        // Octets that are on their way are recorded by their own task; the next process goes on from there.
        stop.run_until_cancelled(run(&owned, id, owner.as_deref())).await;
    });
}

async fn run(state: &State, id: UploadId, owner: Option<&str>) {
    let Some(_place) = state.imports.place(owner).await else { return };
    let pace = Pace::begin(&state.imports.rules);
    // Ends when the upload does, with the last attempt that brings nothing, or when it was given enough time.
    loop {
        let (upload, note) = match known(state, id).await {
            Ok(Some(known)) => known,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(upload.id = %id, error = %Causes(&error), "an import waits for the catalogue");
                tokio::time::sleep(state.imports.rules.pause).await;
                continue;
            }
        };
        if let Err(failure) = pace.check() {
            return admission::refuse(state, &upload, &failure).await;
        }
        let mut next = note.clone();
        match attempt(state, &upload, &mut next, &pace).await {
            Ok(()) | Err(Trouble::Over) => return,
            Err(Trouble::More) => {}
            Err(Trouble::Final(failure)) => return admission::refuse(state, &upload, &failure).await,
            Err(Trouble::Interrupted) => tokio::time::sleep(state.imports.rules.pause).await,
            Err(Trouble::Passing(why)) => {
                let has_moved =
                    state.catalog.upload(id).await.ok().flatten().is_some_and(|now| now.offset > upload.offset);
                next.attempts = if has_moved { 0 } else { note.attempts + 1 };
                next.error = Some(why.clone());
                tracing::info!(upload.id = %id, attempts = next.attempts, why, "an import is interrupted");
                keep(state, id, &next).await;
                if next.attempts >= state.imports.rules.attempts_max {
                    let failure = unavailable(format!("the file could not be fetched: {why}"));
                    return admission::refuse(state, &upload, &failure).await;
                }
                tokio::time::sleep(pause(state, next.attempts)).await;
            }
        }
    }
}

/// The upload and what is noted of it, while it takes octets. One that is full is completed by others.
async fn known(state: &State, id: UploadId) -> Result<Option<(Upload, ImportNote)>, UploadError> {
    let upload = state.catalog.upload(id).await?;
    let upload = upload.filter(|upload| upload.state == UploadState::Open && upload.full_length().is_none());
    let Some(upload) = upload else { return Ok(None) };
    let note = state.catalog.import_note(id).await?;
    Ok(Some((upload, note)))
}

async fn keep(state: &State, id: UploadId, note: &ImportNote) {
    if let Err(error) = state.catalog.note_import(id, note, state.clock.now()).await {
        tracing::warn!(upload.id = %id, error = %Causes(&error), "what is known of an import cannot be noted");
    }
}

/// Doubles with each attempt, by half more or less so that many do not come back at once.
fn pause(state: &State, attempts: u32) -> Duration {
    let whole = state.imports.rules.pause.saturating_mul(1 << attempts.min(10)).min(PAUSE_MAX);
    let chance = u32::from(state.clock.entropy()[0]);
    whole / 2 + whole.saturating_mul(chance) / 512
}

fn unavailable(message: impl Into<String>) -> Failure {
    Failure::new(FailureCode::SourceUnavailable, message)
}

fn final_(message: impl Into<String>) -> Trouble {
    Trouble::Final(unavailable(message))
}

const CHANGED: &str = "the file at the address changed while it was fetched: import it again";

/// One connection: asks for what is missing and takes what comes.
async fn attempt(state: &State, upload: &Upload, note: &mut ImportNote, pace: &Pace) -> Result<(), Trouble> {
    let url = upload.terms.url.as_deref().unwrap_or_default();
    let url = address::parsed(url).map_err(|error| final_(error.to_string()))?;
    let addresses = match address::resolved(&url, &state.imports.rules.networks).await {
        Ok(addresses) => addresses,
        Err(error @ AddressError::Unresolved) => return Err(Trouble::Passing(error.to_string())),
        Err(error) => return Err(final_(error.to_string())),
    };
    if upload.offset > 0 && note.validator.is_none() {
        return Err(final_(
            "the server of the file does not say whether it changed, so a broken transfer cannot go on",
        ));
    }
    let client = client(addresses)?;
    let answer = fetch(&client, url, upload.offset, note.validator.as_deref()).await?;
    if answer.status() == StatusCode::RANGE_NOT_SATISFIABLE {
        // Every octet came, and only the end of the file was not seen; unless it was longer when it was begun.
        let is_whole = extent::length_of_nothing(&answer) == Some(upload.offset) && upload.length.is_none();
        return if is_whole { receive(state, upload, Body::empty(), true).await } else { Err(final_(CHANGED)) };
    }
    let extent = extent::of(&answer, upload.offset, note)?;
    if upload.offset == 0 {
        note.validator = validator(&answer);
        keep(state, upload.id, note).await;
    }
    let upload = announced(state, upload, extent.length).await?;
    receive(state, &upload, body(answer, extent, pace), extent.ends_file).await
}

/// A client that connects to these addresses, whatever it is asked for, and follows nothing.
fn client(addresses: Vec<SocketAddr>) -> Result<reqwest::Client, Trouble> {
    let client = address::client_to(addresses).build();
    client.map_err(|error| Trouble::Passing(format!("no client: {}", Causes(&error))))
}

/// The answer to a request for everything from `offset` on, redirects within the origin followed.
async fn fetch(client: &reqwest::Client, url: Url, offset: u64, validator: Option<&str>) -> Result<Response, Trouble> {
    let mut url = url;
    for _ in 0..=REDIRECTS_MAX {
        let mut request = client.get(url.clone()).header(ACCEPT_ENCODING, "identity");
        if let Some(validator) = validator.filter(|_| offset > 0) {
            request = request.header(RANGE, format!("bytes={offset}-")).header(IF_RANGE, validator);
        }
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, request.send()).await;
        let answer = answer.map_err(|_| Trouble::Passing("the server of the file does not answer".into()))?;
        let answer =
            answer.map_err(|error| Trouble::Passing(format!("the file cannot be fetched: {}", causes(error))))?;
        let status = answer.status();
        if matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
            let target = text(&answer, &LOCATION).and_then(|target| url.join(&target).ok());
            let target = target.ok_or_else(|| final_("the address redirects to nowhere"))?;
            if !address::is_same_origin(&url, &target) {
                return Err(final_("the address redirects to another host: import from there"));
            }
            url = target;
            continue;
        }
        return match status {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => Ok(answer),
            StatusCode::RANGE_NOT_SATISFIABLE if offset > 0 => Ok(answer),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
                Err(Trouble::Passing(format!("the server of the file answers {status}")))
            }
            status if status.is_server_error() => {
                Err(Trouble::Passing(format!("the server of the file answers {status}")))
            }
            status => Err(final_(format!("the server of the file answers {status}"))),
        };
    }
    Err(final_("the address redirects too often"))
}

/// Without the address, which may hold a secret.
fn causes(error: reqwest::Error) -> String {
    Causes(&error.without_url()).to_string()
}

/// The upload with its length, which is announced as soon as it is known and admitted like any other.
async fn announced(state: &State, upload: &Upload, length: Option<u64>) -> Result<Upload, Trouble> {
    let Some(length) = length.filter(|length| upload.length != Some(*length)) else { return Ok(upload.clone()) };
    if upload.length.is_some() {
        return Err(final_(CHANGED));
    }
    let bytes_max = admission::size_max(state, upload);
    if length > bytes_max {
        return Err(Trouble::Final(Failure::new(
            FailureCode::LimitExceeded,
            Denial::TooLarge { bytes_max }.to_string(),
        )));
    }
    match admission::may_grow(state, upload, length.saturating_sub(upload.offset)).await {
        Ok(()) => {}
        Err(UploadError::Denied(denial @ Denial::NoRoom { .. })) => return Err(Trouble::Passing(denial.to_string())),
        Err(UploadError::Denied(denial)) => {
            return Err(Trouble::Final(Failure::new(FailureCode::LimitExceeded, denial.to_string())));
        }
        Err(error) => return Err(Trouble::Passing(error.to_string())),
    }
    if length == upload.offset {
        // It is recorded together with the end of the upload.
        return Ok(Upload { length: Some(length), ..upload.clone() });
    }
    match state.catalog.set_upload_length(upload.id, length, state.clock.now()).await {
        Ok(()) => Ok(Upload { length: Some(length), ..upload.clone() }),
        Err(CatalogError::Offset { .. }) => Err(final_(CHANGED)),
        Err(CatalogError::UploadClosed { .. } | CatalogError::NoUpload(_)) => Err(Trouble::Over),
        Err(error) => Err(Trouble::Passing(UploadError::from(error).to_string())),
    }
}

/// Takes in the octets of a body; `ends_file` tells whether its end is that of the file, where no length does.
async fn receive(state: &State, upload: &Upload, body: Body, ends_file: bool) -> Result<(), Trouble> {
    let busy = |_| Trouble::Interrupted;
    let turn = session::append_at(state, upload.id, upload.offset).await.map_err(busy)?;
    let completes = upload.length.is_none().then_some(ends_file);
    let piece = Piece { turn, body, checks: Vec::new(), trailer: None, completes, progress: None };
    match receive::receive(state, upload, piece).await {
        Ok(received) if received.is_complete => Ok(()),
        Ok(received) => match received.end {
            End::Stopping => Err(Trouble::Over),
            End::TakenOver => Err(Trouble::Interrupted),
            End::BeyondLength => Err(final_(CHANGED)),
            End::Whole if received.offset.saturating_sub(upload.offset) >= PIECE_BYTES_MIN => Err(Trouble::More),
            _ => Err(Trouble::Passing("the connection to the server of the file broke".into())),
        },
        // Whoever refuses closes the upload; what is full is completed without us.
        Err(
            UploadError::Denied(Denial::Unwanted(_))
            | UploadError::Gone
            | UploadError::NotFound
            | UploadError::Completing { .. },
        ) => Err(Trouble::Over),
        Err(error) => Err(Trouble::Passing(error.to_string())),
    }
}

/// The octets of an answer that belong to the file and are not there yet; it ends early when they come too slowly.
fn body(answer: Response, extent: Extent, pace: &Pace) -> Body {
    let (mut skip, mut left, pace) = (extent.skip, extent.bytes.unwrap_or(u64::MAX), pace.clone());
    let octets = answer.bytes_stream().map_err(|error| std::io::Error::other(causes(error)));
    let wanted = move |piece: std::io::Result<Bytes>| {
        let mut piece = piece?;
        let skipped = bounded(skip, piece.len());
        let mut new = piece.split_off(skipped);
        new.truncate(bounded(left, new.len()));
        (skip, left) = (skip - skipped as u64, left - new.len() as u64);
        pace.brought((skipped + new.len()) as u64);
        pace.check().map_err(std::io::Error::other)?;
        Ok::<_, std::io::Error>(new)
    };
    Body::from_stream(octets.map(wanted))
}

fn bounded(bytes: u64, most: usize) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_goes_to_the_address_that_was_checked_and_to_no_other() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("has one");
        let serve = async {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut head = [0; 1024];
            let length = stream.read(&mut head).await.expect("reads");
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.expect("writes");
            String::from_utf8_lossy(&head[..length]).to_lowercase()
        };
        // No name server knows this name.
        let url = Url::parse(&format!("http://Films.Invalid.:{}/a", address.port())).expect("a URL");
        let client = client(vec![address]).expect("a client");
        let (answer, head) = tokio::join!(fetch(&client, url, 0, None), serve);
        assert_eq!(answer.expect("an answer").status(), StatusCode::OK);
        assert!(head.contains("host: films.invalid"), "{head}");
    }
}
