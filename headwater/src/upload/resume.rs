//! What is remembered of an unfinished upload, so that the next run of the command goes on with it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use url::Url;

use super::source::Source;
use crate::terminal;

/// Notes that are looked through for older versions of a file.
const NOTES_MAX: usize = 10_000;

/// The memory of one file on its way to one server.
#[derive(Debug)]
pub(super) struct Memory {
    path: PathBuf,
    file: PathBuf,
    server: Url,
}

/// An upload that exists on the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Remembered {
    /// Where its octets go.
    pub(super) upload: Url,
    /// Where its asset is described.
    pub(super) asset: Url,
}

/// A stretch of the file that travels as an upload of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    /// Where it begins in the file.
    pub(super) start: u64,
    /// How long it is.
    pub(super) bytes: u64,
    /// Its address, once the server gave it one.
    pub(super) upload: Option<Url>,
}

/// How far an upload is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// The upload that becomes the asset: the only one, or the one made of the parts.
    #[serde(flatten)]
    pub(super) whole: Option<Remembered>,
    /// The parts in the order of the file; none where the file goes in one piece.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) parts: Vec<Part>,
}

/// The form on disk: [`Progress`], and what people who look into the folder want to know.
#[derive(Serialize, Deserialize)]
struct Note {
    #[serde(flatten)]
    progress: Progress,
    file: PathBuf,
    #[serde(default)]
    server: Option<Url>,
}

impl Progress {
    /// Every upload that exists on the server.
    pub(super) fn uploads(&self) -> Vec<Url> {
        let parts = self.parts.iter().filter_map(|part| part.upload.clone());
        self.whole.iter().map(|whole| whole.upload.clone()).chain(parts).collect()
    }
}

impl Memory {
    /// The memory of this version of this file on this server: another length or time of change is
    /// another upload, also where somebody has put the time of the last writing back.
    pub(super) fn of(dir: &Path, server: &Url, source: &Source) -> Self {
        let mut hash = Sha256::new();
        for part in [server.as_str().as_bytes(), source.path.as_os_str().as_encoded_bytes()] {
            hash.update(part);
            hash.update([0]);
        }
        hash.update(source.bytes.to_be_bytes());
        hash.update(source.modified_ns.to_be_bytes());
        hash.update(source.changed_ns.to_be_bytes());
        let name: String = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let path = dir.join("uploads").join(name + ".json");
        Self { path, file: source.path.clone(), server: server.clone() }
    }

    /// What an earlier run left; `None` also when it cannot be read.
    pub(super) fn recall(&self) -> Option<Progress> {
        let note = fs::read(&self.path).ok()?;
        let progress = serde_json::from_slice::<Note>(&note).ok()?.progress;
        Some(progress).filter(|progress| progress.whole.is_some() || !progress.parts.is_empty())
    }

    /// Remembers an upload. Failure only costs the ability to go on after this run: it is told, not fatal.
    pub(super) fn remember(&self, progress: &Progress) {
        let note = Note { progress: progress.clone(), file: self.file.clone(), server: Some(self.server.clone()) };
        let unfinished = self.path.with_extension(format!("{}.tmp", std::process::id()));
        let write = || -> anyhow::Result<()> {
            self.path.parent().map(fs::create_dir_all).transpose()?;
            // Whoever knows the address of an upload may write to it.
            let mut file =
                fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
            file.write_all(&serde_json::to_vec(&note)?)?;
            Ok(fs::rename(&unfinished, &self.path)?)
        };
        if let Err(error) = write() {
            terminal::complain(&format!("headwater: this upload cannot go on after a restart: {error:#}"));
        }
    }

    /// Forgets the upload: it is complete or lost.
    pub(super) fn forget(&self) {
        let _ = fs::remove_file(&self.path);
    }

    /// Forgets what other versions of this file left on this server; their uploads, for them to be ended.
    pub(super) fn forget_other_versions(&self) -> Vec<Url> {
        let notes = self.path.parent().and_then(|dir| fs::read_dir(dir).ok()).into_iter().flatten();
        let paths = notes.take(NOTES_MAX).filter_map(|entry| Some(entry.ok()?.path()));
        let mut uploads = Vec::new();
        for path in paths.filter(|path| *path != self.path && path.extension().is_some_and(|end| end == "json")) {
            let note = fs::read(&path).ok().and_then(|note| serde_json::from_slice::<Note>(&note).ok());
            let is_ours = |note: &Note| note.file == self.file && note.server.as_ref() == Some(&self.server);
            if let Some(note) = note.filter(is_ours) {
                uploads.extend(note.progress.uploads());
                let _ = fs::remove_file(&path);
            }
        }
        uploads
    }
}
