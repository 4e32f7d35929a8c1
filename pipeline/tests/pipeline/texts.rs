//! Subtitle files and chapters that are added while an asset is made, and after.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use catalog_store::{Asset, Claim, LeasedJob, NewText, Replaced, TextFlags};
use domain::presentation::Pointer;
use domain::probe::Chapter;
use domain::text::State;
use domain::{AssetId, JobId, JobKind, JobLane, Language, MediaTime, Presentation, TextId, Timescale};
use fixtures::media::{ClipSpec, clip};
use media_store::layout;
use pipeline::audit::{Fault, Options, audit};

use crate::Case;
use crate::rig::{Rig, run};

pub(crate) const CASES: &[Case] = &[
    ("a_text_added_to_a_ready_asset_changes_nothing_else", || run(added_late())),
    ("a_text_added_early_is_shown_with_the_plan_and_stays", || run(added_early())),
    ("a_texts_job_that_runs_twice_changes_nothing", || run(repeated())),
    ("texts_published_at_the_same_time_are_all_there", || run(raced())),
    ("a_text_of_which_nothing_can_be_shown_says_why_and_harms_nobody", || run(unusable())),
    ("an_edit_is_shown_instead_of_a_track_and_the_track_comes_back", || run(edited())),
    ("flags_of_a_text_change_nothing_that_was_cut", || run(flagged())),
    ("chapters_that_were_set_replace_those_of_the_file", || run(chapters())),
];

const SRT: &str = "1\n00:00:00,500 --> 00:00:01,500\nHello\n";

fn short() -> PathBuf {
    clip(&ClipSpec { seconds: 3.0, chapters: 2, subtitles: vec!["eng"], container: "mkv", ..ClipSpec::default() })
}

impl Rig {
    async fn add(&self, asset: AssetId, name: &str, file: &str) -> anyhow::Result<TextId> {
        let id = TextId::mint(self.now(), self.parts.clock.entropy());
        self.parts.store.put_once(&layout::text(asset, id), file.to_owned().into()).await?;
        let language = Language::from_code("deu");
        let (name, charset) = (Some(name.to_owned()), None);
        let new = NewText {
            id,
            asset,
            language,
            name,
            charset,
            is_forced: false,
            is_default: false,
            is_sdh: false,
            replaces: None,
        };
        self.parts.catalog.add_text(&new, self.job_id(), self.now()).await?;
        Ok(id)
    }

    fn job_id(&self) -> JobId {
        JobId::mint(self.now(), self.parts.clock.entropy())
    }

    async fn claim_urgent(&self) -> anyhow::Result<LeasedJob> {
        let (lane, lease) = (JobLane::Urgent, Duration::from_secs(60));
        let claim = Claim { worker: "test", lane, lease, now: self.now() };
        self.parts.catalog.claim(&claim).await?.context("a job is due")
    }

    async fn perform(&self, job: &LeasedJob) -> anyhow::Result<()> {
        self.worker().perform(job).await.map_err(anyhow::Error::from_boxed)
    }

    async fn in_force(&self, asset: AssetId) -> anyhow::Result<(Asset, Presentation)> {
        let asset = self.parts.catalog.asset(asset).await?.context("it exists")?;
        let presentation = self.published(&asset).await?.context("something is published")?;
        let pointer = self.parts.store.pointer(asset.playback).await?.context("a pointer")?;
        let pointer: Pointer = serde_json::from_slice(&pointer)?;
        ensure!(pointer.names(&presentation), "the pointer tells of another document");
        Ok((asset, presentation))
    }
}

fn names(presentation: &Presentation) -> Vec<&str> {
    presentation.subtitles.iter().map(|rendition| rendition.name.as_str()).collect()
}

async fn added_late() -> anyhow::Result<()> {
    let rig = Rig::new().await?;
    let (asset, _, before) = rig.ready(&short()).await?;
    ensure!((before.revision, before.is_complete()) == (1, true));
    let files = rig.files()?;
    let id = rig.add(asset.id, "Deutsch", SRT).await?;
    rig.finish(asset.id).await?;
    let (_, after) = rig.in_force(asset.id).await?;
    ensure!(names(&after) == ["English", "Deutsch"], "{:?}", names(&after));
    ensure!((after.revision, after.is_complete()) == (2, true));
    let unchanged = Presentation { revision: 1, subtitles: before.subtitles.clone(), ..after.clone() };
    ensure!(unchanged == before, "only the subtitles differ");
    let pointer = |path: &std::path::Path| path.components().any(|part| part.as_os_str() == "current");
    let found = rig.files()?;
    ensure!(files.iter().all(|(path, body)| pointer(path) || found.get(path) == Some(body)), "no object was changed");
    let segment = rig.parts.store.get(&layout::subtitle(asset.id, after.generation, &id.rendition(), 0)).await?;
    ensure!(String::from_utf8_lossy(&segment.context("a segment")?).contains("Hello"));

    rig.parts.catalog.remove_text((asset.id, id), None, rig.job_id(), rig.now()).await?;
    rig.finish(asset.id).await?;
    let (_, after) = rig.in_force(asset.id).await?;
    ensure!(Presentation { revision: 1, ..after } == before);
    ensure!(rig.parts.catalog.texts(asset.id).await?.is_empty());
    let left: Vec<_> = rig.files()?.into_keys().filter(|path| path.display().to_string().contains("text")).collect();
    ensure!(left.is_empty(), "{left:?}");
    ensure!(rig.parts.catalog.integrity().await?.is_sound());
    Ok(())
}

