//! Bodies of requests: of bounded size, number and time.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;

use crate::State;
use crate::problem::Problem;

/// Bodies that are held in memory at the same time; one more is told to come back later.
pub(crate) const BODIES_MAX: usize = 16;

/// Time for a whole body: these are small files, not uploads.
const PATIENCE: Duration = Duration::from_secs(60);

/// Reads a whole body of at most `bytes_max` octets.
pub(crate) async fn read(state: &State, headers: &HeaderMap, body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| usize::try_from(bytes).map_or(true, |bytes| bytes > bytes_max)) {
        return Err(Problem::body_too_large(bytes_max));
    }
    let _place = state.bodies.try_acquire().map_err(|_| Problem::too_many_bodies())?;
    let read = timeout(PATIENCE, Limited::new(body, bytes_max).collect()).await;
    match read {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Problem::body_too_large(bytes_max)),
        Ok(Err(_)) => Err(Problem::malformed_body("the body was cut off")),
        Err(_) => Err(Problem::body_too_slow(PATIENCE)),
    }
}
