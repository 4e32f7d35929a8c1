//! An audit finds every kind of damage, names it, and finds nothing where there is none.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use catalog_store::Catalog;
use domain::{Generation, Presentation, RenditionId};
use fixtures::media::{ClipSpec, clip};
use media_store::{Key, MediaStore, StoreConfig, layout};
use pipeline::Parts;
use pipeline::audit::{Fault, Options, Report, audit};

use crate::Case;
use crate::outputs::rich;
use crate::rig::{Rig, run};

pub(crate) const CASES: &[Case] = &[
    ("an_audit_names_every_damage_and_changes_nothing", || run(damages())),
    ("an_audit_reads_a_folder_that_somebody_works_on_and_one_at_rest", || run(read_only())),
    ("segments_encoded_again_have_the_same_hash_unless_the_source_is_another", || run(encoded_again())),
    ("an_asset_in_the_making_is_sound", || run(in_the_making())),
];

/// A ready asset to be damaged.
struct Victim {
    rig: Rig,
    asset: catalog_store::Asset,
    presentation: Presentation,
}

impl Victim {
    async fn new() -> anyhow::Result<Self> {
        let rig = Rig::new().await?;
        let (asset, _, presentation) = rig.ready(&clip(&rich())).await?;
        Ok(Self { rig, asset, presentation })
    }

    fn file(&self, key: &Key) -> anyhow::Result<PathBuf> {
        self.rig.parts.store.local_path(key).context("a folder")
    }

    fn segment(&self, rendition: &str, index: u32) -> anyhow::Result<PathBuf> {
        self.file(&layout::segment(self.asset.id, Generation(1), &RenditionId::new(rendition)?, index))
    }

    fn init(&self, rendition: &str) -> anyhow::Result<PathBuf> {
        self.file(&layout::init(self.asset.id, Generation(1), &RenditionId::new(rendition)?))
    }

    async fn audit(&self) -> anyhow::Result<Report> {
        Ok(audit(&self.rig.parts, self.asset.id, Options::default(), |_| {}).await?)
    }

    /// Replaces, makes or (`None`) removes one file, audits, puts everything back, and compares what was found.
    async fn check(&self, file: PathBuf, damaged: Option<Vec<u8>>, expected: &[(Fault, &str)]) -> anyhow::Result<()> {
        let link = fs::read_link(&file).ok();
        let before = fs::read(&file).ok();
        match &damaged {
            Some(body) => fs::write(&file, body)?,
            None => fs::remove_file(&file)?,
        }
        let report = self.audit().await?;
        match (link, before) {
            (Some(link), _) => std::os::unix::fs::symlink(link, &file)?,
            (None, Some(before)) => fs::write(&file, before)?,
            (None, None) => fs::remove_file(&file)?,
        }
        let found: Vec<(Fault, &str)> =
            report.findings.iter().map(|found| (found.fault, found.place.as_str())).collect();
        ensure!(
            found.len() == expected.len(),
            "{}: expected {expected:?}, found {:#?}",
            file.display(),
            report.findings
        );
        for ((fault, place), (expected, end)) in found.iter().zip(expected) {
            ensure!(fault == expected && place.ends_with(end), "{}: {expected:?} {end}: {found:?}", file.display());
        }
        ensure!(report.findings.iter().all(|found| found.problem.len() > 10 && found.advice.ends_with('.')));
        Ok(())
    }
}

fn flipped(file: &PathBuf, at: usize) -> anyhow::Result<Option<Vec<u8>>> {
    let mut body = fs::read(file)?;
    *body.get_mut(at).context("long enough")? ^= 1;
    Ok(Some(body))
}

