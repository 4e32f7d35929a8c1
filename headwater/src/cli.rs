//! The command line, and the way to each command.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::config::{self, Config, LogFormat, Role, Sources};
use crate::{
    access, audit, backup, doctor, probe, purge, renumber, reprocess, secrets, serve, telemetry, terminal, transcode,
    upload, validate, verify, wiring,
};

/// The work is done.
pub const DONE: u8 = 0;
/// The source, the server or this machine failed; the reason is on standard error.
pub const FAILED: u8 = 1;
/// The command line or the configuration is wrong; nothing was begun.
pub const MISUSED: u8 = 2;

const EXAMPLES: &str = "\
Examples:
  headwater serve                                  everything in one process
  headwater upload holiday.mp4 --wait              send a file to it and wait until it is ready
  headwater transcode holiday.mp4 -o holiday-hls   no server: a folder any web server can serve
  headwater doctor                                 check this machine
  headwater verify --all                           check everything that is stored
  headwater backup /backups/                       copy the database of a running server
  headwater validate holiday-hls                   judge a folder or an address by the rules of HLS
  headwater reprocess --all --older-than-recipe    encode again what older settings made
  headwater doctor --url https://media.example.org check what a proxy does to uploads

Exit codes:
  0  done
  1  failed: the source cannot be played, or something on the way went wrong; the reason is printed
  2  the command line or the configuration is wrong; nothing was begun

Settings come from a file, then HEADWATER_* variables, then flags; `headwater config` prints the result.";

const SERVE_EXAMPLES: &str = "\
Examples:
  headwater serve
  headwater serve --listen 0.0.0.0:8080 --data-dir /var/lib/headwater
  headwater serve --access accounts --set public_url=https://media.example.org
  headwater serve --roles ingest,api,origin --set database_url=postgres://hw@db/hw --set storage_url=s3://media
  headwater serve --roles worker --set heavy_lanes=4 --set log_format=json
  headwater serve --roles origin --upstream https://origin.example.org

When it is ready it prints one line, `listening on http://ADDRESS`.
Whoever can reach it from elsewhere needs an account; the first start prints a link that sets up the first one.
SIGTERM or SIGINT stops it: what is in flight gets shutdown_deadline_s seconds; a second signal cuts it off.
A killed server needs no repair: start it again on the same data folder.";

const PROBE_EXAMPLES: &str = "\
Examples:
  headwater probe holiday.mp4
  headwater probe holiday.mp4 --json | jq .audio
  headwater probe holiday.mp4 --loudness

Exit codes: 0 described, 1 not a playable file or not readable, 2 wrong usage.";

const TRANSCODE_EXAMPLES: &str = "\
Examples:
  headwater transcode holiday.mp4 -o holiday-hls
  headwater transcode holiday.mp4 -o holiday-hls --set x264_crf=20
  headwater transcode film.mkv -o film-hls --subtitles film.de.srt:de --subtitles film.ar.ass:ar
  headwater transcode holiday.mp4 -o holiday-hls --no-passthrough
  headwater transcode holiday.mp4 -o holiday-hls --codecs h264,hevc,av1

DIR becomes a static HLS folder with master.m3u8 at its top. A run that was killed goes on where it stopped when
the same command is given again. A folder with other files, or with the half run of another source, is refused.

Exit codes: 0 the folder is complete, 1 the source cannot be played or the run failed, 2 wrong usage.";

const CONFIG_EXAMPLES: &str = "\
Examples:
  headwater config                  the effective values as TOML, secrets hidden
  headwater config --sample         every setting with its default and meaning
  HEADWATER_LISTEN=0.0.0.0:80 headwater config";

/// Self-hosted media pipeline and HLS origin: uploads go in, adaptive video comes out.
#[derive(Debug, Parser)]
#[command(name = "headwater", version, after_help = EXAMPLES, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: Global,
}

