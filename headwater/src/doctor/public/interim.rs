//! Does the early word get through by which clients of the IETF protocol learn where their upload is?

use http::{HeaderMap, StatusCode};

use super::line::{self, Answer};
use super::{Trial, clip, told};

/// Octets of the request that creates the upload.
const PIECE_BYTES: u64 = 16 << 10;
/// The version of the protocol that is spoken.
const INTEROP_VERSION: u16 = 8;

impl Trial {
    /// Creates an upload as the IETF protocol does, where the server speaks it.
    pub(super) async fn interim(&mut self) {
        if !self.abilities.has_draft {
            return;
        }
        let name = "104";
        match self.created_by_draft().await {
            Ok(answer) if has_early_location(&answer.interim) => self.ok(name, "early answers get through"),
            Ok(_) => self.warn(
                name,
                "early answers (104) do not get through: clients of the IETF protocol, such as iOS, cannot go on \
                 with an upload that is cut in its first request",
            ),
            Err(said) => self.warn(name, format!("an upload of the IETF protocol cannot be created: {said}")),
        }
    }

    async fn created_by_draft(&mut self) -> Result<Answer, String> {
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
        if let Some(location) = answer.header("location") {
            let (upload, _) = super::reach::located(&self.site.base, &collection, location);
            self.created.push(upload);
        }
        if answer.status.is_success() { Ok(answer) } else { Err(answer.said()) }
    }
}

fn has_early_location(interim: &[(StatusCode, HeaderMap)]) -> bool {
    interim.iter().any(|(status, headers)| status.as_u16() == 104 && headers.contains_key("location"))
}
