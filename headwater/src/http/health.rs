//! Whether the process lives, and whether it can serve.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};
use tokio_util::sync::CancellationToken;

/// How long one probe may take before it counts as failed.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

type Check = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

/// Something without which the process cannot serve, and how to ask it.
pub struct Probe {
    name: &'static str,
    check: Check,
}

impl Probe {
    /// A probe called `name`; `check` answers `Err` with a sentence for the operator.
    pub fn new<F>(name: &'static str, check: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        Self { name, check: Box::new(move || Box::pin(check())) }
    }
}

/// What `/healthz` and `/readyz` answer.
pub struct Health {
    soft: CancellationToken,
    probes: Vec<Probe>,
}

impl Health {
    /// Ready while `soft` is not cancelled and every probe succeeds.
    pub fn new(soft: CancellationToken, probes: Vec<Probe>) -> Self {
        Self { soft, probes }
    }

    /// The process answers: that is all there is to say.
    pub(super) fn live() -> Response<Body> {
        report(StatusCode::OK, &serde_json::json!({ "status": "ok" }))
    }

    /// 200 while the process can serve, else 503; the document names each part.
    pub(super) async fn ready(&self) -> Response<Body> {
        if self.soft.is_cancelled() {
            return report(StatusCode::SERVICE_UNAVAILABLE, &serde_json::json!({ "status": "draining" }));
        }
        let asked = self.probes.iter().map(|probe| async {
            let answer = tokio::time::timeout(PROBE_TIMEOUT, (probe.check)()).await;
            (probe.name, answer.unwrap_or_else(|_| Err("no answer in time".into())))
        });
        let answers = futures::future::join_all(asked).await;
        let is_ready = answers.iter().all(|(_, answer)| answer.is_ok());
        for (name, problem) in answers.iter().filter_map(|(name, answer)| answer.as_ref().err().map(|why| (name, why)))
        {
            tracing::warn!(part = name, problem, "not ready");
        }
        let parts: serde_json::Map<_, _> = answers
            .iter()
            // The cause is in the log; addresses and paths do not belong in an answer to anybody.
            .map(|(name, answer)| ((*name).to_owned(), if answer.is_ok() { "ok" } else { "failed" }.into()))
            .collect();
        let (status, word) =
            if is_ready { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready") };
        report(status, &serde_json::json!({ "status": word, "parts": parts }))
    }
}

fn report(status: StatusCode, document: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(Body::from(document.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn status(health: &Health) -> u16 {
        health.ready().await.status().as_u16()
    }

    #[tokio::test]
    async fn ready_means_every_part_answers_and_nobody_asked_to_stop() {
        let soft = CancellationToken::new();
        let well = || Probe::new("database", || async { Ok(()) });
        let ill = Probe::new("storage", || async { Err("no space".to_owned()) });
        assert_eq!(status(&Health::new(soft.clone(), vec![well()])).await, 200);
        assert_eq!(status(&Health::new(soft.clone(), vec![well(), ill])).await, 503);
        soft.cancel();
        assert_eq!(status(&Health::new(soft, vec![well()])).await, 503);
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_that_does_not_answer_is_not_waited_for() {
        let silent = Probe::new("storage", std::future::pending);
        assert_eq!(status(&Health::new(CancellationToken::new(), vec![silent])).await, 503);
    }
}
