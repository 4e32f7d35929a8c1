//! `headwater access`: who may play an asset, and whether it is encrypted. `headwater token`: what opens one that is signed.
//!
//! Neither needs the database: the answer stands in the pointer of the asset, in the storage. Only where caches in front
//! are to be told of a change, that is recorded there.

use std::io::Read;
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use domain::access::{ENCRYPTION_TIME_S_MAX, PAGES_MAX, PASSWORD_CHARS_MIN, is_page};
use domain::presentation::Pointer;
use domain::{Access, Admission, AssetId, Encryption, EncryptionMethod, PlaybackId};
use media_store::MediaStore;
use origin::access::{Grant, hash_password, mint};

use crate::config::Config;
use crate::{cli, terminal, wiring};

/// Longest password read from standard input, in octets.
const PASSWORD_BYTES_MAX: u64 = 256;
/// How often the pointer is written because somebody else writes it at the same time.
const ATTEMPTS_MAX: u32 = 5;

/// Shortest time after which another key is used, in seconds.
const ROTATION_S_MIN: u32 = 6;

/// Time within which a publication that is under way has written its pointer.
const SETTLE: Duration = Duration::from_secs(2);

/// What the help of `access` shows below the flags.
pub const ACCESS_EXAMPLES: &str = "\
Examples:
  headwater access plb_01kb3g5x8yq4v7n2m9d6c0e1r5                    tell who may play it
  headwater access plb_01kb3g5x8yq4v7n2m9d6c0e1r5 --policy signed    only with a token
  printf 'open sesame' | headwater access plb_... --policy password  only with this password, or a token
  headwater access plb_... --policy public --page https://example.com --page none
  headwater access plb_... --encrypt aes-128 --clear-lead 12 --rotate 600
  headwater access plb_... --encrypt none                            served clear again

A running server follows within a second. Caches in front of it that stand in purge_targets are told by a worker;
others keep what they have: purge the tag asset:plb_... there.
Exit codes: 0 done, 1 there is no such asset, or the storage failed, 2 wrong usage.";

/// What the help of `token` shows below the flags.
pub const TOKEN_EXAMPLES: &str = "\
Examples:
  headwater token plb_01kb3g5x8yq4v7n2m9d6c0e1r5                      for six hours
  headwater token plb_... --for-s 600 --session alice --network 192.0.2.0/24

It prints the path of the multivariant playlist with the token in it; put the server's address before it.
The key that signs is the first of token_keys, or of token_keys_file.
Exit codes: 0 done, 1 there is no key, 2 wrong usage.";

/// Who may play.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Policy {
    /// Everybody
    Public,
    /// Everybody who knows the address
    Unlisted,
    /// Whom it belongs to or is shared with, by tickets of the API
    Private,
    /// Everybody with an account, by tickets of the API
    Internal,
    /// Who has a token
    Signed,
    /// Who knows a password of at least 8 characters, read from standard input, or has a token
    Password,
}

/// Whose access.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The asset, by its playback id
    #[arg(value_name = "PLAYBACK_ID")]
    playback: PlaybackId,
    /// Who may play it; without it, nothing is changed
    #[arg(long, value_enum)]
    policy: Option<Policy>,
    /// The only pages that may show it, such as `https://example.com`; `none` for players that are no page
    #[arg(long = "page", value_name = "ORIGIN", requires = "policy")]
    pages: Vec<String>,
    /// How its picture and sound are encrypted; needs content_key_secrets. Without it, that stays as it is
    #[arg(long, value_enum, value_name = "METHOD")]
    encrypt: Option<Encrypt>,
    /// Seconds at the beginning that stay clear
    #[arg(long, value_name = "SECONDS", requires = "encrypt", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=i64::from(ENCRYPTION_TIME_S_MAX)))]
    clear_lead: u32,
    /// Seconds after which another key is used; 0 for one key throughout
    #[arg(long, value_name = "SECONDS", requires = "encrypt", default_value_t = 0, value_parser = rotation)]
    rotate: u32,
}

/// How it is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Encrypt {
    /// Whole segments, for players of HLS: `METHOD=AES-128`
    #[value(name = "aes-128")]
    Aes128,
    /// Samples, for players with a decryption module: Common Encryption, `METHOD=SAMPLE-AES`
    Cbcs,
    /// Not at all
    None,
}

