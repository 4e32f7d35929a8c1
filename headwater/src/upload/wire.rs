//! The requests of tus 1.0 as a client sends them, one function each.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::anyhow;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use ingest::digest::{Algorithm, Hasher};
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Client, Method, RequestBuilder, Response};
use url::Url;

use super::resume::Remembered;
use super::setback::Setback;

/// Time for a request without a body.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(30);
/// Time for a connection.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// The server may need this long to complete an upload: it may have to copy all of it elsewhere.
pub(super) const COMPLETION_MAX: Duration = Duration::from_secs(3600);
/// Octets of a body that are handed over at a time.
const PIECE_BYTES: usize = 64 << 10;
/// Checksums of pieces, the one that costs least for what it finds first.
const CHECKSUMS: [Algorithm; 6] =
    [Algorithm::Blake3, Algorithm::Sha256, Algorithm::Sha512, Algorithm::Crc32c, Algorithm::Sha1, Algorithm::Md5];

/// A server, and who speaks to it.
#[derive(Debug)]
pub(super) struct Wire {
    client: Client,
    server: Url,
    token: Option<HeaderValue>,
    /// Something on the way takes only `POST`: the method stands in a header.
    is_overriding: AtomicBool,
}

/// What a server says it can do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Abilities {
    /// An upload can be put together from parts.
    pub(super) concatenation: bool,
    /// Pieces can be checked.
    pub(super) checksum: Option<Algorithm>,
    /// The server would like the digest of the whole.
    pub(super) whole_digest: Option<Algorithm>,
    /// Largest upload.
    pub(super) size_max: Option<u64>,
}

/// An upload that is to be.
#[derive(Clone, Debug, Default)]
pub(super) struct Creation {
    /// Its length; a final upload has that of its parts.
    pub(super) length: Option<u64>,
    /// What is said of the file.
    pub(super) metadata: Option<String>,
    /// `partial`, or `final;` and the parts.
    pub(super) concat: Option<String>,
    /// The digest of the whole file as a header value.
    pub(super) digest: Option<String>,
}

/// A request about an upload, and how its method is said.
struct Question {
    request: RequestBuilder,
    /// In a header.
    is_overriding: bool,
}

impl Question {
    fn with(self, more: impl FnOnce(RequestBuilder) -> RequestBuilder) -> Self {
        Self { request: more(self.request), ..self }
    }
}

/// Octets on their way.
pub(super) struct Piece<S> {
    /// Where they belong in the upload.
    pub(super) offset: u64,
    /// How many there are.
    pub(super) bytes: u64,
    /// `algorithm base64`.
    pub(super) checksum: Option<String>,
    /// The octets.
    pub(super) body: S,
    /// Counts those that were handed over.
    pub(super) passed: Arc<AtomicU64>,
}

impl Wire {
    /// A way to the server below `server`, with a bearer token where it wants one.
    pub(super) fn new(server: &Url, token: Option<&str>) -> anyhow::Result<Self> {
        // A redirected POST would become a GET: better said than followed.
        let redirects = reqwest::redirect::Policy::none();
        let client = Client::builder().connect_timeout(CONNECT_MAX).redirect(redirects).build()?;
        let bearer = token.map(|token| HeaderValue::from_str(&format!("Bearer {token}"))).transpose();
        let mut token = bearer.map_err(|_| anyhow!("the token holds characters that no token has"))?;
        token.iter_mut().for_each(|value| value.set_sensitive(true));
        let mut server = server.clone();
        if !server.path().ends_with('/') {
            server.set_path(&format!("{}/", server.path()));
        }
        Ok(Self { client, server, token, is_overriding: AtomicBool::new(false) })
    }

    /// The address of something on the server; what stands behind `?` in the server's is kept.
    pub(super) fn address(&self, path: &str) -> Result<Url, Setback> {
        let mut address = self.server.join(path).map_err(|error| Setback::Final(error.into()))?;
        address.set_query(self.server.query());
        Ok(address)
    }

    /// A request; whoever speaks is told to this server only.
    pub(super) fn request(&self, method: Method, address: &Url) -> RequestBuilder {
        let request = self.client.request(method, address.clone());
        match &self.token {
            Some(token) if address.origin() == self.server.origin() => request.header(AUTHORIZATION, token),
            _ => request,
        }
    }

    /// A request about an upload.
    fn tus(&self, method: Method, address: &Url) -> Question {
        let is_overriding = self.is_overriding.load(Ordering::Relaxed);
        let request = if is_overriding {
            self.request(Method::POST, address).header("X-HTTP-Method-Override", method.as_str())
        } else {
            self.request(method, address)
        };
        Question { request: request.header("Tus-Resumable", "1.0.0"), is_overriding }
    }

