//! Are damaged octets noticed, with the checksum before them and behind them?

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use ingest::digest::{Algorithm, Hasher};

use super::line::{self, Answer};
use super::{Trial, told};

/// Octets of one try.
const PIECE_BYTES: u64 = 32 << 10;
/// The status for octets that do not match.
const MISMATCH: u16 = 460;

impl Trial {
    /// Sends pieces with right and wrong checksums, where the server takes any.
    pub(super) async fn integrity(&mut self) {
        let known = |algorithm: &Algorithm| self.abilities.algorithms.iter().any(|name| name == algorithm.tus_name());
        let Some(algorithm) = Algorithm::ALL.into_iter().find(known) else { return };
        if self.abilities.has("checksum") {
            let found = self.checksum(algorithm).await;
            self.tell("checksum", found);
        }
        if self.abilities.has("checksum-trailer") {
            let found = self.trailer(algorithm).await;
            self.tell("trailer", found);
        }
    }

    fn tell(&mut self, name: &'static str, found: Result<String, String>) {
        match found {
            Ok(text) => self.ok(name, text),
            Err(text) => self.warn(name, text),
        }
    }

    async fn checksum(&mut self, algorithm: Algorithm) -> Result<String, String> {
        let octets = self.octets(PIECE_BYTES);
        let right = self.patch().header("Upload-Checksum", checksum(algorithm, &octets));
        let answer = self.sent(right.body(line::full(octets))).await?;
        if !answer.status.is_success() {
            return Err(format!("a piece with a right checksum is refused: {}", answer.said()));
        }
        let before = self.offset;
        let wrong = self.patch().header("Upload-Checksum", checksum(algorithm, b"something else"));
        let answer = self.sent(wrong.body(line::full(self.octets(PIECE_BYTES)))).await?;
        match answer.status.as_u16() {
            MISMATCH if self.offset == before => Ok(format!("damaged pieces are refused ({})", algorithm.tus_name())),
            _ if answer.status.is_success() => {
                Err("Upload-Checksum does not reach the server: let it through".to_owned())
            }
            _ => Err(format!("status 460 becomes {}: clients cannot tell damage from other trouble", answer.said())),
        }
    }

    async fn trailer(&mut self, algorithm: Algorithm) -> Result<String, String> {
        let value =
            HeaderValue::from_str(&checksum(algorithm, b"something else")).map_err(|error| error.to_string())?;
        let wrong = HeaderMap::from_iter([(HeaderName::from_static("upload-checksum"), value)]);
        let body = line::with_trailer(self.octets(PIECE_BYTES), wrong);
        let request = self.patch().header("Trailer", "Upload-Checksum").header("Transfer-Encoding", "chunked");
        let answer = self.sent(request.body(body)).await?;
        match answer.status.as_u16() {
            MISMATCH => Ok("checksums behind the octets get through".to_owned()),
            411 | 501 => Err(format!("requests of unknown length are refused ({})", answer.said())),
            _ if answer.status.is_success() || answer.is_of_server() => {
                Err("trailers are dropped: clients must send checksums before the octets".to_owned())
            }
            _ => Err(format!("a request with a trailer is answered {}", answer.said())),
        }
    }

    /// Sends a piece; then the offset is what the server says, whatever came of it.
    async fn sent(&mut self, request: http::Result<http::Request<line::Body>>) -> Result<Answer, String> {
        let answer = self.ask(request).await.map_err(|fault| told(&fault))?;
        self.settle().await?;
        Ok(answer)
    }
}

fn checksum(algorithm: Algorithm, octets: &[u8]) -> String {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(octets);
    format!("{} {}", algorithm.tus_name(), STANDARD.encode(hasher.value()))
}