fn rotation(text: &str) -> Result<u32, String> {
    let seconds =
        text.parse().ok().filter(|seconds| *seconds == 0 || (ROTATION_S_MIN..=ENCRYPTION_TIME_S_MAX).contains(seconds));
    seconds.ok_or_else(|| format!("expected 0, or {ROTATION_S_MIN} to {ENCRYPTION_TIME_S_MAX} seconds"))
}

/// What a token opens.
#[derive(Debug, clap::Args)]
pub struct TokenArgs {
    /// The asset, by its playback id
    #[arg(value_name = "PLAYBACK_ID")]
    playback: PlaybackId,
    /// Seconds for which it opens
    #[arg(long, value_name = "SECONDS", default_value_t = 6 * 3600, value_parser = clap::value_parser!(u64).range(1..=366 * 86_400))]
    for_s: u64,
    /// A name for the viewer's session
    #[arg(long, value_name = "NAME")]
    session: Option<String>,
    /// The network that the viewer must come from, such as 192.0.2.0/24
    #[arg(long, value_name = "NETWORK", value_parser = network)]
    network: Option<(IpAddr, u8)>,
}

fn network(text: &str) -> Result<(IpAddr, u8), String> {
    let network: ipnet::IpNet = text
        .parse()
        .or_else(|_| text.parse::<IpAddr>().map(ipnet::IpNet::from))
        .map_err(|_| "expected an address or a network such as 192.0.2.0/24".to_owned())?;
    Ok((network.addr(), network.prefix_len()))
}

/// Prints a path that opens an asset.
///
/// # Errors
/// If there is no key to sign with.
pub fn token(args: TokenArgs, config: &Config) -> anyhow::Result<ExitCode> {
    let ring = config.token_keys()?;
    let now_s = u64::try_from(wiring::clock().now().unix_ms() / 1000).context("the clock stands before 1970")?;
    let TokenArgs { playback, for_s, session, network } = args;
    let prefix = format!("/v/{playback}/");
    let grant = Grant { expires_s: now_s + for_s, begins_s: now_s, prefix, session, network, is_preview: false };
    let token = mint(&grant, &ring).context("set token_keys or token_keys_file")?;
    terminal::say(&format!("/t/{token}/v/{playback}/master.m3u8"));
    Ok(ExitCode::from(cli::DONE))
}

/// Tells or changes who may play an asset.
///
/// # Errors
/// If there is no such asset, the storage fails, or the password cannot be read.
pub async fn access(args: Args, config: Config) -> anyhow::Result<ExitCode> {
    let store = wiring::store(&config, &wiring::existing(&config)?).await?;
    let Pointer { asset, access: now, .. } = current(&store, args.playback).await?;
    let access = changed(&args, now.clone(), &config)?;
    if access != now {
        // Before and after: whoever is killed in between has told it, and what is told is purged when it has settled.
        tell(&config, asset).await?;
        put(&store, args.playback, &access).await?;
        tell(&config, asset).await?;
    }
    terminal::say(&told(&access));
    Ok(ExitCode::from(cli::DONE))
}

/// What is in force once `args` are; whatever they do not name stays.
fn changed(args: &Args, now: Access, config: &Config) -> anyhow::Result<Access> {
    let mut access = now;
    if let Some(policy) = args.policy {
        access.admission = match policy {
            Policy::Public => Admission::Public,
            Policy::Unlisted => Admission::Unlisted,
            Policy::Private => Admission::Private,
            Policy::Internal => Admission::Internal,
            Policy::Signed => Admission::Signed,
            Policy::Password => Admission::Password { hash: hash_password(&password()?, wiring::clock().entropy()) },
        };
        ensure!(args.pages.len() <= PAGES_MAX, "at most {PAGES_MAX} pages");
        for page in &args.pages {
            ensure!(is_page(page), "\"{page}\" is no origin such as https://example.com, nor `none`");
        }
        access.pages = args.pages.clone();
    }
    let method = match args.encrypt {
        None => return Ok(access),
        Some(Encrypt::None) => None,
        Some(Encrypt::Aes128) => Some(EncryptionMethod::Aes128),
        Some(Encrypt::Cbcs) => Some(EncryptionMethod::Cbcs),
    };
    ensure!(
        method.is_none() || !config.content_key_secrets.is_empty(),
        "there is no secret to derive keys from: set content_key_secrets, here and on every origin, to a secret of 32 \
         random characters or more"
    );
    let (clear_lead_s, rotate_s) = (args.clear_lead, args.rotate);
    access.encryption = method.map(|method| Encryption { method, clear_lead_s, rotate_s });
    Ok(access)
}

