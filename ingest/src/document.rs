//! Documents of assets: who may bring one, what one is by its first octets, and where it goes.
//!
//! An upload that is a `document_of` an asset becomes one of its documents (docs/adr/0044). Whoever may change what
//! belongs to the asset may send one, and whoever holds a capability that was handed out for that.

use std::fs::File;

use catalog_store::{Target, Upload};
use domain::authority::Action;
use domain::document::{self, BYTES_MAX, COUNT_MAX, OTHER};
use domain::{DocumentId, Failure, FailureCode};
use infer::MatcherType;
use media_store::layout::{self, Key};

use crate::digest::{Algorithm, Hasher};
use crate::gate::Entrant;
use crate::receive::hashed;
use crate::sniff::TypePattern;
use crate::{Denial, State, UploadError, sniff, version};

/// Octets by which a document is told from others.
const HEAD_BYTES: usize = 64 << 10;
/// Files at the beginning of an archive that are looked at.
const ENTRIES_MAX: usize = 64;
/// What each file in an archive begins with (APPNOTE.TXT 4.3.7), and how long that is.
const ENTRY: &[u8] = b"PK\x03\x04";
const ENTRY_BYTES: usize = 30;
/// The folder by which the office formats of ECMA-376 differ, what they are then, and how their files end.
const OFFICE: [(&[u8], &str, &str); 3] = [
    (b"word/", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"),
    (b"xl/", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
    (b"ppt/", "application/vnd.openxmlformats-officedocument.presentationml.presentation", "pptx"),
];

/// What documents may be, and how many there may be of one asset.
#[derive(Clone, Debug)]
pub struct DocumentRules {
    /// Media types that are taken, as they are told by the content.
    pub types: Vec<TypePattern>,
    /// Octets of the largest one.
    pub bytes_max: u64,
    /// Documents of one asset.
    pub count_max: u32,
}

impl Default for DocumentRules {
    /// All types that are known, as many and as large as any.
    fn default() -> Self {
        let types = document::TYPES.iter().filter_map(|(kind, _)| kind.parse().ok()).collect();
        Self { types, bytes_max: BYTES_MAX, count_max: COUNT_MAX }
    }
}

/// The document that an upload is for, by what it says or by its capability; `None` if it is for something else.
///
/// An asset that the one who asks may not even see is not there.
pub(crate) async fn target(
    state: &State,
    entrant: &Entrant,
    document_of: Option<&str>,
    length: Option<u64>,
) -> Result<Option<Target>, UploadError> {
    let named = version::named(document_of, "document_of must be the id of an asset")?;
    let granted = entrant.grant.as_ref().and_then(|(grant, _)| grant.asset.filter(|_| grant.is_document));
    let id = match (granted, named) {
        (Some(granted), named) if named.is_none_or(|named| named == granted) => granted,
        (Some(_), _) => return Err(Denial::Grant { problem: "it is for a document of another asset" }.into()),
        (None, Some(_)) if entrant.grant.is_some() => {
            return Err(Denial::Grant { problem: "it is for no document" }.into());
        }
        (None, Some(named)) => named,
        (None, None) => return Ok(None),
    };
    let asset = version::asset_for(state, entrant, id, Action::EditAsset).await?;
    let bytes_max = state.admission.policy.documents.bytes_max;
    if length.is_some_and(|length| length > bytes_max) {
        return Err(Denial::TooLarge { bytes_max }.into());
    }
    let document = DocumentId::mint(state.clock.now(), state.clock.entropy());
    Ok(Some(Target::document(id, asset.playback, document)))
}

/// The document that an upload brings.
pub(crate) fn of(upload: &Upload) -> Option<DocumentId> {
    upload.target.and_then(|target| target.document)
}

/// Where what an upload brings is stored.
pub(crate) fn object_of(target: Target) -> Key {
    match target.document {
        Some(document) => layout::document(target.asset, document),
        None => layout::source(target.source()),
    }
}

/// Finds out what the staged file of an upload is and what it holds, and notes that; why it is not wanted, if so.
pub(crate) async fn describe(state: &State, upload: &Upload, length: u64) -> Result<Option<Failure>, UploadError> {
    let media_type = match look(state, upload).await? {
        Ok(media_type) => media_type,
        Err(failure) => return Ok(Some(failure)),
    };
    let hashers = vec![Hasher::new(Algorithm::Sha256)];
    let digest = hashed(state, upload, 0..length, hashers).await?.pop().ok_or(UploadError::Internal)?.finish();
    let sha256: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    state.catalog.describe_document(upload.id, (media_type, &sha256)).await?;
    Ok(None)
}

/// What the staged file of an upload is by its first octets; why it is not wanted, if so.
pub(crate) async fn look(state: &State, upload: &Upload) -> Result<Result<&'static str, Failure>, UploadError> {
    let path = state.staging.path(upload.id);
    let read = move || sniff::head_of(&File::open(path)?, HEAD_BYTES);
    let read = tokio::task::spawn_blocking(read).await.map_err(|_| UploadError::Internal)?;
    let head = read.map_err(|source| {
        UploadError::Staging(media_store::StagingError::Io { action: "read", upload: upload.id, source })
    })?;
    let name = upload.file_name.as_deref().unwrap_or(document::NAMELESS);
    Ok(judged(&head, name, &state.admission.policy.documents.types))
}

/// The type of a file that begins with `head`, if it is one that is taken.
fn judged(head: &[u8], name: &str, accepted: &[TypePattern]) -> Result<&'static str, Failure> {
    if head.is_empty() {
        return Err(Failure::new(FailureCode::UnknownFormat, "the file is empty"));
    }
    let found = recognised(head, name);
    if accepted.iter().any(|pattern| pattern.holds(found)) {
        return Ok(found);
    }
    let accepted = accepted.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let denial = Denial::Type { found: found.to_owned(), accepted };
    Err(Failure::new(FailureCode::Unsupported, denial.to_string()))
}