/// Flags of every command.
#[derive(Debug, Args)]
struct Global {
    /// Read settings from this file instead of ./headwater.toml
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set any setting, such as --set log=debug (can be repeated)
    #[arg(long = "set", global = true, value_name = "KEY=VALUE", value_parser = key_and_value)]
    settings: Vec<(String, String)>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server, or some of its roles
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(ServeArgs),
    /// Send files to a server; interrupted uploads go on where they stopped
    #[command(after_help = upload::EXAMPLES)]
    Upload(upload::Args),
    /// Describe a media file: tracks, languages, chapters, exact length
    #[command(after_help = PROBE_EXAMPLES)]
    Probe(probe::Args),
    /// Turn a file into a static HLS folder, without a server
    #[command(after_help = TRANSCODE_EXAMPLES)]
    Transcode(transcode::Args),
    /// Decode and encode for a parent process, inside the cage
    #[command(hide = true)]
    Engine,
    /// Check codecs, cage, storage, database, clock, limits and disk space; or what a proxy or a CDN does
    #[command(after_help = doctor::EXAMPLES)]
    Doctor(DoctorArgs),
    /// Read everything again that is stored of assets, and compare it with what was recorded
    #[command(after_help = verify::EXAMPLES)]
    Verify(VerifyArgs),
    /// Judge HLS by the rules of RFC 8216 and of Apple: a folder or an address, our own or anybody's
    #[command(after_help = validate::EXAMPLES)]
    Validate(validate::Args),
    /// Process assets again under the present recipe; what is there plays until the new output is complete
    #[command(after_help = reprocess::EXAMPLES)]
    Reprocess(ReprocessArgs),
    /// Tell or change who may play an asset
    #[command(after_help = access::ACCESS_EXAMPLES)]
    Access(AccessArgs),
    /// Sign a token that opens a signed asset, and print the path that holds it
    #[command(after_help = access::TOKEN_EXAMPLES)]
    Token(access::TokenArgs),
    /// Check the log of what was done about accounts and rights
    #[command(after_help = audit::EXAMPLES)]
    Audit(AuditArgs),
    /// Copy the SQLite database of a server that may be running
    #[command(after_help = backup::BACKUP_EXAMPLES)]
    Backup(BackupCommand),
    /// Put such a copy in the place of the database; what it replaces is kept
    #[command(after_help = backup::RESTORE_EXAMPLES)]
    Restore(RestoreCommand),
    /// After a database was put back by pg_restore: give numbers that were never used, and publish everything again
    #[command(after_help = renumber::EXAMPLES)]
    Renumber(DataArgs),
    /// Go on where the key to the secrets in the database is lost
    #[command(after_help = secrets::EXAMPLES)]
    Secrets(SecretsArgs),
    /// Tell the caches in front to purge assets, now
    #[command(after_help = purge::EXAMPLES)]
    Purge(PurgeArgs),
    /// Print the effective configuration
    #[command(after_help = CONFIG_EXAMPLES)]
    Config(ConfigArgs),
    /// Bring the database to this version's schema; `serve` does this by itself
    Migrate(DataArgs),
}

#[derive(Debug, Args)]
struct ServeArgs {
    /// What this process does; all of it by default
    #[arg(long, value_enum, value_delimiter = ',', value_name = "ROLE,...")]
    roles: Vec<Role>,
    #[command(flatten)]
    data: DataArgs,
    /// Address and port to listen on; port 0 takes any free one
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Who may use it: open, accounts, or auto (open while only this machine can reach it)
    #[arg(long, value_name = "MODE", value_parser = ["auto", "open", "accounts"])]
    access: Option<String>,
    /// Be a cache in front of this origin, without database, storage or data folder (with --roles origin)
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
}

