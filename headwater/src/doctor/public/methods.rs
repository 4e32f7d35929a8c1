//! Do the methods get through that uploads need beside `POST`?

use url::Url;

use super::line::{self, Answer, Site};
use super::{Trial, cors, told};

/// Octets of the first piece.
const PIECE_BYTES: u64 = 16 << 10;

/// What became of a method.
enum Passage {
    Passes,
    /// It does not, but its name in a header does.
    ByHeader(String),
    Blocked(String),
}

impl Trial {
    /// Tries each method; false if uploads cannot work at all.
    pub(super) async fn methods(&mut self) -> bool {
        let name = "methods";
        let mut blocked = Vec::new();
        for method in ["HEAD", "PATCH", "DELETE"] {
            match self.passage(method).await {
                Ok(Passage::Passes) => {}
                Ok(Passage::ByHeader(said)) => blocked.push((method, said)),
                Ok(Passage::Blocked(said)) => {
                    self.fail(
                        name,
                        format!("{method} is blocked ({said}), and so is X-HTTP-Method-Override: let it through"),
                    );
                    return false;
                }
                Err(said) => {
                    self.fail(name, format!("{method}: {said}"));
                    return false;
                }
            }
        }
        if blocked.is_empty() {
            self.ok(name, "HEAD, PATCH and DELETE get through");
            return true;
        }
        self.is_overriding = true;
        let told: Vec<String> = blocked.into_iter().map(|(method, said)| format!("{method} ({said})")).collect();
        let told = told.join(", ");
        self.warn(
            name,
            format!("blocked: {told}; only clients that send X-HTTP-Method-Override can upload: let it through"),
        );
        true
    }

    async fn passage(&mut self, method: &str) -> Result<Passage, String> {
        let target = if method == "DELETE" { self.another().await?.0 } else { self.upload.clone() };
        let answer = self.tried(method, &target, false).await?;
        if let Some(complaint) = self.complaint(method, &answer) {
            if answer.is_of_server() {
                return Err(complaint);
            }
            let again = self.tried(method, &target, true).await?;
            return Ok(match self.complaint(method, &again) {
                None => Passage::ByHeader(answer.status.to_string()),
                Some(_) => Passage::Blocked(answer.status.to_string()),
            });
        }
        Ok(Passage::Passes)
    }

    async fn tried(&self, method: &str, target: &Url, is_overriding: bool) -> Result<Answer, String> {
        let request = if is_overriding {
            self.site.request("POST", target).header("X-HTTP-Method-Override", method)
        } else {
            self.site.request(method, target)
        };
        let request = request.header("Tus-Resumable", "1.0.0");
        let request = if method == "PATCH" {
            let head = request.header("Upload-Offset", 0).header("Content-Type", "application/offset+octet-stream");
            head.body(line::full(self.octets(PIECE_BYTES)))
        } else {
            request.body(line::empty())
        };
        self.ask(request).await.map_err(|fault| told(&fault))
    }

    /// What is wrong with an answer; takes over the offset of a right one.
    fn complaint(&mut self, method: &str, answer: &Answer) -> Option<String> {
        if !answer.status.is_success() {
            return Some(answer.said());
        }
        if method == "DELETE" {
            self.created.pop();
            return None;
        }
        match answer.offset() {
            Some(offset) => {
                self.offset = offset;
                None
            }
            None => Some(format!("{} without Upload-Offset: something on the way drops the header", answer.status)),
        }
    }

    /// Another upload, to be deleted, and the answer to the page that created it.
    pub(super) async fn another(&mut self) -> Result<(Url, Answer), String> {
        let collection = self.site.base.join("uploads").map_err(|error| error.to_string())?;
        let has_parts = self.abilities.has("concatenation");
        let request = |site: &Site| {
            let request = site.request("POST", &collection).header("Tus-Resumable", "1.0.0").header("Upload-Length", 1);
            if has_parts { request.header("Upload-Concat", "partial") } else { request }
        };
        let of_page = request(&self.site).header("Origin", cors::ORIGIN).body(line::empty());
        let mut answer = self.ask(of_page).await.map_err(|fault| told(&fault))?;
        if cors::is_closed(&answer) {
            self.is_closed_to_pages = true;
            answer = self.ask(request(&self.site).body(line::empty())).await.map_err(|fault| told(&fault))?;
        }
        let location = answer.header("location").ok_or_else(|| format!("a second upload: {}", answer.said()))?;
        let (upload, _) = super::reach::located(&self.site.base, &collection, location);
        self.created.push(upload.clone());
        Ok((upload, answer))
    }
}