async fn added_early() -> anyhow::Result<()> {
    let rig = Rig::new().await?;
    let asset = rig.receive(&short()).await?;
    let text = rig.add(asset, "Early", SRT).await?;
    let probe = rig.claim_urgent().await?;
    rig.perform(&probe).await?;
    ensure!(names(&rig.in_force(asset).await?.1).is_empty(), "the plan itself has none");
    // The text is not waited for, but it comes before anything that takes long.
    let texts = rig.claim_urgent().await?;
    ensure!(texts.spec.kind() == JobKind::Texts);
    rig.perform(&texts).await?;
    let (_, planned) = rig.in_force(asset).await?;
    ensure!(names(&planned) == ["Early"] && !planned.is_complete() && planned.revision == 1);
    let report = audit(&rig.parts, asset, Options::default(), |_| {}).await?;
    ensure!(report.is_sound() && report.revision == Some(1), "{report:#?}");
    rig.finish(asset).await?;
    let (_, whole) = rig.in_force(asset).await?;
    ensure!(names(&whole) == ["English", "Early"] && whole.is_complete() && whole.revision == 2);
    let report = audit(&rig.parts, asset, Options::default(), |_| {}).await?;
    ensure!(report.is_sound() && report.revision == Some(2), "{report:#?}");
    rig.parts.store.delete(&layout::text(asset, text)).await?;
    let report = audit(&rig.parts, asset, Options::default(), |_| {}).await?;
    let faults: Vec<Fault> = report.findings.iter().map(|finding| finding.fault).collect();
    ensure!(faults == [Fault::ObjectMissing], "{report:#?}");
    ensure!(rig.parts.catalog.integrity().await?.is_sound());
    Ok(())
}

async fn repeated() -> anyhow::Result<()> {
    let rig = Rig::new().await?;
    let (asset, ..) = rig.ready(&short()).await?;
    let removed = rig.add(asset.id, "Removed", SRT).await?;
    rig.finish(asset.id).await?;
    rig.add(asset.id, "Deutsch", SRT).await?;
    rig.parts.catalog.remove_text((asset.id, removed), None, rig.job_id(), rig.now()).await?;
    let job = rig.claim_urgent().await?;
    rig.worker().rehearse(&job).await.map_err(anyhow::Error::from_boxed)?;
    let files = rig.files()?;
    rig.worker().rehearse(&job).await.map_err(anyhow::Error::from_boxed)?;
    rig.perform(&job).await?;
    ensure!(rig.files()? == files);
    Ok(())
}

async fn raced() -> anyhow::Result<()> {
    let rig = Rig::new().await?;
    let (asset, ..) = rig.ready(&short()).await?;
    rig.add(asset.id, "First", SRT).await?;
    let first = rig.claim_urgent().await?;
    rig.add(asset.id, "Second", SRT).await?;
    let second = rig.claim_urgent().await?;
    ensure!(first.id != second.id, "one that runs takes no more wishes");
    let removed = rig.add(asset.id, "Third", SRT).await?;
    let third = rig.claim_urgent().await?;
    rig.parts.catalog.remove_text((asset.id, removed), None, rig.job_id(), rig.now()).await?;
    let fourth = rig.claim_urgent().await?;
    let ended = tokio::join!(rig.perform(&first), rig.perform(&second), rig.perform(&third), rig.perform(&fourth));
    for ended in [ended.0, ended.1, ended.2, ended.3] {
        ended?;
    }
    let (_, presentation) = rig.in_force(asset.id).await?;
    ensure!(names(&presentation) == ["English", "First", "Second"], "{:?}", names(&presentation));
    let listed = rig.parts.store.list(&layout::presentations_of(asset.id), None).await?;
    let mut stored = listed.objects.iter().filter_map(|object| layout::presentation_named(asset.id, &object.key));
    ensure!(stored.all(|(_, revision)| revision <= presentation.revision), "a document that came second is gone");
    Ok(())
}

