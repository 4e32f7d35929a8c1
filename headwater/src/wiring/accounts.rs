//! Accounts, and how uploads ask them who somebody is.

use std::sync::Arc;

use anyhow::Context;
use axum::http::request::Parts;
use catalog_api::{Access, Accounts, Notifier, Unproven};
use catalog_store::Catalog;
use domain::{Clock, KeyId, Principal};
use ingest::Denial;
use ingest::gate::{Answer, Gate};

use crate::config::{Config, Role};
use crate::data_dir::DataDir;
use crate::lifecycle::Lifecycle;

/// Who may use the API and uploads; what accounts need beside that runs as long as the server does.
///
/// # Errors
/// When keys cannot be made or read, or letters cannot be sent as the settings say.
pub async fn access(
    config: &Config,
    catalog: &Catalog,
    clock: &Arc<dyn Clock>,
    data_dir: &DataDir,
    lifecycle: &Lifecycle,
) -> anyhow::Result<Access> {
    if !config.has_accounts() {
        return Ok(Access::Open);
    }
    let settings = config.account_settings(data_dir.root());
    let opened = Accounts::open(catalog.clone(), Arc::clone(clock), settings).await;
    let (accounts, postman) = opened.context("cannot keep accounts")?;
    let soft = lifecycle.soft();
    lifecycle.spawn_essential("postman", postman.run(accounts.clone(), soft.clone()));
    lifecycle.spawn_essential("failed logins", accounts.clone().note_failures(soft.clone()));
    lifecycle.spawn_essential("account keeper", accounts.clone().tidy(soft.clone()));
    if config.has(Role::Api) {
        let holder = super::worker_name(data_dir, &**clock)?;
        let notifier = Notifier::new(accounts.clone(), holder, config.digest_time());
        lifecycle.spawn_essential("notifications", notifier.run(soft.clone()));
    }
    Ok(Access::Accounts(accounts))
}

/// Whom uploads ask: the accounts, or the tokens of the configuration alone.
pub fn gate(config: &Config, access: &Access) -> Arc<dyn Gate> {
    match access {
        Access::Open => config.gate(),
        Access::Accounts(accounts) => Arc::new(AccountGate(accounts.clone())),
    }
}

/// Asks the accounts.
#[derive(Clone, Debug)]
struct AccountGate(Accounts);

impl Gate for AccountGate {
    fn principal<'a>(&'a self, parts: &'a Parts) -> Answer<'a> {
        Box::pin(async {
            let caller = self.0.caller(&parts.method, &parts.uri, &parts.headers).await;
            match caller.map(|caller| caller.principal) {
                Ok(Principal::Anonymous) | Err(Unproven::InvalidToken) => Err(Denial::Unauthorized),
                Ok(principal) => Ok(principal),
                Err(Unproven::CrossOrigin) => {
                    Err(Denial::Forbidden { reason: "a page of another origin cannot do this in your name" })
                }
                Err(error) => Err(unavailable(&error)),
            }
        })
    }

    fn maker<'a>(&'a self, name: Option<&'a str>, key: Option<KeyId>) -> Answer<'a> {
        Box::pin(async move {
            match self.0.known_as(name.ok_or(Denial::Unauthorized)?, key).await {
                Ok(Principal::Anonymous) => Err(Denial::Unauthorized),
                Ok(principal) => Ok(principal),
                Err(error) => Err(unavailable(&error)),
            }
        })
    }
}

fn unavailable(error: &Unproven) -> Denial {
    tracing::warn!(error = error as &dyn std::error::Error, "accounts cannot be reached");
    Denial::Unavailable
}
