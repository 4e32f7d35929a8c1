//! May pages of other hosts upload through this address?

use http::HeaderMap;

use super::line::{self, Answer, Site};
use super::{Finding, told};

/// A page that nobody has.
const ORIGIN: &str = "https://headwater-doctor.example";
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

/// Asks as a browser would before a page's first request, and then as the page would.
pub(super) async fn check(site: &Site) -> Finding {
    let name = "cors";
    let found = async {
        let preflight = asked(site, "PATCH").await?;
        let answered = asked(site, "").await?;
        Ok::<_, String>(complaints(&preflight, &answered))
    };
    match found.await {
        Ok(complaints) if complaints.is_empty() => Finding::ok(name, "pages of other hosts may upload"),
        Ok(complaints) => {
            let advice = "let the server's own headers through and add none";
            Finding::warn(name, format!("pages of other hosts cannot upload: {}; {advice}", complaints.join("; ")))
        }
        Err(said) => Finding::warn(name, format!("cannot be told: {said}")),
    }
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
        let given = answer.members(header);
        let missing: Vec<&str> =
            wanted.iter().copied().filter(|name| !given.iter().any(|member| member == name)).collect();
        if !missing.is_empty() {
            complaints.push(format!("{header} lacks {}", missing.join(", ")));
        }
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