/// What a file is by its first octets; its name only tells texts, and the office formats, from one another.
fn recognised(head: &[u8], name: &str) -> &'static str {
    if head.starts_with(ENTRY) {
        return archived(head, name);
    }
    match infer::get(head) {
        // Two letters make a bitmap or a program: a text may begin with them.
        Some(kind) if matches!(kind.matcher_type(), MatcherType::Image | MatcherType::App) && is_text(head) => {
            document::text_type(name)
        }
        Some(kind) => kind.mime_type(),
        None if is_text(head) => document::text_type(name),
        None => OTHER,
    }
}

/// What a ZIP archive is.
fn archived(head: &[u8], name: &str) -> &'static str {
    let entries: Vec<&[u8]> = entries(head).take(ENTRIES_MAX).collect();
    // EPUB and OpenDocument say what they are in a first file that is not compressed.
    if entries.first().is_some_and(|first| first.starts_with(b"mimetype")) {
        let told = &head[(ENTRY_BYTES + b"mimetype".len()).min(head.len())..];
        // The longest first: one is the beginning of another.
        let mut kinds: Vec<&str> = document::TYPES.iter().map(|(kind, _)| *kind).collect();
        kinds.sort_by_key(|kind| std::cmp::Reverse(kind.len()));
        let is_told = |kind: &&&str| {
            (kind.contains("opendocument") || kind.contains("epub")) && told.starts_with(kind.as_bytes())
        };
        return kinds.iter().find(is_told).copied().unwrap_or("application/zip");
    }
    let begins = |folder: &[u8]| entries.iter().any(|entry| entry.starts_with(folder));
    if !begins(b"[Content_Types].xml") {
        return "application/zip";
    }
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).unwrap_or_default();
    let by_folder = OFFICE.iter().find(|(folder, ..)| begins(folder));
    let by_ending = || OFFICE.iter().find(|(.., known)| *known == ending);
    by_folder.or_else(by_ending).map_or("application/zip", |(_, kind, _)| kind)
}

/// The names of the files in an archive that begins with `head`, as far as they stand there.
fn entries(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let places = head.windows(ENTRY.len()).enumerate().filter(|(_, octets)| *octets == ENTRY).map(|(at, _)| at);
    places.filter_map(move |at| {
        let length = head.get(at + 26..at + 28)?;
        let length = usize::from(u16::from_le_bytes([length[0], length[1]]));
        head.get(at + ENTRY_BYTES..at + ENTRY_BYTES + length)
    })
}

