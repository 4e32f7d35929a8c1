//! Which requests may be spoken about before they are answered.

use http::{Request, Version};
use ingest::interim::{self, Outbox};

use super::route::Route;

/// Gives a request the means to say something before its answer, and its connection the other end.
///
/// `None` for requests that never do, and on HTTP/1.0, where nothing may come before the answer.
pub(super) fn offer<B>(request: &mut Request<B>) -> Option<Outbox> {
    let is_about_uploads = Route::of(request.uri().path()) == Route::Upload;
    if !is_about_uploads || request.version() < Version::HTTP_11 {
        return None;
    }
    let (interim, outbox) = interim::line();
    request.extensions_mut().insert(interim);
    Some(outbox)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_requests_about_uploads_on_a_protocol_that_has_interim_responses_carry_one() {
        let check = |path: &str, version: Version, is_offered: bool| {
            let mut request = Request::builder().uri(path).version(version).body(()).unwrap();
            let outbox = offer(&mut request);
            let is_carried = request.extensions().get::<ingest::Interim>().is_some();
            assert_eq!((outbox.is_some(), is_carried), (is_offered, is_offered), "{path} {version:?}");
        };
        check("/uploads", Version::HTTP_11, true);
        check("/uploads/upl_x", Version::HTTP_2, true);
        check("/uploads/upl_x", Version::HTTP_10, false);
        check("/v/plb_x/master.m3u8", Version::HTTP_11, false);
    }
}
