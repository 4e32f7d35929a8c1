//! `headwater backup` and `headwater restore`: copies of the SQLite database of a server that may be running.
//!
//! A copy is written beside where it will be, read whole, and only then gets its name; what stands beside it says what
//! is in it. Restoring checks all that again before anything is replaced, and keeps what it replaces.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use catalog_store::Renumbered;
use catalog_store::backup::{self, Contents};
use domain::ByteSize;
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::config::{self, Config};
use crate::data_dir::DataDir;
use crate::{cli, renumber, terminal, wiring};

/// What the help of `backup` shows below the flags.
pub const BACKUP_EXAMPLES: &str = "\
Examples:
  headwater backup /backups/                       a new file in this folder, named by the time
  headwater backup /backups/before-upgrade.db
  headwater backup /backups/ --data-dir /var/lib/headwater

The server may be running: the copy is the database as it was at one moment, read whole before it gets its name.
Beside it lies FILE.manifest.json, which says what is in it.
Secrets in the copy are sealed. The key to them, secrets.key in the data folder or the setting secret_key, is not in
it: keep that elsewhere, once, since it stays the same. A copy without its key is not started.
Media, sources and unfinished uploads are files of their own: copy the storage after the database, so that every
object is there that the database knows. A database on PostgreSQL is copied by pg_dump.

Exit codes: 0 copied, 1 it could not be, 2 wrong usage.";

/// What the help of `restore` shows below the flags.
pub const RESTORE_EXAMPLES: &str = "\
Examples:
  headwater restore /backups/headwater-20261129T054000Z.db
  headwater restore /backups/before-upgrade.db --data-dir /var/lib/headwater

The server must not be running. The copy is checked against its manifest and read whole first; one of a newer
version is refused. What it replaces is kept beside the database, as catalog.db.before-restore-TIME.
What was numbered or published since the copy was made stays in the storage and in caches, so the restored database goes
on with numbers that were never used, and publishes everything that plays once more when the server starts.

Exit codes: 0 restored, 1 it could not be, and nothing was replaced, 2 wrong usage.";

/// Time between two looks at how far a copy is.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The form of manifests.
const FORMAT: u32 = 1;
/// Largest manifest that is read, in octets.
const MANIFEST_BYTES_MAX: u64 = 64 << 10;
/// Octets that are read at once.
const PIECE_BYTES: usize = 1 << 20;

/// Where to.
#[derive(Debug, clap::Args)]
pub struct BackupArgs {
    /// A new file, or a folder in which one is made
    #[arg(value_name = "FILE|DIR")]
    to: PathBuf,
}

/// From where.
#[derive(Debug, clap::Args)]
pub struct RestoreArgs {
    /// A file that `headwater backup` made
    #[arg(value_name = "FILE")]
    from: PathBuf,
}

/// What is in a copy.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    format: u32,
    /// The version that made it.
    headwater: String,
    made_at: String,
    bytes: u64,
    sha256: String,
    schema: i64,
    last_event: u64,
    audit_entries: u64,
    audit_seal: String,
}

/// Copies the database and prints where to.
///
/// # Errors
/// If the database is not SQLite, cannot be read, or the copy cannot be written or is not whole.
pub async fn back_up(args: BackupArgs, config: Config) -> anyhow::Result<ExitCode> {
    let root = wiring::existing(&config)?;
    let source = database(&config, &root)?;
    ensure!(source.exists(), "there is no database at {}", source.display());
    let now = wiring::clock().now();
    let target = match args.to.is_dir() || args.to.as_os_str().as_encoded_bytes().ends_with(b"/") {
        true => args.to.join(format!("headwater-{}.db", stamp(&now.rfc3339()))),
        false => args.to,
    };
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let (partial, manifest_file) = (beside(&target, ".partial"), beside(&target, ".manifest.json"));
    for there in [&target, &manifest_file] {
        ensure!(!there.exists(), "{} is there already", there.display());
    }
    // Of a run that was killed.
    remove(&partial)?;
    copied(&source, &partial).await.inspect_err(|_| drop(remove(&partial)))?;
    let made = finished(&partial, now.rfc3339()).await.inspect_err(|_| drop(remove(&partial)))?;
    // The copy gets its name last: where it is, what says what is in it is there too.
    write_whole(&manifest_file, &serde_json::to_vec_pretty(&made).context("cannot write the manifest")?)?;
    fs::rename(&partial, &target).with_context(|| format!("cannot name {}", target.display()))?;
    sync_folder(folder)?;
    terminal::say(&format!(
        "ok    {}  {}  schema {}, event {}, sha256 {}",
        target.display(),
        ByteSize(made.bytes),
        made.schema,
        made.last_event,
        made.sha256
    ));
    if config.secret_key.is_empty() {
        let key = config.secret_key_path(&root);
        terminal::say(&format!("keep  {}  apart from it: the copy needs that key and does not hold it", key.display()));
    }
    Ok(ExitCode::from(cli::DONE))
}

