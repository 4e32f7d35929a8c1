//! The key to the secrets in the database: a setting, or a file that the first start makes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use catalog_store::{Catalog, SecretKeys};

use crate::config::Config;

/// Largest file that is taken for one with a key.
const FILE_BYTES_MAX: u64 = 4096;
/// What others may not do with the file.
const OF_OTHERS: u32 = 0o077;

/// Takes the key of the configuration, else that of the file, and has secrets sealed with it.
///
/// # Errors
/// If there is no key for a database whose secrets are sealed, it is another one, or the file can be read by others.
pub(super) async fn unlock(config: &Config, data_dir: &Path, catalog: &Catalog) -> anyhow::Result<()> {
    let key = match config.secret_key.as_str() {
        "" => from_file(config, data_dir, catalog).await?,
        key => key.to_owned(),
    };
    let keys = SecretKeys::new(&key, config.previous_secret_keys.iter().map(String::as_str));
    let count = catalog.unlock(keys.context("the key to the secrets cannot be used")?).await;
    let count = count.context("cannot open the secrets in the database")?;
    if count > 0 {
        tracing::info!(count, "secrets in the database are sealed anew");
    }
    Ok(())
}

async fn from_file(config: &Config, data_dir: &Path, catalog: &Catalog) -> anyhow::Result<String> {
    let path = config.secret_key_path(data_dir);
    if let Some(key) = read(&path)? {
        return Ok(key);
    }
    let shown = path.display();
    let is_known = catalog.has_secret_key().await.context("cannot read the database")?;
    ensure!(
        !is_known,
        "the secrets in the database are sealed, and {shown} with the key is missing: put it back, or give the key \
         as secret_key; processes that share a database need the same one"
    );
    // One that was named is somebody's own: it is not made under another name by a slip.
    ensure!(config.secret_key_file.as_os_str().is_empty(), "there is no file {shown}, which secret_key_file names");
    made(&path).with_context(|| format!("cannot write {shown}"))?;
    tracing::info!(path = %shown, "made the key that secrets are sealed with: keep a copy of it apart from the database");
    read(&path)?.with_context(|| format!("cannot read {shown}"))
}

/// The key in a file, if there is one.
fn read(path: &Path) -> anyhow::Result<Option<String>> {
    let shown = path.display();
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.with_context(|| format!("cannot read {shown}"))?,
    };
    let meta = file.metadata().with_context(|| format!("cannot read {shown}"))?;
    if meta.permissions().mode() & OF_OTHERS != 0 {
        bail!("others may read {shown}: chmod 600 it");
    }
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).with_context(|| format!("cannot read {shown}"))?;
    Ok(Some(text.trim().to_owned()))
}

/// Writes a key of 256 random bits. It gets its name whole, and no other one loses its place.
fn made(path: &Path) -> io::Result<()> {
    let mut octets = [0; 32];
    aws_lc_rs::rand::fill(&mut octets).map_err(io::Error::other)?;
    let half = path.with_extension("key.new");
    match fs::remove_file(&half) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&half)?;
    writeln!(file, "{}", URL_SAFE_NO_PAD.encode(octets))?;
    file.sync_all()?;
    fs::hard_link(&half, path)?;
    fs::remove_file(&half)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Config {
        let pairs: Vec<_> = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        crate::config::merge(None, &[], &pairs).unwrap()
    }

    async fn opened(folder: &Path) -> Catalog {
        let catalog = Catalog::open(&format!("sqlite://{}", folder.join("catalog.db").display())).await.unwrap();
        catalog.migrate().await.unwrap();
        catalog
    }

    async fn refused(config: &Config, folder: &Path) -> String {
        let error = unlock(config, folder, &opened(folder).await).await.unwrap_err();
        format!("{error:#}")
    }

    #[tokio::test]
    async fn the_first_start_makes_a_key_and_later_ones_need_it() {
        let temp = tempfile::tempdir().unwrap();
        let (folder, plain) = (temp.path(), config(&[]));
        unlock(&plain, folder, &opened(folder).await).await.unwrap();
        let path = folder.join("secrets.key");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let key = fs::read_to_string(&path).unwrap();
        unlock(&plain, folder, &opened(folder).await).await.unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), key, "it stays");

        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(refused(&plain, folder).await.contains("chmod 600"));
        fs::remove_file(&path).unwrap();
        let told = refused(&plain, folder).await;
        assert!(told.contains("put it back") && !path.exists(), "{told}");
        // It may be given as a setting, and be changed there.
        let other = "a key of the tests, of 32 characters and more";
        unlock(&config(&[("secret_key", key.trim())]), folder, &opened(folder).await).await.unwrap();
        assert!(refused(&config(&[("secret_key", other)]), folder).await.contains("sealed under another key"));
        let both = config(&[("secret_key", other), ("previous_secret_keys", key.trim())]);
        unlock(&both, folder, &opened(folder).await).await.unwrap();
        unlock(&config(&[("secret_key", other)]), folder, &opened(folder).await).await.unwrap();
    }

    #[tokio::test]
    async fn a_file_that_is_named_is_not_made() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("mine");
        let named = config(&[("secret_key_file", path.to_str().unwrap())]);
        let told = refused(&named, temp.path()).await;
        assert!(told.contains("secret_key_file") && !path.exists(), "{told}");
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).unwrap().write_all(b"short\n").unwrap();
        assert!(refused(&named, temp.path()).await.contains("32 random characters"));
    }

    #[test]
    fn keys_that_are_too_short_are_refused_unseen() {
        for (name, value) in [("secret_key", "hush"), ("previous_secret_keys", "hush")] {
            let pair = [(name.to_owned(), value.to_owned())];
            let told = crate::config::merge(None, &[], &pair).unwrap_err().to_string();
            assert!(told.contains("32 random characters") && !told.contains("hush"), "{told}");
        }
    }
}