async fn damages() -> anyhow::Result<()> {
    let victim = Victim::new().await?;
    let untouched = victim.rig.files()?;
    let report = victim.audit().await?;
    ensure!(report.is_sound(), "{:#?}", report.findings);
    // Everything but the source and the pointer was read, and of the presentations the one in force.
    ensure!(report.objects == u64::try_from(untouched.len())? - 3, "{} of {}", report.objects, untouched.len());

    let segment = victim.segment("360p", 2)?;
    let body = fs::read(&segment)?;
    victim.check(segment.clone(), flipped(&segment, body.len() / 2)?, &[(Fault::ObjectDiffers, "360p/2.m4s")]).await?;
    victim.check(segment.clone(), flipped(&segment, 9)?, &[(Fault::ObjectDiffers, "360p/2.m4s")]).await?;
    let cut = body[..body.len() - 1].to_vec();
    victim.check(segment.clone(), Some(cut), &[(Fault::ObjectDiffers, "360p/2.m4s")]).await?;
    victim.check(segment.clone(), None, &[(Fault::ObjectMissing, "360p/2.m4s")]).await?;
    let sound = victim.segment("audio-0-en", 1)?;
    victim.check(sound.clone(), flipped(&sound, 300)?, &[(Fault::ObjectDiffers, "audio-0-en/1.m4s")]).await?;

    let init = victim.init("360p")?;
    let other = fs::read(victim.init("240p")?)?;
    victim.check(init.clone(), Some(other.clone()), &[(Fault::ObjectDiffers, "360p/init.mp4")]).await?;
    victim.check(init.clone(), flipped(&init, 40)?, &[(Fault::ObjectDiffers, "360p/init.mp4")]).await?;
    victim.check(init.clone(), None, &[(Fault::ObjectMissing, "360p/init.mp4")]).await?;

    let poster = victim.file(&layout::image(victim.asset.id, Generation(1), "poster.jpg")?)?;
    victim.check(poster.clone(), flipped(&poster, 99)?, &[(Fault::ObjectDiffers, "images/poster.jpg")]).await?;
    victim.check(poster, None, &[(Fault::ObjectMissing, "images/poster.jpg")]).await?;
    let text = &victim.presentation.subtitles.first().context("there is text")?.id;
    let text = victim.file(&layout::subtitle(victim.asset.id, Generation(1), text, 0))?;
    victim.check(text.clone(), flipped(&text, 3)?, &[(Fault::ObjectDiffers, "0.vtt")]).await?;
    victim.check(text, None, &[(Fault::ObjectMissing, "0.vtt")]).await?;

    let stranger = victim.segment("360p", 999)?;
    victim.check(stranger, Some(body), &[(Fault::Stranger, "360p/999.m4s")]).await?;
    let later = victim.file(&layout::presentation(victim.asset.id, Generation(1), 7))?;
    victim.check(later, Some(b"{}".to_vec()), &[(Fault::Stranger, "1-7.json")]).await?;
    let source = victim.file(&layout::source(victim.asset.id))?;
    victim.check(source, None, &[(Fault::SourceMissing, &victim.asset.id.to_string())]).await?;

    documents(&victim, &other).await?;
    ensure!(victim.rig.files()? == untouched, "an audit changed something");
    Ok(())
}