    async fn ask(&self, question: Question) -> Result<Response, Setback> {
        let answer = question.request.send().await.map_err(|error| Setback::no_answer(&error))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        match Setback::of(answer).await {
            Setback::Blocked { reason } if question.is_overriding => Err(Setback::Final(anyhow!(
                "something before the server blocks uploads: {reason}; `headwater doctor --url` says what"
            ))),
            Setback::Blocked { reason } => {
                self.is_overriding.store(true, Ordering::Relaxed);
                Err(Setback::Passing { reason, pause: Some(Duration::ZERO) })
            }
            setback => Err(setback),
        }
    }

    /// What the server can do; nothing beyond the core where it does not say.
    pub(super) async fn abilities(&self) -> Result<Abilities, Setback> {
        let request = self.request(Method::OPTIONS, &self.address("uploads")?).timeout(ANSWER_MAX);
        match request.send().await {
            Ok(answer) if answer.status().is_success() => Ok(Abilities::of(answer.headers())),
            // Whoever answers OPTIONS wrongly may still take uploads.
            Ok(_) => Ok(Abilities::default()),
            Err(error) => Err(Setback::no_answer(&error)),
        }
    }

    /// A new upload: its address, and its asset's unless it is a part.
    pub(super) async fn create(&self, creation: &Creation) -> Result<(Url, Option<Url>), Setback> {
        let collection = self.address("uploads")?;
        // An empty upload is completed at once, and so may one be that is made of parts.
        let is_small = creation.length.is_some_and(|length| length > 0);
        let time_max = if is_small { ANSWER_MAX } else { COMPLETION_MAX };
        let mut question = self.tus(Method::POST, &collection).with(|request| request.timeout(time_max));
        for (name, value) in [
            ("Upload-Length", creation.length.map(|length| length.to_string())),
            ("Upload-Metadata", creation.metadata.clone()),
            ("Upload-Concat", creation.concat.clone()),
            ("Repr-Digest", creation.digest.clone()),
        ] {
            question = value.into_iter().fold(question, |question, value| question.with(|it| it.header(name, value)));
        }
        let answer = self.ask(question).await?;
        let address = |name: &HeaderName| {
            let value = answer.headers().get(name).and_then(|value| value.to_str().ok());
            value.and_then(|value| collection.join(value).ok())
        };
        let upload = address(&LOCATION);
        let missing = "is not a headwater server: its answer has no Location";
        let upload = upload.ok_or_else(|| Setback::Final(anyhow!("{} {missing}", self.server)))?;
        Ok((upload, address(&HeaderName::from_static("asset-location"))))
    }

    /// The same for an upload that becomes an asset.
    pub(super) async fn create_asset(&self, creation: &Creation) -> Result<Remembered, Setback> {
        let (upload, asset) = self.create(creation).await?;
        let missing = "is not a headwater server: its answer has no Asset-Location";
        let asset = asset.ok_or_else(|| Setback::Final(anyhow!("{} {missing}", self.server)))?;
        Ok(Remembered { upload, asset })
    }

    /// The offset to go on from; `None` while parts are being put together.
    pub(super) async fn offset_of(&self, upload: &Url) -> Result<Option<u64>, Setback> {
        let answer = self.ask(self.tus(Method::HEAD, upload).with(|request| request.timeout(ANSWER_MAX))).await?;
        Ok(offset_in(answer.headers()))
    }

    /// Sends octets; the offset that the server acknowledges.
    pub(super) async fn append<S>(&self, upload: &Url, piece: Piece<S>) -> Result<u64, Setback>
    where
        S: Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    {
        let passed = piece.passed;
        let counted = piece.body.inspect(move |piece| {
            let bytes = piece.as_ref().map_or(0, Bytes::len);
            passed.fetch_add(bytes as u64, Ordering::Relaxed);
        });
        let question = self.tus(Method::PATCH, upload).with(|request| {
            let request = request
                .header("Upload-Offset", piece.offset)
                .header(CONTENT_TYPE, "application/offset+octet-stream")
                .header(CONTENT_LENGTH, piece.bytes)
                .body(reqwest::Body::wrap_stream(counted));
            match &piece.checksum {
                Some(checksum) => request.header("Upload-Checksum", checksum),
                None => request,
            }
        });
        let answer = self.ask(question).await?;
        let missing = "the answer has no Upload-Offset: this is no tus server, or a proxy drops the header";
        offset_in(answer.headers()).ok_or_else(|| Setback::Final(anyhow!(missing)))
    }

    /// Ends an upload and lets the server forget its octets. One that is not there is as good as ended.
    pub(super) async fn terminate(&self, upload: &Url) -> Result<(), Setback> {
        match self.ask(self.tus(Method::DELETE, upload).with(|request| request.timeout(ANSWER_MAX))).await {
            Ok(_) | Err(Setback::Lost { .. }) => Ok(()),
            Err(setback) => Err(setback),
        }
    }
}

