//! Whom the files of a SQLite database are for: the user whose process it is, and nobody else.

use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What the owner alone may do.
const OWNER_ALONE: u32 = 0o600;

/// What lies beside a database; SQLite makes them with the mode that the database has.
const BESIDE: [&str; 2] = ["-wal", "-shm"];

/// Makes the file of a database for its owner alone, and takes from others what they may do with one that is there.
///
/// Never fails: a file that cannot be made is told when it is opened, and one of another owner is told here and left.
pub(super) fn keep_private(database: &Path) {
    // An empty file is an empty database. One that is there stays as it is.
    drop(OpenOptions::new().write(true).create_new(true).mode(OWNER_ALONE).open(database));
    let beside = BESIDE.map(|end| {
        let mut name = database.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    });
    for file in std::iter::once(database).chain(beside.iter().map(PathBuf::as_path)) {
        match close(file) {
            Ok(true) => {
                tracing::info!(file = %file.display(), "others could read the database: now its owner alone can")
            }
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(file = %file.display(), %error, "others can read the database, which could not be changed");
            }
        }
    }
}

/// True if others could do something with the file.
fn close(file: &Path) -> io::Result<bool> {
    let mode = match fs::metadata(file) {
        Ok(found) => found.permissions().mode(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    if mode & 0o077 == 0 {
        return Ok(false);
    }
    fs::set_permissions(file, Permissions::from_mode(mode & OWNER_ALONE)).map(|()| true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(file: &Path) -> u32 {
        fs::metadata(file).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn the_files_of_a_database_are_for_their_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("catalog.db");
        let url = format!("sqlite://{}", file.display());
        let files = || ["", "-wal", "-shm"].map(|end| PathBuf::from(format!("{}{end}", file.display())));
        let engine = super::super::Engine::open(&url).await.unwrap();
        engine.migrate().await.unwrap();
        for file in files() {
            assert_eq!(mode(&file), 0o600, "{}", file.display());
            // As an earlier version made them.
            fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        }
        // As after kill -9: what lies beside it is there.
        let again = super::super::Engine::open(&url).await.unwrap();
        for file in files() {
            assert_eq!(mode(&file), 0o600, "{}", file.display());
        }
        again.close().await;
        engine.close().await;
    }

    #[test]
    fn where_no_database_can_be_made_none_is_and_nothing_fails() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("absent").join("catalog.db");
        keep_private(&file);
        assert!(!file.exists());
    }
}