/// Whether octets are text: UTF-8, or UTF-16 with a mark, without control characters that no text has.
fn is_text(head: &[u8]) -> bool {
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        return true;
    }
    let is_plain = |byte: &u8| !byte.is_ascii_control() || matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b);
    // The last character may go on behind the head.
    let is_utf8 = match std::str::from_utf8(head) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    };
    is_utf8 && head.iter().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An archive of empty files with these names, and what stands in the first one.
    fn archive(names: &[&str], first: &str) -> Vec<u8> {
        let mut octets = Vec::new();
        for (at, name) in names.iter().enumerate() {
            octets.extend(ENTRY);
            octets.extend([0; 22]);
            octets.extend(u16::try_from(name.len()).expect("short").to_le_bytes());
            octets.extend([0; 2]);
            octets.extend(name.as_bytes());
            if at == 0 {
                octets.extend(first.as_bytes());
            }
        }
        octets
    }

    #[test]
    fn a_document_is_what_its_content_says() {
        let office = |folder| archive(&["[Content_Types].xml", "_rels/.rels", "docProps/app.xml", folder], "");
        let mimetype = |kind| archive(&["mimetype", "content.xml"], kind);
        for (head, name, expected) in [
            (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n".to_vec(), "a.txt", "application/pdf"),
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec(), "a", "image/png"),
            (b"\xff\xd8\xff\xe0\0\x10JFIF".to_vec(), "a", "image/jpeg"),
            (b"hello".to_vec(), "a.md", "text/markdown"),
            (b"BMW, MZ".to_vec(), "a", "text/plain"),
            (b"a,b\n1,2\n".to_vec(), "a.csv", "text/csv"),
            ("\u{e9}t\u{e9}".into(), "menu", "text/plain"),
            (b"\xff\xfeh\0i\0".to_vec(), "a.txt", "text/plain"),
            (archive(&["a", "b"], ""), "a.docx", "application/zip"),
            (office("word/document.xml"), "a", OFFICE[0].1),
            (office("xl/workbook.xml"), "a.docx", OFFICE[1].1),
            (office("customXml/item1.xml"), "a.PPTX", OFFICE[2].1),
            (mimetype("application/epub+zip"), "a", "application/epub+zip"),
            (mimetype("application/vnd.oasis.opendocument.text"), "a", "application/vnd.oasis.opendocument.text"),
            (mimetype("application/x-evil"), "a", "application/zip"),
        ] {
            assert_eq!(recognised(&head, name), expected, "{name}");
            assert_eq!(judged(&head, name, &DocumentRules::default().types), Ok(expected), "{name}");
        }
    }

    #[test]
    fn what_could_be_run_or_shown_is_not_taken() {
        let rules = DocumentRules::default();
        for (head, name) in [
            (&b"<!DOCTYPE html><html><script>x</script></html>"[..], "a.txt"),
            (b"<html><body>x</body></html>", "a.md"),
            (b"<?xml version=\"1.0\"?><svg xmlns=\"http://www.w3.org/2000/svg\"/>", "a.svg"),
            (b"MZ\x90\0\x03\0\0\0", "a.pdf"),
            (b"\x7fELF\x02\x01\x01\0", "a.pdf"),
            (b"#!/bin/sh\necho hello\n", "a.txt"),
            (b"a text\0with a zero", "a.txt"),
            (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "a.pdf"),
            (b"", "a.txt"),
        ] {
            assert!(judged(head, name, &rules.types).is_err(), "{}", String::from_utf8_lossy(head));
        }
        let pdf_only: Vec<TypePattern> = vec!["application/pdf".parse().expect("a type")];
        assert!(judged(b"hello", "a.txt", &pdf_only).is_err());
        let anything: Vec<TypePattern> = vec!["*/*".parse().expect("a type")];
        assert_eq!(judged(b"a\0b", "a.bin", &anything), Ok(OTHER));
    }
}