impl Abilities {
    fn of(headers: &HeaderMap) -> Self {
        let list = |name: &str| {
            let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
            let names = values.flat_map(|value| value.split(',')).map(|name| name.trim().to_ascii_lowercase());
            names.filter(|name| !name.is_empty()).collect::<Vec<_>>()
        };
        let extensions = list("Tus-Extension");
        let algorithms = list("Tus-Checksum-Algorithm");
        let can = |algorithm: &Algorithm| algorithms.iter().any(|name| name == algorithm.tus_name());
        let checksum = CHECKSUMS.into_iter().find(can);
        Self {
            concatenation: extensions.iter().any(|name| name == "concatenation"),
            checksum: checksum.filter(|_| extensions.iter().any(|name| name == "checksum")),
            whole_digest: wanted(&list("Want-Repr-Digest")),
            size_max: list("Tus-Max-Size").first().and_then(|size| size.parse().ok()),
        }
    }
}

/// The digest that `Want-Repr-Digest` likes best; 0 means "not this one".
fn wanted(members: &[String]) -> Option<Algorithm> {
    let weighed = members.iter().filter_map(|member| {
        let (key, weight) = member.split_once('=').unwrap_or((member, "1"));
        let weight: u8 = weight.trim().parse().ok().filter(|weight| *weight > 0)?;
        Some((weight, Algorithm::of_field_key(key.trim())?))
    });
    // Of equals the first: `max_by_key` would take the last.
    weighed.rev().max_by_key(|(weight, _)| *weight).map(|(_, algorithm)| algorithm)
}

/// `sha-256=:base64:`, as RFC 9530 writes the digest of a representation.
pub(super) fn repr_digest(algorithm: Algorithm, value: &[u8]) -> Option<String> {
    Some(format!("{}=:{}:", algorithm.field_key()?, STANDARD.encode(value)))
}

/// `sha256 base64`, as tus writes the checksum of a piece. For a thread that may block.
pub(super) fn checksum(algorithm: Algorithm, octets: &[u8]) -> String {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(octets);
    format!("{} {}", algorithm.tus_name(), STANDARD.encode(hasher.value()))
}

/// Octets in memory as a body that tells how far it went.
pub(super) fn in_pieces(octets: Bytes) -> impl Stream<Item = std::io::Result<Bytes>> + Send + 'static {
    stream::unfold(octets, |mut left| async move {
        if left.is_empty() {
            return None;
        }
        let piece = left.split_to(left.len().min(PIECE_BYTES));
        Some((Ok(piece), left))
    })
}

fn offset_in(headers: &HeaderMap) -> Option<u64> {
    headers.get("Upload-Offset").and_then(|value| value.to_str().ok()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn abilities(headers: &[(&'static str, &'static str)]) -> Abilities {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        Abilities::of(&headers.iter().map(pair).collect())
    }

    #[test]
    fn abilities_are_what_the_server_says() {
        let full = abilities(&[
            ("tus-extension", "creation,checksum, concatenation"),
            ("tus-checksum-algorithm", "sha1,crc32c,sha256"),
            ("want-repr-digest", "sha-512=3, sha-256=10, unixsum=10"),
            ("tus-max-size", "1000"),
        ]);
        assert_eq!(full.checksum, Some(Algorithm::Sha256));
        assert_eq!(full.whole_digest, Some(Algorithm::Sha256));
        assert!(full.concatenation && full.size_max == Some(1000));
        assert_eq!(abilities(&[]), Abilities::default());
        let unannounced = abilities(&[("tus-checksum-algorithm", "sha1"), ("want-repr-digest", "sha-256=0")]);
        assert_eq!(unannounced, Abilities::default());
        let unknown = abilities(&[("tus-extension", "checksum"), ("tus-checksum-algorithm", "rot13")]);
        assert_eq!(unknown.checksum, None);
    }

    #[test]
    fn digests_are_written_as_the_protocols_want_them() {
        assert_eq!(checksum(Algorithm::Sha1, b"abc"), "sha1 qZk+NkcGgWq6PiVxeFDCbJzQ2J0=");
        let digest = repr_digest(Algorithm::Crc32c, &[0, 1, 2, 3]);
        assert_eq!(digest.as_deref(), Some("crc32c=:AAECAw==:"));
        assert_eq!(repr_digest(Algorithm::Blake3, &[]), None);
    }

    #[test]
    fn a_token_goes_to_its_server_only() {
        let server = Url::parse("https://media.example.org/here").expect("is a url");
        let wire = Wire::new(&server, Some("secret")).expect("is usable");
        let sent = |address: &str| {
            let request = wire.request(Method::GET, &Url::parse(address).expect("is a url")).build().expect("builds");
            request.headers().contains_key(AUTHORIZATION)
        };
        assert!(sent("https://media.example.org/uploads/x"));
        assert!(!sent("http://media.example.org/uploads/x") && !sent("https://elsewhere.example.org/uploads/x"));
        assert_eq!(wire.address("uploads").expect("joins").as_str(), "https://media.example.org/here/uploads");
        assert!(Wire::new(&server, Some("line\nbreak")).is_err());
    }
}
