//! The folder that a transcode fills: whose it is, and what may be done with it.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use domain::{AssetId, Clock, PlaybackId, Recipe, RecipeId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::data_dir::{DataDir, DataDirError};

/// Working files of a run, inside the folder.
const WORK: &str = ".headwater";
/// The working files of a run whose result is complete, on their way out.
const SPENT: &str = ".headwater-spent";
/// What the run is about, inside the working files.
const CLAIM: &str = "run.json";
/// There when the result is being written.
const EXPORTING: &str = "exporting";
/// Octets at either end of a source that tell it from others of the same length.
const FINGERPRINT_BYTES: u64 = 1 << 20;

/// Why a folder cannot take the result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum FolderError {
    /// It holds something else.
    #[error("{reason}")]
    Refused {
        /// What, and what to do.
        reason: String,
    },
    /// Another run works in it.
    #[error(transparent)]
    InUse(#[from] DataDirError),
    /// It cannot be read or written.
    #[error("cannot use {}", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
}

/// What a run is about: enough to know it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Claim {
    asset: AssetId,
    playback: PlaybackId,
    file_name: String,
    size: u64,
    fingerprint: String,
    recipe: RecipeId,
}

/// A folder that belongs to this run.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    work: DataDir,
    claim: Claim,
}

impl Folder {
    /// Takes `root` for the transcode of `source`, or finds the half run of the same one in it.
    pub(super) fn open(root: &Path, source: &Path, recipe: &Recipe, clock: &dyn Clock) -> Result<Self, FolderError> {
        let failed = |error| FolderError::Io { path: root.to_owned(), source: error };
        let wanted = claim(source, recipe, clock).map_err(failed)?;
        let found = examine(root).map_err(failed)?;
        let claim = match found {
            Found::Free => wanted,
            Found::Foreign(name) => {
                let reason = format!("the folder already holds \"{name}\"; choose an empty or a new one");
                return Err(FolderError::Refused { reason });
            }
            Found::HalfRun(claim) => resumed(claim, &wanted)?,
        };
        fs::create_dir_all(root).map_err(failed)?;
        let root = root.canonicalize().map_err(failed)?;
        let work = DataDir::open(&root.join(WORK))?;
        let folder = Self { root, work, claim };
        folder.write_claim().map_err(failed)?;
        Ok(folder)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn data_dir(&self) -> &DataDir {
        &self.work
    }

    pub(super) fn asset(&self) -> AssetId {
        self.claim.asset
    }

    pub(super) fn playback(&self) -> PlaybackId {
        self.claim.playback
    }

    /// From now on the folder may hold parts of the result.
    pub(super) fn begin_export(&self) -> io::Result<()> {
        fs::write(self.work.root().join(EXPORTING), b"")
    }

    /// Removes the working files of a run that is complete.
    ///
    /// By rename first: a run killed in the middle of the removal leaves a folder that is known to be complete.
    pub(super) fn complete(self) -> io::Result<()> {
        let spent = self.root.join(SPENT);
        fs::rename(self.work.root(), &spent)?;
        fs::remove_dir_all(spent)
    }

    /// Removes the working files of a run that leads nowhere, and the folder if it is empty then.
    pub(super) fn give_up(self) -> io::Result<()> {
        fs::remove_dir_all(self.work.root())?;
        match fs::remove_dir(&self.root) {
            Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => Err(error),
            _ => Ok(()),
        }
    }

    fn write_claim(&self) -> io::Result<()> {
        let (file, half) = (self.work.root().join(CLAIM), self.work.root().join("run.new"));
        fs::write(&half, serde_json::to_vec(&self.claim)?)?;
        fs::rename(half, file)
    }
}

enum Found {
    Free,
    HalfRun(Claim),
    Foreign(String),
}

fn examine(root: &Path) -> io::Result<Found> {
    let entries = match fs::read_dir(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Free),
        entries => entries?,
    };
    let names: Vec<String> = entries
        .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<_>>()?;
    if names.iter().any(|name| name == SPENT) {
        fs::remove_dir_all(root.join(SPENT))?;
    }
    let claim = match fs::read(root.join(WORK).join(CLAIM)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        claim => serde_json::from_slice::<Claim>(&claim?).ok(),
    };
    let is_exporting = root.join(WORK).join(EXPORTING).exists();
    let foreign = names.into_iter().find(|name| name != WORK && name != SPENT);
    Ok(match (claim, foreign) {
        (Some(claim), None) => Found::HalfRun(claim),
        // What stands beside the working files of an export is the result so far.
        (Some(claim), Some(_)) if is_exporting => Found::HalfRun(claim),
        (_, Some(name)) => Found::Foreign(name),
        (None, None) => Found::Free,
    })
}

