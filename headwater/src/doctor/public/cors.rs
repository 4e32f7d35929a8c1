//! May pages of other hosts upload through this address?

use http::{HeaderMap, StatusCode};

use super::line::{self, Answer, Site};
use super::{Finding, Trial, told};
use crate::doctor::Verdict;

/// A page that nobody has.
pub(super) const ORIGIN: &str = "https://headwater-doctor.example";
/// What uploading pages send.
const METHODS: [&str; 4] = ["post", "head", "patch", "delete"];
const REQUEST_HEADERS: [&str; 9] = [
    "authorization",
    "content-type",
    "tus-resumable",
    "upload-checksum",
    "upload-concat",
    "upload-length",
    "upload-metadata",
    "upload-offset",
    "x-http-method-override",
];
/// What they must be able to read.
const EXPOSED: [&str; 8] = [
    "location",
    "tus-extension",
    "tus-resumable",
    "upload-concat",
    "upload-expires",
    "upload-length",
    "upload-metadata",
    "upload-offset",
];

/// What a page reads from the answer to each of its requests.
const READ: [(&str, &[&str]); 4] = [
    ("POST", &["location", "upload-offset"]),
    ("HEAD", &["upload-length", "upload-offset"]),
    ("PATCH", &["upload-expires", "upload-offset"]),
    ("DELETE", &[]),
];
const NAME: &str = "cors";
const ADVICE: &str = "let the server's own headers through and add none";

/// Asks as a browser would before a page's first request.
pub(super) async fn check(site: &Site) -> Finding {
    let name = NAME;
    let found = async {
        let preflight = asked(site, "PATCH").await?;
        let answered = asked(site, "").await?;
        Ok::<_, String>(complaints(&preflight, &answered))
    };
    match found.await {
        Ok(complaints) if complaints.is_empty() => Finding::ok(name, "pages of other hosts may upload"),
        Ok(complaints) => {
            Finding::warn(name, format!("pages of other hosts cannot upload: {}; {ADVICE}", complaints.join("; ")))
        }
        Err(said) => Finding::warn(name, format!("cannot be told: {said}")),
    }
}

impl Trial {
    /// Sends the requests of a page, and looks whether it may read the answers: what is right for a preflight may
    /// be missing there.
    pub(super) async fn cors_of_answers(&mut self) {
        let found = self.answers_to_page().await.map(|answers| complaints_about(&answers));
        let is_closed = self.is_closed_to_pages;
        let Some(finding) = self.findings.iter_mut().find(|finding| finding.name == NAME) else { return };
        let is_ok = finding.verdict == Verdict::Ok;
        if is_closed && is_ok {
            *finding = Finding::ok(
                NAME,
                "pages of other hosts may not upload: the server is open, and api_origins names none",
            );
            return;
        }
        let said = match found {
            Ok(complaints) => {
                // What is wrong with preflights as well was told with them.
                let is_new = |(what, _): &(String, _)| is_ok || !finding.text.contains(what.as_str());
                let new: Vec<String> = complaints
                    .into_iter()
                    .filter(is_new)
                    .map(|(what, methods)| format!("{what} in answers to {}", methods.join(", ")))
                    .collect();
                if new.is_empty() {
                    return;
                }
                format!("pages of other hosts cannot read what they are told: {}; {ADVICE}", new.join("; "))
            }
            Err(said) => format!("what pages of other hosts are told cannot be seen: {said}"),
        };
        let before = if is_ok { String::new() } else { format!("{}; ", finding.text) };
        *finding = Finding::warn(NAME, before + &said);
    }