/// Damages of the pointer and the presentation.
async fn documents(victim: &Victim, other_init: &[u8]) -> anyhow::Result<()> {
    let pointer = victim.rig.dir.path().join(format!("media/current/{}.json", victim.asset.playback));
    let place = victim.asset.playback.to_string();
    let (document, name) = (victim.file(&layout::presentation(victim.asset.id, Generation(1), 1))?, "1-1.json");
    let stranger = (Fault::Stranger, name);
    victim.check(pointer.clone(), None, &[(Fault::PointerMissing, &place)]).await?;
    victim.check(pointer.clone(), Some(b"{".to_vec()), &[(Fault::PointerUnreadable, &place)]).await?;
    let behind = fs::read_to_string(&pointer)?.replace("\"revision\":1", "\"revision\":0").replace("true", "false");
    victim.check(pointer, Some(behind.into()), &[(Fault::PointerBehind, &place), stranger]).await?;
    victim.check(document.clone(), None, &[(Fault::PresentationMissing, name)]).await?;
    victim.check(document.clone(), Some(b"[]".to_vec()), &[(Fault::PresentationUnreadable, name)]).await?;
    let mut changed = victim.presentation.clone();
    changed.generation = Generation(9);
    victim
        .check(document.clone(), Some(serde_json::to_vec(&changed)?), &[(Fault::PresentationUnreadable, name)])
        .await?;

    // A document that does not tell what its init segments hold: they are compared with their avcC.
    let mut older = victim.presentation.clone();
    older.files.clear();
    let (before, init) = (fs::read(&document)?, victim.init("360p")?);
    fs::write(&document, serde_json::to_vec(&older)?)?;
    let wrong = &[(Fault::ObjectDiffers, "360p/init.mp4")];
    victim.check(init.clone(), Some(other_init.to_vec()), wrong).await?;
    victim.check(init.clone(), flipped(&init, 40)?, wrong).await?;
    let report = victim.audit().await?;
    ensure!(report.is_sound(), "{:#?}", report.findings);
    fs::write(&document, before)?;
    Ok(())
}

async fn read_only() -> anyhow::Result<()> {
    let victim = Victim::new().await?;
    let root = victim.rig.dir.path();
    let open = async || {
        let database = format!("sqlite://{}", root.join("catalog.db").display());
        let store = StoreConfig {
            url: format!("file://{}", root.join("media").display()),
            access_key: None,
            secret_key: None,
            scratch: root.join("never-made"),
        };
        let (catalog, store) = (Catalog::open_to_read(&database).await?, MediaStore::open_to_read(store).await?);
        anyhow::Ok(Parts { catalog, store, ..victim.rig.parts.clone() })
    };
    let beside_a_writer = open().await?;
    ensure!(audit(&beside_a_writer, victim.asset.id, Options::default(), |_| {}).await?.is_sound());
    beside_a_writer.catalog.close().await;

    victim.rig.parts.catalog.close().await;
    let database = fs::read(root.join("catalog.db"))?;
    let at_rest = open().await?;
    ensure!(audit(&at_rest, victim.asset.id, Options::default(), |_| {}).await?.is_sound());
    at_rest.catalog.close().await;
    ensure!(fs::read(root.join("catalog.db"))? == database && !root.join("never-made").exists());
    Ok(())
}

async fn encoded_again() -> anyhow::Result<()> {
    let victim = Victim::new().await?;
    let options = Options { reencode: 5 };
    let mut last = None;
    let report = audit(&victim.rig.parts, victim.asset.id, options, |progress| last = Some(progress)).await?;
    ensure!(report.is_sound() && report.reencoded == 5, "{:#?}", report.findings);
    ensure!(last.is_some_and(|last| last.done == last.total));

    let source = victim.file(&layout::source(victim.asset.id))?;
    fs::remove_file(&source)?;
    let other = clip(&ClipSpec { seconds: 10.0, width: 320, height: 180, ..rich() });
    std::os::unix::fs::symlink(other, &source)?;
    let report = audit(&victim.rig.parts, victim.asset.id, options, |_| {}).await?;
    let faults: Vec<Fault> = report.findings.iter().map(|finding| finding.fault).collect();
    ensure!(faults.first() == Some(&Fault::SourceDiffers), "{faults:?}");
    let differs = |fault: &&Fault| matches!(fault, Fault::NotReproducible | Fault::EncodingFailed);
    ensure!(faults.iter().filter(differs).count() >= 1, "{:#?}", report.findings);
    Ok(())
}

async fn in_the_making() -> anyhow::Result<()> {
    let rig = Rig::new().await?;
    let asset = rig.receive(&clip(&rich())).await?;
    rig.work_until(asset, |done| done >= 3).await?;
    let report = audit(&rig.parts, asset, Options { reencode: 1 }, |_| {}).await?;
    ensure!(report.is_sound() && report.revision == Some(0) && report.objects >= 4, "{report:#?}");
    Ok(())
}
