//! Does the address lead to a server that takes uploads, and does it say where they are?

use domain::ByteSize;
use http::StatusCode;
use url::Url;

use super::line::{self, Answer, Site};
use super::{Abilities, Finding, Tempo, Trial, told};

/// Lengths that a trial upload may announce; a smaller one where a quota or a full disk refuses more.
const LENGTHS: [u64; 3] = [1 << 30, 128 << 20, 16 << 20];
/// Where uploads are created, below the public address.
const COLLECTION: &str = "uploads";

/// Asks what the server can do.
pub(super) async fn check(site: &Site) -> Result<(Vec<Finding>, Abilities), Finding> {
    let name = "reach";
    let refused = |text: String| Finding::fail(name, text);
    let collection = collection(site).map_err(refused)?;
    let request =
        site.request("OPTIONS", &collection).body(line::empty()).map_err(|error| refused(error.to_string()))?;
    let answer = site.exchange(request).await.map_err(|fault| refused(told(&fault)))?;
    if answer.status.is_redirection() {
        let to = answer.header("location").unwrap_or("another address");
        return Err(refused(format!("redirects to {to}: give that address to everyone, uploads are not redirected")));
    }
    let abilities = Abilities {
        extensions: answer.members("tus-extension"),
        algorithms: answer.members("tus-checksum-algorithm"),
        size_max: answer.header("tus-max-size").and_then(|size| size.parse().ok()),
        has_draft: answer.headers.contains_key("upload-limit"),
    };
    let took_ms = answer.took.as_millis();
    let finding = if answer.members("tus-version").iter().any(|version| version == "1.0.0") {
        let most =
            abilities.size_max.map_or_else(String::new, |bytes| format!(", uploads of up to {}", ByteSize(bytes)));
        Finding::ok(name, format!("speaks tus 1.0.0{most}; answers in {took_ms} ms"))
    } else {
        let said = answer.said();
        Finding::warn(
            name,
            format!(
                "OPTIONS is answered by something else ({said}): let it through, clients learn from it what they may do"
            ),
        )
    };
    Ok((vec![finding], abilities))
}

fn collection(site: &Site) -> Result<Url, String> {
    site.base.join(COLLECTION).map_err(|error| error.to_string())
}

/// Creates the upload on trial and checks where it is said to be.
pub(super) async fn create(site: Site, abilities: Abilities, tempo: Tempo) -> Result<Trial, Finding> {
    let refused = |text: String| Finding::fail("create", text);
    let collection = collection(&site).map_err(refused)?;
    let size_max = abilities.size_max.unwrap_or(u64::MAX);
    if size_max < LENGTHS[2] {
        return Err(refused(format!(
            "the server takes uploads of up to {} only: too small for a trial",
            ByteSize(size_max)
        )));
    }
    let mut answered = None;
    for length in LENGTHS.map(|length| length.min(size_max)) {
        let answer = created(&site, &abilities, &collection, length).await.map_err(refused)?;
        let is_over_quota = matches!(answer.status.as_u16(), 413 | 507) && answer.is_of_server();
        answered = Some((answer, length));
        if !is_over_quota {
            break;
        }
    }
    let (answer, length) = answered.ok_or_else(|| refused("no length is allowed".into()))?;
    if answer.status != StatusCode::CREATED {
        return Err(refused(advised(&answer)));
    }
    let Some(location) = answer.header("location") else {
        return Err(refused("the answer has no Location: something on the way drops it".into()));
    };
    let (upload, finding) = located(&site.base, &collection, location);
    let mut trial = Trial {
        site,
        tempo,
        abilities,
        upload: upload.clone(),
        length,
        offset: 0,
        is_overriding: false,
        is_closed_to_pages: false,
        body_bytes_max: length,
        plain: None,
        created: vec![upload],
        findings: Vec::new(),
    };
    trial.ok("create", "an upload on trial was created");
    trial.findings.push(finding);
    Ok(trial)
}