/// Copies while it tells how far it is.
async fn copied(source: &Path, partial: &Path) -> anyhow::Result<()> {
    // Made first, so that nobody else can read it at any time.
    let reserved = OpenOptions::new().write(true).create_new(true).mode(0o600).open(partial);
    reserved.with_context(|| format!("cannot write {}", partial.display()))?;
    let bar = match terminal::is_interactive() {
        true => ProgressBar::new(backup::size_of(source).await.context("cannot read the database")?),
        false => ProgressBar::hidden(),
    };
    bar.set_style(ProgressStyle::default_bar());
    let copy = backup::copy(source, partial);
    tokio::pin!(copy);
    let ended = loop {
        // Ends with the copy.
        tokio::select! {
            ended = &mut copy => break ended,
            () = tokio::time::sleep(LOOK_EVERY) => {
                bar.set_position(fs::metadata(partial).map_or(0, |file| file.len()));
            }
        }
    };
    bar.finish_and_clear();
    ended.context("cannot copy the database")
}

/// Reads a copy whole, makes it last, and says what is in it.
async fn finished(file: &Path, made_at: String) -> anyhow::Result<Manifest> {
    File::open(file).and_then(|file| file.sync_all()).context("cannot write the copy")?;
    let (bytes, sha256) = digest(file)?;
    let found = whole(file).await?;
    Ok(Manifest {
        format: FORMAT,
        headwater: env!("CARGO_PKG_VERSION").to_owned(),
        made_at,
        bytes,
        sha256,
        schema: found.schema,
        last_event: found.last_event,
        audit_entries: found.audit_entries,
        audit_seal: found.audit_seal,
    })
}

async fn whole(file: &Path) -> anyhow::Result<Contents> {
    let found = backup::contents(file).await.context("the copy cannot be read")?;
    if let Some(fault) = &found.fault {
        bail!("the copy is not whole: {fault}");
    }
    Ok(found)
}

/// Puts a copy in the place of the database, and prints what became of the one before.
///
/// # Errors
/// If a server is running, or the copy is not whole, not what its manifest says, or of a newer version.
pub async fn restore(args: RestoreArgs, config: Config) -> anyhow::Result<ExitCode> {
    let manifest = manifest_of(&args.from)?;
    ensure!(manifest.schema <= backup::schema(), newer(manifest.schema));
    // Nobody else has it, and nobody takes it meanwhile.
    let data_dir = DataDir::open(&config.data_dir)?;
    let target = database(&config, data_dir.root())?;
    let fresh = beside(&target, ".restoring");
    remove_whole(&fresh)?;
    let put = put(&args.from, &manifest, &fresh, &target).await;
    let (kept, done) = put.inspect_err(|_| drop(remove_whole(&fresh)))?;
    if let Some(kept) = kept {
        terminal::say(&format!("kept  {}", kept.display()));
    }
    terminal::say(&format!("ok    {}  as of {}", target.display(), manifest.made_at));
    terminal::say(&renumber::told(done));
    Ok(ExitCode::from(cli::DONE))
}

/// What became of the database before, and what was done to this one.
async fn put(
    from: &Path,
    manifest: &Manifest,
    fresh: &Path,
    target: &Path,
) -> anyhow::Result<(Option<PathBuf>, Renumbered)> {
    copy_file(from, fresh).with_context(|| format!("cannot copy {}", from.display()))?;
    // What is judged is what will be used, whatever becomes of the other file meanwhile.
    let (bytes, sha256) = digest(fresh)?;
    ensure!(
        (bytes, &sha256) == (manifest.bytes, &manifest.sha256),
        "{} is not what was copied: its manifest says {} octets with sha256 {}",
        from.display(),
        manifest.bytes,
        manifest.sha256
    );
    let found = whole(fresh).await?;
    ensure!(found.schema <= backup::schema(), newer(found.schema));
    // What it does not know was numbered since: no server may see it before it goes on with others.
    let done = renumber::database(&config::address("sqlite", fresh)).await?;
    backup::settle(fresh).await.context("cannot write the copy")?;
    File::open(fresh).and_then(|file| file.sync_all()).context("cannot write the copy")?;
    let kept = if target.exists() { Some(put_aside(target).await?) } else { None };
    fs::rename(fresh, target).with_context(|| format!("cannot replace {}", target.display()))?;
    sync_folder(target.parent().unwrap_or(Path::new(".")))?;
    Ok((kept, done))
}