#[derive(Debug, Args)]
struct DataArgs {
    /// Folder for database, objects and unfinished uploads
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct DoctorArgs {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    what: doctor::Args,
}

#[derive(Debug, Args)]
struct VerifyArgs {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    what: verify::Args,
}

#[derive(Debug, Args)]
struct ReprocessArgs {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    what: reprocess::Args,
}

#[derive(Debug, Args)]
struct AccessArgs {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    what: access::Args,
}

#[derive(Debug, Args)]
struct SecretsArgs {
    #[command(subcommand)]
    what: secrets::What,
}

#[derive(Debug, Args)]
struct AuditArgs {
    #[command(subcommand)]
    what: audit::What,
}

#[derive(Debug, Args)]
struct BackupCommand {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    what: backup::BackupArgs,
}

#[derive(Debug, Args)]
struct RestoreCommand {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    what: backup::RestoreArgs,
}

#[derive(Debug, Args)]
struct PurgeArgs {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    what: purge::Args,
}

#[derive(Debug, Args)]
struct ConfigArgs {
    /// Print the sample file instead
    #[arg(long, conflicts_with = "reference")]
    sample: bool,
    /// Print the reference page instead
    #[arg(long, hide = true)]
    reference: bool,
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    // The engine comes first and alone: no runtime, no threads, nothing read that it does not need.
    if arguments.get(1).is_some_and(|command| command == "engine") {
        return transcoder::engine_main(arguments.into_iter().skip(2));
    }
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(refused) => {
            let _ = refused.print();
            let is_help = matches!(refused.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return ExitCode::from(if is_help { DONE } else { MISUSED });
        }
    };
    run(cli).unwrap_or_else(|error| {
        terminal::complain(&format!("headwater: {}", with_causes(&error)));
        ExitCode::from(if error.is::<config::ConfigError>() || error.is::<telemetry::TelemetryError>() {
            MISUSED
        } else {
            FAILED
        })
    })
}

/// The error and all its causes on one line; a cause that the error's text already holds is left out.
pub(crate) fn with_causes(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |text, cause| {
        let cause = cause.to_string();
        if text.contains(&cause) {
            text
        } else if text.is_empty() {
            cause
        } else {
            format!("{text}: {cause}")
        }
    })
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let Cli { command, global } = cli;
    let load = |flags: Vec<(String, String)>| {
        // What a flag of its own says is more deliberate than --set.
        let flags = global.settings.iter().cloned().chain(flags).collect();
        config::load(&Sources { file: global.config.clone(), flags })
    };
    match command {
        Command::Serve(args) => {
            let config = load(args.flags())?;
            telemetry::start(&config.log, config.log_format)?;
            on_runtime(serve::run(config))
        }
        Command::Upload(args) => on_runtime(upload::run(args)),
        Command::Probe(args) => {
            let config = load(Vec::new())?;
            quietly(&config)?;
            on_runtime(probe::run(args, config))
        }
        Command::Transcode(args) => {
            let config = load(args.flags())?;
            quietly(&config)?;
            on_runtime(transcode::run(args, config))
        }
        Command::Engine => Ok(transcoder::engine_main([])),
        // Another machine's server is looked at without the settings of this one.
        Command::Doctor(args) if !args.what.is_local() => on_runtime(doctor::run_public(args.what)),
        Command::Doctor(args) => {
            let config = load(args.data.flags())?;
            quietly(&config)?;
            on_runtime(doctor::run(args.what, config))
        }
        Command::Verify(args) => {
            let config = load(args.data.flags())?;
            quietly(&config)?;
            on_runtime(verify::run(args.what, config))
        }
        Command::Validate(args) => on_runtime(validate::run(args)),
        Command::Reprocess(args) => {
            let config = load(args.data.flags())?;
            quietly(&config)?;
            on_runtime(reprocess::run(args.what, config))
        }
        Command::Access(args) => {
            let config = load(args.data.flags())?;
            quietly(&config)?;
            on_runtime(access::access(args.what, config))
        }
        Command::Audit(args) => {
            let config = load(args.what.flags())?;
            quietly(&config)?;
            on_runtime(audit::run(args.what, config))
        }
        Command::Backup(args) => {
            let config = load(args.data.flags())?;
            quietly(&config)?;
            on_runtime(backup::back_up(args.what, config))
        }
        Command::Restore(args) => {
            let config = load(args.data.flags())?;
            quietly(&config)?;
            on_runtime(backup::restore(args.what, config))
        }
        Command::Renumber(args) => {
            let config = load(args.flags())?;
            quietly(&config)?;
            on_runtime(renumber::run(config))
        }
        Command::Secrets(args) => {
            let config = load(args.what.flags())?;
            quietly(&config)?;
            on_runtime(secrets::run(args.what, config))
        }
        Command::Purge(args) => {
            let config = load(args.data.flags())?;
            quietly(&config)?;
            on_runtime(purge::run(args.what, config))
        }
        Command::Token(args) => access::token(args, &load(Vec::new())?),
        Command::Config(args) => {
            let text = match args {
                ConfigArgs { sample: true, .. } => config::sample(),
                ConfigArgs { reference: true, .. } => config::reference(),
                ConfigArgs { .. } => config::effective(&load(Vec::new())?),
            };
            terminal::say(text.trim_end());
            Ok(ExitCode::from(DONE))
        }
        Command::Migrate(args) => on_runtime(wiring::migrate(load(args.flags())?)),
    }
}

/// Commands for people log only what is wrong, unless the settings ask for more than the default.
fn quietly(config: &Config) -> anyhow::Result<()> {
    let filter = if config.log == "info" { "error" } else { &config.log };
    Ok(telemetry::start(filter, LogFormat::Text)?)
}

fn on_runtime(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(command);
    // A blocking read that ignores the hard stop must not hold the process.
    runtime.shutdown_background();
    result
}

impl ServeArgs {
    fn flags(&self) -> Vec<(String, String)> {
        let mut flags = self.data.flags();
        if !self.roles.is_empty() {
            let names: Vec<String> = self.roles.iter().map(|role| format!("{role:?}").to_ascii_lowercase()).collect();
            flags.push(("roles".into(), names.join(",")));
        }
        flags.extend(self.listen.iter().map(|address| ("listen".into(), address.clone())));
        flags.extend(self.access.iter().map(|mode| ("access".into(), mode.clone())));
        flags.extend(self.upstream.iter().map(|url| ("upstream".into(), url.clone())));
        flags
    }
}

impl DataArgs {
    fn flags(&self) -> Vec<(String, String)> {
        self.data_dir.iter().map(|dir| ("data_dir".into(), dir.to_string_lossy().into_owned())).collect()
    }
}

/// The command line as clap knows it, for tests of its texts.
pub fn command() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn causes_are_told_once() {
        let error = anyhow::anyhow!("disk full").context("cannot write a").context("cannot write a");
        assert_eq!(with_causes(&error), "cannot write a: disk full");
    }
}