async fn unusable() -> anyhow::Result<()> {
    let rig = Rig::new().await?;
    let asset = rig.receive(&short()).await?;
    let late = rig.add(asset, "Late", "1\n01:00:00,000 --> 01:00:01,000\nfar away\n").await?;
    let noise = rig.add(asset, "Noise", "no subtitles at all").await?;
    let lost = rig.add(asset, "Lost", SRT).await?;
    rig.parts.store.delete(&layout::text(asset, lost)).await?;
    rig.finish(asset).await?;
    let (found, presentation) = rig.in_force(asset).await?;
    ensure!(found.state == domain::AssetState::Ready && names(&presentation) == ["English"]);
    for (id, reason) in [(late, "begin after the end, which is at 00:00:03"), (noise, "neither SubRip"), (lost, "lost")]
    {
        let text = rig.parts.catalog.text(asset, id).await?.context("it is kept")?;
        let told = text.report.and_then(|report| report.reason).unwrap_or_default();
        ensure!(text.state == State::Unusable && told.contains(reason), "{told}");
    }
    Ok(())
}

async fn edited() -> anyhow::Result<()> {
    let rig = Rig::new().await?;
    let (asset, _, before) = rig.ready(&short()).await?;
    let track = before.subtitles.first().context("the file has a track")?;
    let found = async || -> anyhow::Result<Vec<String>> {
        let mut sources = rig.parts.catalog.transcript_sources(asset.id).await?;
        sources.sort();
        Ok(sources)
    };
    ensure!(found().await? == [track.id.as_str()]);
    let id = TextId::mint(rig.now(), rig.parts.clock.entropy());
    rig.parts.store.put_once(&layout::text(asset.id, id), SRT.into()).await?;
    let replaces = Some(Replaced { version: asset.source_version, rendition: track.id.clone() });
    let new = NewText {
        id,
        asset: asset.id,
        language: track.language.clone(),
        name: Some(track.name.clone()),
        charset: None,
        is_forced: false,
        is_default: false,
        is_sdh: true,
        replaces,
    };
    ensure!(rig.parts.catalog.replace_text(&new, None, rig.job_id(), rig.now()).await?);
    ensure!(names(&rig.in_force(asset.id).await?.1) == ["English"], "until it is read the track is shown");
    rig.finish(asset.id).await?;
    let (_, after) = rig.in_force(asset.id).await?;
    ensure!(names(&after) == ["English"], "{:?}", names(&after));
    ensure!(after.subtitles[0].id == id.rendition() && after.subtitles[0].is_sdh);
    ensure!(found().await? == [id.to_string()], "what is found is what is shown");
    rig.parts.catalog.remove_text((asset.id, id), None, rig.job_id(), rig.now()).await?;
    rig.finish(asset.id).await?;
    let (_, after) = rig.in_force(asset.id).await?;
    ensure!(after.subtitles == before.subtitles, "the track is back");
    ensure!(found().await? == [track.id.as_str()]);
    Ok(())
}

async fn flagged() -> anyhow::Result<()> {
    let rig = Rig::new().await?;
    let (asset, ..) = rig.ready(&short()).await?;
    let id = rig.add(asset.id, "Deutsch", SRT).await?;
    rig.finish(asset.id).await?;
    let (_, before) = rig.in_force(asset.id).await?;
    let said = TextFlags {
        language: Language::from_code("fra"),
        name: Some("Malentendants".into()),
        is_forced: false,
        is_default: true,
        is_sdh: true,
    };
    rig.parts.catalog.change_text((asset.id, id), 1, &said, rig.job_id(), rig.now()).await?.context("it")?;
    rig.finish(asset.id).await?;
    let (_, after) = rig.in_force(asset.id).await?;
    ensure!(names(&after) == ["English", "Malentendants"], "{:?}", names(&after));
    let (old, new) = (&before.subtitles[1], &after.subtitles[1]);
    ensure!(new.is_sdh && new.is_default && new.language == Language::from_code("fr"));
    ensure!((&new.id, &new.segments) == (&old.id, &old.segments), "its address and its segments stay");
    ensure!(rig.parts.catalog.transcript_sources(asset.id).await?.contains(&id.to_string()), "it is found again");
    Ok(())
}

async fn chapters() -> anyhow::Result<()> {
    let rig = Rig::new().await?;
    let asset = rig.receive(&short()).await?;
    let ms = |ms| MediaTime::new(ms, Timescale::MILLISECONDS);
    let set = [Chapter { start: ms(1000), end: ms(1000), title: "Set".into() }];
    rig.parts.catalog.set_chapters(asset, Some(&set), rig.job_id(), rig.now()).await?;
    let probe = rig.claim_urgent().await?;
    rig.perform(&probe).await?;
    let shown =
        |presentation: &Presentation| presentation.chapters.iter().map(|one| one.title.clone()).collect::<Vec<_>>();
    ensure!(shown(&rig.in_force(asset).await?.1) == ["Set"], "in the plan");
    rig.finish(asset).await?;
    ensure!(shown(&rig.in_force(asset).await?.1) == ["Set"], "in the whole");
    rig.parts.catalog.set_chapters(asset, None, rig.job_id(), rig.now()).await?;
    rig.finish(asset).await?;
    ensure!(rig.in_force(asset).await?.1.chapters.len() == 2, "the file's own");
    Ok(())
}
