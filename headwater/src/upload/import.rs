//! A file that the server fetches by itself: asked for, and followed until it is there.

use std::time::Duration;

use anyhow::anyhow;
use reqwest::Method;
use reqwest::header::{ACCEPT, HeaderName, LOCATION};
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

use super::pace::Pace;
use super::progress::Transfer;
use super::setback::Setback;
use super::wire::{ANSWER_MAX, Wire};

/// Where imports are asked for.
const COLLECTION: &str = "api/v1/imports";

/// An import that the server has begun.
struct Import {
    upload: Url,
    asset: Url,
}

/// Has the server fetch `address`; the address of the asset once all of it is there.
pub(super) async fn run(
    wire: &Wire,
    address: &Url,
    interval: Duration,
    patience: Duration,
    display: &Transfer,
) -> anyhow::Result<Url> {
    let mut pace = Pace::new(patience);
    let import = begun(wire, address, &mut pace, display).await.map_err(Setback::into_error)?;
    followed(wire, &import, interval, patience, display).await.map_err(Setback::into_error)?;
    Ok(import.asset)
}

async fn begun(wire: &Wire, address: &Url, pace: &mut Pace, display: &Transfer) -> Result<Import, Setback> {
    let collection = wire.address(COLLECTION)?;
    // Ends with an import, a refusal or patience.
    loop {
        let request = wire.request(Method::POST, &collection).json(&json!({ "url": address })).timeout(ANSWER_MAX);
        let setback = match request.send().await {
            Ok(answer) if answer.status().is_success() => {
                let place = |name: HeaderName| {
                    let value = answer.headers().get(name).and_then(|value| value.to_str().ok());
                    value.and_then(|value| collection.join(value).ok())
                };
                let missing = || Setback::Final(anyhow!("this server does not say where the import is described"));
                let upload = place(LOCATION).ok_or_else(missing)?;
                let asset = place(HeaderName::from_static("asset-location")).ok_or_else(missing)?;
                return Ok(Import { upload, asset });
            }
            Ok(answer) => match Setback::of(answer).await {
                Setback::Lost { reason } => Setback::Final(anyhow!("this server fetches no files: {reason}")),
                setback => setback,
            },
            // Whether the server began is not known: a second try might fetch the file twice.
            Err(error) if !error.is_connect() => return Err(Setback::Final(Setback::no_answer(&error).into_error())),
            Err(error) => Setback::no_answer(&error),
        };
        pace.endure(setback, display).await?;
    }
}

/// Looks at the import until it is complete or has failed.
async fn followed(
    wire: &Wire,
    import: &Import,
    interval: Duration,
    patience: Duration,
    display: &Transfer,
) -> Result<(), Setback> {
    let (mut pace, mut last, mut since) = (Pace::new(patience), Value::Null, Instant::now());
    // Ends with the import's end or with patience.
    loop {
        match look(wire, &import.upload).await {
            Ok(seen) => {
                let moved = (&seen["received"], &seen["state"], &seen["import"]["attempts"]);
                if moved != (&last["received"], &last["state"], &last["import"]["attempts"]) {
                    since = Instant::now();
                    pace.progressed();
                }
                shown(&seen, &last, display);
                if let Some(outcome) = outcome(&seen) {
                    return outcome;
                }
                if since.elapsed() > patience {
                    let reason = seen["import"]["error"].as_str().unwrap_or("nothing arrives");
                    let patience = patience.as_secs();
                    return Err(Setback::Final(anyhow!(
                        "no progress for {patience} s: {reason}; the server goes on trying without this command"
                    )));
                }
                last = seen;
                tokio::time::sleep(interval).await;
            }
            Err(Setback::Lost { reason }) => return Err(Setback::Final(anyhow!("the import is gone: {reason}"))),
            Err(setback) => pace.endure(setback, display).await?,
        }
    }
}

async fn look(wire: &Wire, upload: &Url) -> Result<Value, Setback> {
    let request = wire.request(Method::GET, upload).header(ACCEPT, "application/json").timeout(ANSWER_MAX);
    let answer = request.send().await.map_err(|error| Setback::no_answer(&error))?;
    if !answer.status().is_success() {
        return Err(Setback::of(answer).await);
    }
    answer.json().await.map_err(|error| Setback::no_answer(&error))
}

fn shown(seen: &Value, last: &Value, display: &Transfer) {
    if let Some(length) = seen["length"].as_u64().filter(|_| last["length"].is_null()) {
        display.measured(length);
    }
    display.at(0, seen["durable"].as_u64().or(seen["received"].as_u64()).unwrap_or_default());
    let error = &seen["import"]["error"];
    if let Some(reason) = error.as_str().filter(|_| *error != last["import"]["error"]) {
        display.trouble(reason);
    }
}

/// How it ended; `None` as long as it goes on.
fn outcome(seen: &Value) -> Option<Result<(), Setback>> {
    match seen["state"].as_str()? {
        "complete" => Some(Ok(())),
        "open" => None,
        state => {
            let reason = seen["failure"]["message"].as_str().or(seen["import"]["error"].as_str());
            let reason = reason.unwrap_or("the server gives no reason");
            Some(Err(Setback::Refused(anyhow!("the import was {state}: {reason}"))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_ends_well_or_with_its_reason() {
        let failed = json!({ "state": "refused", "failure": { "message": "this is no media file" } });
        let told = outcome(&failed).expect("is over").expect_err("was refused").into_error().to_string();
        assert_eq!(told, "the import was refused: this is no media file");
        assert!(outcome(&json!({ "state": "open" })).is_none());
        assert!(matches!(outcome(&json!({ "state": "complete" })), Some(Ok(()))));
    }
}