/// Keeps the database that is there under another name; it stays in its place until it is replaced.
async fn put_aside(target: &Path) -> anyhow::Result<PathBuf> {
    let now = wiring::clock().now();
    let kept = beside(target, &format!(".before-restore-{}", stamp(&now.rfc3339())));
    ensure!(!kept.exists(), "{} is there already: try again in a second", kept.display());
    // What lies beside it belongs into it. One that is spoilt is kept as it lies there.
    if backup::settle(target).await.is_err() {
        tracing::warn!("the database that is replaced cannot be read");
    }
    fs::hard_link(target, &kept).with_context(|| format!("cannot keep {}", target.display()))?;
    for end in ["-wal", "-shm"] {
        // A log of another database must not be taken for one of the new one.
        match fs::rename(beside(target, end), beside(&kept, end)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot keep {}", beside(target, end).display()));
            }
            _ => {}
        }
    }
    Ok(kept)
}

fn newer(found: i64) -> String {
    let known = backup::schema();
    format!("the copy has schema {found}, this version works with {known}: use the version of headwater that made it")
}

fn manifest_of(file: &Path) -> anyhow::Result<Manifest> {
    ensure!(file.is_file(), "there is no file {}", file.display());
    let path = beside(file, ".manifest.json");
    let mut text = Vec::new();
    let read = File::open(&path).and_then(|file| file.take(MANIFEST_BYTES_MAX).read_to_end(&mut text));
    read.with_context(|| format!("cannot read {}, which says what is in the copy", path.display()))?;
    let manifest: Manifest =
        serde_json::from_slice(&text).with_context(|| format!("{} is no manifest", path.display()))?;
    ensure!(manifest.format == FORMAT, "{} is of another form: {}", path.display(), manifest.format);
    Ok(manifest)
}

/// The file of the database.
fn database(config: &Config, data_dir: &Path) -> anyhow::Result<PathBuf> {
    let told = "this database is PostgreSQL's: copy it with pg_dump, which may be done while it is in use, and put it \
        back with pg_restore";
    backup::file_of(&config.database_address(data_dir)).context(told)
}

fn beside(file: &Path, end: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// An instant as a part of a file's name, to the second.
fn stamp(rfc3339: &str) -> String {
    let digits: String = rfc3339.chars().take(19).filter(|c| c.is_ascii_digit() || *c == 'T').collect();
    format!("{digits}Z")
}

fn remove(file: &Path) -> anyhow::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", file.display()))
        }
        _ => Ok(()),
    }
}

/// The same with what lies beside a database.
fn remove_whole(database: &Path) -> anyhow::Result<()> {
    ["", "-wal", "-shm"].into_iter().try_for_each(|end| remove(&beside(database, end)))
}

fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let mut target = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    io::copy(&mut File::open(from)?, &mut target)?;
    target.sync_all()
}

fn write_whole(file: &Path, text: &[u8]) -> anyhow::Result<()> {
    let written = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
        file.write_all(text)?;
        file.sync_all()
    };
    written().with_context(|| format!("cannot write {}", file.display()))
}

fn sync_folder(folder: &Path) -> anyhow::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder).and_then(|folder| folder.sync_all()).with_context(|| format!("cannot sync {}", folder.display()))
}

/// Octets of a file, and their SHA-256.
fn digest(file: &Path) -> anyhow::Result<(u64, String)> {
    let told = || format!("cannot read {}", file.display());
    let (mut opened, mut hash, mut bytes) = (File::open(file).with_context(told)?, Sha256::new(), 0u64);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        // Ends with the file.
        let read = opened.read(&mut piece).with_context(told)?;
        if read == 0 {
            break;
        }
        hash.update(&piece[..read]);
        bytes += read as u64;
    }
    Ok((bytes, hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()))
}
