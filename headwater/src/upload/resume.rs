//! What is remembered of an unfinished upload, so that the next run of the command goes on with it.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use url::Url;

use super::source::Source;
use crate::terminal;

/// The memory of one file on its way to one server.
#[derive(Debug)]
pub(super) struct Memory {
    path: PathBuf,
    file: PathBuf,
}

/// An upload that exists on the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Remembered {
    /// Where its octets go.
    pub(super) upload: Url,
    /// Where its asset is described.
    pub(super) asset: Url,
}

/// The form on disk: [`Remembered`], and the file for people who look into the folder.
#[derive(Serialize, Deserialize)]
struct Note {
    #[serde(flatten)]
    remembered: Remembered,
    file: PathBuf,
}

impl Memory {
    /// The memory of this version of this file on this server: another length or time of change is
    /// another upload.
    pub(super) fn of(dir: &Path, server: &Url, source: &Source) -> Self {
        let mut hash = Sha256::new();
        for part in [server.as_str().as_bytes(), source.path.as_os_str().as_encoded_bytes()] {
            hash.update(part);
            hash.update([0]);
        }
        hash.update(source.bytes.to_be_bytes());
        hash.update(source.modified_ns.to_be_bytes());
        let name: String = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Self { path: dir.join("uploads").join(name + ".json"), file: source.path.clone() }
    }

    /// What an earlier run left; `None` also when it cannot be read.
    pub(super) fn recall(&self) -> Option<Remembered> {
        let note = fs::read(&self.path).ok()?;
        serde_json::from_slice::<Note>(&note).ok().map(|note| note.remembered)
    }

    /// Remembers an upload. Failure only costs the ability to go on after this run: it is told, not fatal.
    pub(super) fn remember(&self, remembered: &Remembered) {
        let note = Note { remembered: remembered.clone(), file: self.file.clone() };
        let unfinished = self.path.with_extension(format!("{}.tmp", std::process::id()));
        let write = || -> anyhow::Result<()> {
            self.path.parent().map(fs::create_dir_all).transpose()?;
            fs::write(&unfinished, serde_json::to_vec(&note)?)?;
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
}