fn resumed(found: Claim, wanted: &Claim) -> Result<Claim, FolderError> {
    let refused = |reason: String| Err(FolderError::Refused { reason });
    if (found.size, &found.fingerprint) != (wanted.size, &wanted.fingerprint) {
        let file = found.file_name;
        return refused(format!(
            "the folder holds the half run of another file, \"{file}\"; finish that one, or choose another folder"
        ));
    }
    if found.recipe != wanted.recipe {
        return refused(
            "the folder holds a half run with other encoder settings; repeat those, or choose another folder".into(),
        );
    }
    Ok(found)
}

fn claim(source: &Path, recipe: &Recipe, clock: &dyn Clock) -> io::Result<Claim> {
    let size = fs::metadata(source)?.len();
    Ok(Claim {
        asset: AssetId::mint(clock.now(), clock.entropy()),
        playback: PlaybackId::mint(clock.entropy()),
        file_name: source.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        size,
        fingerprint: fingerprint(source, size)?,
        recipe: recipe.id(),
    })
}

/// SHA-256 over the first and the last MiB: reading a long source twice would cost minutes.
fn fingerprint(source: &Path, size: u64) -> io::Result<String> {
    let mut file = File::open(source)?;
    let mut hash = Sha256::new();
    let mut head = Vec::new();
    Read::by_ref(&mut file).take(FINGERPRINT_BYTES).read_to_end(&mut head)?;
    hash.update(&head);
    file.seek(SeekFrom::Start(size.saturating_sub(FINGERPRINT_BYTES)))?;
    let mut tail = Vec::new();
    file.take(FINGERPRINT_BYTES).read_to_end(&mut tail)?;
    hash.update(&tail);
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{ManualClock, Timestamp};

    struct Scene {
        temp: tempfile::TempDir,
        clock: ManualClock,
    }

    impl Scene {
        fn new() -> Self {
            let temp = tempfile::tempdir().unwrap();
            fs::write(temp.path().join("a.mp4"), b"one").unwrap();
            fs::write(temp.path().join("b.mp4"), b"two").unwrap();
            Self { temp, clock: ManualClock::at(Timestamp::from_unix_ms(0)) }
        }

        fn open(&self, source: &str) -> Result<Folder, FolderError> {
            let (root, source) = (self.temp.path().join("out"), self.temp.path().join(source));
            Folder::open(&root, &source, &Recipe::default(), &self.clock)
        }
    }

    #[test]
    fn a_half_run_is_known_again_by_its_source() {
        let scene = Scene::new();
        let first = scene.open("a.mp4").unwrap().asset();
        assert_eq!(scene.open("a.mp4").unwrap().asset(), first);
        let refused = scene.open("b.mp4").unwrap_err().to_string();
        assert!(refused.contains("half run of another file, \"a.mp4\""), "{refused}");
    }

    #[test]
    fn two_runs_never_share_a_folder() {
        let scene = Scene::new();
        let _first = scene.open("a.mp4").unwrap();
        assert!(matches!(scene.open("a.mp4"), Err(FolderError::InUse(_))));
    }

    #[test]
    fn foreign_files_are_left_alone() {
        let scene = Scene::new();
        let out = scene.temp.path().join("out");
        fs::create_dir_all(&out).unwrap();
        fs::write(out.join("thesis.doc"), b"x").unwrap();
        assert!(scene.open("a.mp4").unwrap_err().to_string().contains("already holds \"thesis.doc\""));
    }

    #[test]
    fn a_half_written_result_is_resumed_and_a_complete_one_kept() {
        let scene = Scene::new();
        let folder = scene.open("a.mp4").unwrap();
        folder.begin_export().unwrap();
        fs::write(folder.root().join("master.m3u8"), b"#EXTM3U").unwrap();
        drop(folder);
        let folder = scene.open("a.mp4").unwrap();
        folder.complete().unwrap();
        let names: Vec<_> =
            fs::read_dir(scene.temp.path().join("out")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["master.m3u8"]);
        assert!(scene.open("a.mp4").unwrap_err().to_string().contains("already holds \"master.m3u8\""));
    }

    #[test]
    fn other_settings_make_another_run() {
        let scene = Scene::new();
        drop(scene.open("a.mp4").unwrap());
        let recipe = Recipe { crf: 30, ..Recipe::default() };
        let (root, source) = (scene.temp.path().join("out"), scene.temp.path().join("a.mp4"));
        let refused = Folder::open(&root, &source, &recipe, &scene.clock).unwrap_err().to_string();
        assert!(refused.contains("other encoder settings"), "{refused}");
    }
}