async fn created(site: &Site, abilities: &Abilities, collection: &Url, length: u64) -> Result<Answer, String> {
    let request = site.request("POST", collection).header("Tus-Resumable", "1.0.0").header("Upload-Length", length);
    let request = if abilities.has("concatenation") {
        request.header("Upload-Concat", "partial")
    } else {
        // "headwater-doctor.mp4" and "video/mp4"
        request.header("Upload-Metadata", "filename aGVhZHdhdGVyLWRvY3Rvci5tcDQ=,filetype dmlkZW8vbXA0")
    };
    let request = request.body(line::empty()).map_err(|error| error.to_string())?;
    site.exchange(request).await.map_err(|fault| told(&fault))
}

fn advised(answer: &Answer) -> String {
    let said = answer.said();
    match answer.status.as_u16() {
        401 | 403 if answer.is_of_server() => format!("{said}; give a token with --token or HEADWATER_TOKEN"),
        404 if !answer.is_of_server() => format!("{said}: no uploads at this address; is the path right?"),
        412 if answer.is_of_server() => format!("{said}; something on the way drops Tus-Resumable from requests"),
        507 | 413 if answer.is_of_server() => format!("{said}; make room for uploads first"),
        _ if !answer.is_of_server() => format!("something before the server answers uploads with {said}"),
        _ => said,
    }
}

/// The address of the upload as clients reach it, and whether they are told that one.
pub(super) fn located(base: &Url, collection: &Url, location: &str) -> (Url, Finding) {
    let name = "location";
    let Ok(told) = collection.join(location) else {
        return (collection.clone(), Finding::fail(name, format!("Location is no address: {location}")));
    };
    let is_below = told.path().starts_with(base.path());
    if told.origin() == base.origin() && is_below {
        return (told, Finding::ok(name, format!("uploads are told to be at {location}")));
    }
    // What clients should have been told, so that the other checks can go on.
    let mut upload = base.clone();
    let rest = told.path().strip_prefix(base.path()).unwrap_or(told.path().trim_start_matches('/'));
    upload.set_path(&format!("{}{rest}", base.path()));
    upload.set_query(told.query());
    let advice = if told.origin() == base.origin() {
        format!("the folder {} is missing: serve at the root of a host, or rewrite Location", base.path())
    } else if told.scheme() == base.scheme() {
        "another host: leave Location as the server sends it, it is relative".to_owned()
    } else {
        "another scheme: leave Location as the server sends it (nginx: proxy_redirect off), it is relative".to_owned()
    };
    (upload, Finding::fail(name, format!("uploads are told to be at {told}; {advice}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn an_upload_must_be_said_to_be_where_clients_can_reach_it() {
        let check = |base: &str, location: &str, verdict: Verdict, expected: &str| {
            let base = Url::parse(base).expect("is a url");
            let collection = base.join(COLLECTION).expect("joins");
            let (upload, finding) = located(&base, &collection, location);
            assert_eq!((finding.verdict, upload.as_str()), (verdict, expected), "{location}: {}", finding.text);
        };
        check("https://a.example/", "/uploads/x", Verdict::Ok, "https://a.example/uploads/x");
        check("https://a.example/", "uploads/x?grant=y", Verdict::Ok, "https://a.example/uploads/x?grant=y");
        check("https://a.example/", "https://a.example/uploads/x", Verdict::Ok, "https://a.example/uploads/x");
        check("https://a.example/", "http://a.example/uploads/x", Verdict::Fail, "https://a.example/uploads/x");
        check("https://a.example/", "http://10.0.0.7:8080/uploads/x", Verdict::Fail, "https://a.example/uploads/x");
        check("https://a.example/m/", "/uploads/x", Verdict::Fail, "https://a.example/m/uploads/x");
        check("https://a.example/m/", "/m/uploads/x", Verdict::Ok, "https://a.example/m/uploads/x");
    }
}
