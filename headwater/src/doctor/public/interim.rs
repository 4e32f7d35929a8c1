//! Does the early word get through by which clients of the IETF protocol learn where their upload is?

use http::{HeaderMap, StatusCode};
use url::Url;

use super::line::{self, Answer};
use super::{Trial, clip, told};

/// Octets of the request that creates the upload.
const PIECE_BYTES: u64 = 16 << 10;
/// Octets of the request that is watched: so many that the server records them while it is open.
const WATCHED_BYTES: u64 = 512 << 10;
/// The version of the protocol that is spoken.
const INTEROP_VERSION: u16 = 8;

impl Trial {
    /// Creates an upload as the IETF protocol does, where the server speaks it.
    pub(super) async fn interim(&mut self) {
        if !self.abilities.has_draft {
            return;
        }
        let name = "104";
        let (answer, upload) = match self.created_by_draft().await {
            Ok(created) => created,
            Err(said) => {
                return self.warn(name, format!("an upload of the IETF protocol cannot be created: {said}"));
            }
        };
        if !has_early(&answer.interim, "location") {
            return self.warn(
                name,
                "early answers (104) do not get through: clients of the IETF protocol, such as iOS, cannot go on \
                 with an upload that is cut in its first request",
            );
        }
        if self.body_bytes_max < WATCHED_BYTES + PIECE_BYTES {
            return self
                .ok(name, "early answers get through; whether progress is told cannot be seen in small requests");
        }
        match self.watched(&upload).await {
            Ok(answer) if has_early(&answer.interim, "upload-offset") => {
                self.ok(name, "early answers get through, those that tell of progress as well");
            }
            Ok(_) => self.warn(
                name,
                "the first early answer (104) gets through and none that tells of progress: something on the way \
                 lets only one pass, or the server has upload_sync = \"end\"",
            ),
            Err(said) => self.warn(name, format!("early answers get through, but the next piece does not: {said}")),
        }
    }

    /// Appends slowly enough to be told how far the upload is.
    async fn watched(&self, upload: &Url) -> Result<Answer, String> {
        let octets = |start, bytes| clip::octets(self.length, start, bytes);
        let first = octets(PIECE_BYTES, WATCHED_BYTES);
        let last = octets(PIECE_BYTES + WATCHED_BYTES, PIECE_BYTES);
        let request = if self.is_overriding {
            self.site.request("POST", upload).header("X-HTTP-Method-Override", "PATCH")
        } else {
            self.site.request("PATCH", upload)
        };
        let request = request
            .header("Upload-Draft-Interop-Version", INTEROP_VERSION)
            .header("Upload-Complete", "?0")
            .header("Upload-Offset", PIECE_BYTES)
            .header("Content-Type", "application/partial-upload")
            .header("Content-Length", WATCHED_BYTES + PIECE_BYTES)
            .body(line::pausing(first, self.tempo.recording, last));
        let answer = self.ask(request).await.map_err(|fault| told(&fault))?;
        if answer.status.is_success() { Ok(answer) } else { Err(answer.said()) }
    }

    async fn created_by_draft(&mut self) -> Result<(Answer, Url), String> {
        let collection = self.site.base.join("uploads").map_err(|error| error.to_string())?;
        let request = self
            .site
            .request("POST", &collection)
            .header("Upload-Draft-Interop-Version", INTEROP_VERSION)
            .header("Upload-Complete", "?0")
            .header("Content-Type", "video/mp4")
            .header("Content-Disposition", "attachment; filename=\"headwater-doctor.mp4\"")
            .body(line::full(clip::octets(self.length, 0, PIECE_BYTES)));
        let answer = self.ask(request).await.map_err(|fault| told(&fault))?;
        let Some(location) = answer.header("location").filter(|_| answer.status.is_success()) else {
            return Err(answer.said());
        };
        let (upload, _) = super::reach::located(&self.site.base, &collection, location);
        self.created.push(upload.clone());
        Ok((answer, upload))
    }
}

fn has_early(interim: &[(StatusCode, HeaderMap)], header: &str) -> bool {
    interim.iter().any(|(status, headers)| status.as_u16() == 104 && headers.contains_key(header))
}