    /// The answers in the order of [`READ`].
    async fn answers_to_page(&mut self) -> Result<Vec<Answer>, String> {
        let (upload, created) = self.another().await?;
        let mut answers = vec![created];
        for method in ["HEAD", "PATCH", "DELETE"] {
            let request = self.tus(method, &upload);
            let request = if self.is_closed_to_pages { request } else { request.header("Origin", ORIGIN) };
            let request = match method {
                "PATCH" => request.header("Upload-Offset", 0).header("Content-Type", "application/offset+octet-stream"),
                _ => request,
            };
            answers.push(self.ask(request.body(line::empty())).await.map_err(|fault| told(&fault))?);
        }
        if answers.last().is_some_and(|ended| ended.status.is_success()) {
            self.created.retain(|created| *created != upload);
        }
        Ok(answers)
    }
}

/// Whether an answer says that pages of other origins may do nothing, which is not what is wrong with a proxy.
pub(super) fn is_closed(answer: &Answer) -> bool {
    let problem = || serde_json::from_slice::<serde_json::Value>(&answer.body).ok();
    answer.status == StatusCode::FORBIDDEN && problem().is_some_and(|problem| problem["code"] == "cross_origin")
}

/// What is wrong, and in the answers to which methods.
fn complaints_about(answers: &[Answer]) -> Vec<(String, Vec<&'static str>)> {
    let mut complaints: Vec<(String, Vec<&'static str>)> = Vec::new();
    for ((method, read), answer) in READ.iter().zip(answers) {
        let lacking = lacking(answer, "access-control-expose-headers", read);
        for what in origin_complaint(&answer.headers).into_iter().chain(lacking) {
            match complaints.iter_mut().find(|(known, _)| *known == what) {
                Some((_, methods)) => methods.push(method),
                None => complaints.push((what, vec![method])),
            }
        }
    }
    complaints
}

/// What a list in a header lacks.
fn lacking(answer: &Answer, header: &str, wanted: &[&str]) -> Option<String> {
    let given = answer.members(header);
    let missing: Vec<&str> = wanted.iter().copied().filter(|name| !given.iter().any(|member| member == name)).collect();
    (!missing.is_empty()).then(|| format!("{header} lacks {}", missing.join(", ")))
}

async fn asked(site: &Site, wanted: &str) -> Result<Answer, String> {
    let collection = site.base.join("uploads").map_err(|error| error.to_string())?;
    let request = site.request("OPTIONS", &collection).header("Origin", ORIGIN);
    let request = if wanted.is_empty() {
        request
    } else {
        let headers = REQUEST_HEADERS.join(", ");
        request.header("Access-Control-Request-Method", wanted).header("Access-Control-Request-Headers", headers)
    };
    let request = request.body(line::empty()).map_err(|error| error.to_string())?;
    site.exchange(request).await.map_err(|fault| told(&fault))
}

fn complaints(preflight: &Answer, answered: &Answer) -> Vec<String> {
    let mut complaints = Vec::new();
    if !preflight.status.is_success() {
        complaints.push(format!("the preflight is answered {}", preflight.said()));
    }
    complaints.extend(origin_complaint(&preflight.headers));
    if preflight.headers.get("access-control-allow-origin") != answered.headers.get("access-control-allow-origin") {
        complaints.extend(origin_complaint(&answered.headers));
    }
    for (header, wanted, answer) in [
        ("access-control-allow-methods", METHODS.as_slice(), preflight),
        ("access-control-allow-headers", REQUEST_HEADERS.as_slice(), preflight),
        ("access-control-expose-headers", EXPOSED.as_slice(), answered),
    ] {
        complaints.extend(lacking(answer, header, wanted));
    }
    complaints
}

/// Browsers want exactly one value that means them.
fn origin_complaint(headers: &HeaderMap) -> Option<String> {
    let values: Vec<&str> =
        headers.get_all("access-control-allow-origin").iter().filter_map(|value| value.to_str().ok()).collect();
    match values.as_slice() {
        ["*"] | [ORIGIN] => None,
        [] => Some("access-control-allow-origin is missing".to_owned()),
        [one] => Some(format!("access-control-allow-origin is {one}")),
        _ => Some("access-control-allow-origin is there twice".to_owned()),
    }
}