/// Writes it into the pointer. Whoever publishes at the same time may have read the one before, and writes that back:
/// looks again when that is over.
async fn put(store: &MediaStore, playback: PlaybackId, access: &Access) -> anyhow::Result<()> {
    // When it may be played is the catalogue's to say, and which of its changes was followed; both may change meanwhile.
    let wanted = |pointer: &Pointer| {
        let Access { availability, change, .. } = pointer.access;
        Access { availability, change, ..access.clone() }
    };
    for _ in 0..ATTEMPTS_MAX {
        let pointer = current(store, playback).await?;
        if pointer.access == wanted(&pointer) {
            return Ok(());
        }
        let changed = Pointer { access: wanted(&pointer), ..pointer };
        store.put_pointer(playback, serde_json::to_vec(&changed)?.into()).await?;
        tokio::time::sleep(SETTLE).await;
    }
    let pointer = current(store, playback).await?;
    match pointer.access == wanted(&pointer) {
        true => Ok(()),
        false => bail!("somebody else publishes the asset all the time: try again"),
    }
}

/// Has the caches in front told that others may play the asset, if there are any.
async fn tell(config: &Config, asset: AssetId) -> anyhow::Result<()> {
    if config.purge_targets.is_empty() {
        return Ok(());
    }
    let catalog = wiring::to_add_work(config).await.context("the caches in front cannot be told")?;
    let noted = catalog.tell_access_changed(asset, wiring::clock().now()).await;
    catalog.close().await;
    Ok(noted?)
}

async fn current(store: &MediaStore, playback: PlaybackId) -> anyhow::Result<Pointer> {
    let pointer = store.pointer(playback).await?.with_context(|| format!("nothing is published as {playback}"))?;
    serde_json::from_slice(&pointer).context("the pointer cannot be understood")
}

fn password() -> anyhow::Result<String> {
    let mut text = String::new();
    std::io::stdin().take(PASSWORD_BYTES_MAX).read_to_string(&mut text).context("cannot read the password")?;
    usable(text.trim_end_matches(['\r', '\n']))
}

fn usable(password: &str) -> anyhow::Result<String> {
    ensure!(!password.is_empty(), "write the password to standard input");
    ensure!(
        password.chars().count() >= PASSWORD_CHARS_MIN,
        "a password has at least {PASSWORD_CHARS_MIN} characters: shorter ones are guessed"
    );
    ensure!(!password.contains(char::is_control), "a password has no control characters: browsers cannot send them");
    Ok(password.to_owned())
}

fn told(access: &Access) -> String {
    let mut told = access.admission.as_str().to_owned();
    if !access.pages.is_empty() {
        told.push_str(&format!(", on {}", access.pages.join(", ")));
    }
    if access.availability.is_withheld {
        told.push_str(", not shown");
    }
    if let Some(Encryption { method, clear_lead_s, rotate_s }) = access.encryption {
        let method = match method {
            EncryptionMethod::Aes128 => "aes-128",
            EncryptionMethod::Cbcs => "cbcs",
        };
        told.push_str(&format!(", encrypted by {method}"));
        if clear_lead_s > 0 {
            told.push_str(&format!(" after {clear_lead_s} s"));
        }
        if rotate_s > 0 {
            told.push_str(&format!(", another key each {rotate_s} s"));
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_that_is_guessed_or_cannot_be_sent_is_refused() {
        assert_eq!(usable("éàüeight").expect("eight characters"), "éàüeight");
        for refused in ["", "seven77", "éééé", "with a\tblank"] {
            assert!(usable(refused).is_err(), "{refused}");
        }
    }
}
