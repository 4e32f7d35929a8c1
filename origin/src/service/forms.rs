//! What is made on the way out: texts in the coding and view that are asked for, segments in another container, one
//! file over all of them.

use std::sync::Arc;

use bytes::Bytes;
use domain::{EncryptionMethod, Presentation};
use http::header::CONTENT_DISPOSITION;
use http::{HeaderMap, request};
use packager::hls::Container;

use super::{Origin, served_from};
use crate::access::{Opened, Passage};
use crate::answer::Representation;
use crate::body::Content;
use crate::coding;
use crate::download;
use crate::library::Published;
use crate::memory::Object;
use crate::objects;
use crate::packed::Work;
use crate::policy::{self, Tier};
use crate::query::{self, QueryError};
use crate::refusal::Refusal;
use crate::resource::{self, Form, Text};
use crate::route::Route;
use crate::steering::Told;

/// The media type of a steering manifest (APL 10.4).
const STEERING: &str = "application/vnd.apple.steering-list";

/// A text before it is coded.
pub(super) struct Known<'a> {
    /// Its name among all texts.
    pub(super) name: &'a str,
    pub(super) media_type: &'static str,
    /// What is coded is kept in memory.
    pub(super) is_kept: bool,
}

impl Origin {
    /// A text that follows from the presentation; `None` if it has none of this kind.
    pub(super) async fn text(
        &self,
        head: &request::Parts,
        published: &Arc<Published>,
        text: &Text,
        opened: Option<Opened<'_>>,
        described: HeaderMap,
    ) -> Result<Option<(Representation, Content)>, Refusal> {
        let mut view = text.seen(query::parse(head.uri.query())?);
        view.is_steered = self.0.steering.is_some() && *text == Text::Master;
        view.lock = opened.map(|opened| opened.lock).filter(|_| text.names_keys());
        // Samples are encrypted in CMAF alone.
        if view.container == Container::Ts && view.lock.is_some_and(|lock| lock.method() == EncryptionMethod::Cbcs) {
            return Err(Refusal::Encrypted);
        }
        view.clip.map_or(Ok(()), |clip| clip.check(&published.presentation)).map_err(QueryError::Clip)?;
        let Some((object, tier)) = self.0.objects.rendered(published, text, view).await? else { return Ok(None) };
        let name = objects::name_of(published, text, view);
        let known = Known { name: &name, media_type: text.media_type(), is_kept: objects::is_kept(view) };
        Ok(Some(self.negotiated(head, known, object, tier, described).await))
    }

    /// A text in the coding that the client likes best.
    pub(super) async fn negotiated(
        &self,
        head: &request::Parts,
        known: Known<'_>,
        text: Arc<Object>,
        tier: Tier,
        described: HeaderMap,
    ) -> (Representation, Content) {
        let asked = coding::negotiate(&head.headers);
        let (object, coding) = self.0.objects.coded(known.name, text, asked, known.is_kept).await;
        let bytes = object.bytes.len() as u64;
        let whole =
            Representation::new(known.media_type, object.etag.clone(), bytes, described).negotiated(asked, coding);
        (served_from(whole, tier), Content::Memory(object))
    }

    /// A segment in another container or encrypted, made of the stored one unless it is in memory.
    pub(super) async fn packed(
        &self,
        head: &request::Parts,
        route: &Route,
        wanted: &resource::Packed,
        opened: Option<(Opened<'_>, &Published)>,
        described: HeaderMap,
    ) -> Result<(Representation, Content), Refusal> {
        let name = match &wanted.form {
            Form::Transport => format!("{}#ts", wanted.segment.key),
            Form::Locked(sealed) => format!("{}#{}", wanted.segment.key, sealed.name()),
        };
        let (object, tier) = match self.0.packed.get(&name) {
            Some(object) => (object, Tier::Memory),
            None => {
                let segment = self.object(route, &wanted.segment).await?.0.bytes.clone();
                let init = match &wanted.init {
                    Some(init) => Some(self.object(route, init).await?.0.bytes.clone()),
                    None => None,
                };
                let index = wanted.index;
                let work = match (&wanted.form, init) {
                    (Form::Locked(sealed), init) => {
                        let (opened, published) = opened.ok_or(Refusal::NoContentKey)?;
                        let seal = sealed.seal(&opened, &published.presentation);
                        Work::Locked { seal, shape: sealed.shape, init: init.unwrap_or_default(), index, segment }
                    }
                    (Form::Transport, Some(init)) => Work::Media { init, index, segment },
                    (Form::Transport, None) => Work::Text(segment),
                };
                (self.0.packed.make(name.clone(), work).await.ok_or(Refusal::Broken)?, Tier::Rendered)
            }
        };
        if wanted.media_type == resource::WEBVTT {
            let known = Known { name: &name, media_type: wanted.media_type, is_kept: true };
            return Ok(self.negotiated(head, known, object, tier, described).await);
        }
        let bytes = object.bytes.len() as u64;
        let whole = Representation::new(wanted.media_type, object.etag.clone(), bytes, described);
        Ok((served_from(whole, tier), Content::Memory(object)))
    }

    /// A key of an encrypted asset, for those who may play it.
    pub(super) fn key(
        &self,
        opened: Option<Opened<'_>>,
        published: &Published,
        number: u32,
        described: HeaderMap,
    ) -> Result<(Representation, Content), Refusal> {
        let opened = opened.ok_or(Refusal::NoContentKey)?;
        let key = opened.key(&published.presentation, number);
        let object = Arc::new(Object { etag: resource::etag_of(&key), bytes: Bytes::copy_from_slice(&key) });
        let bytes = object.bytes.len() as u64;
        let whole = Representation::new("application/octet-stream", object.etag.clone(), bytes, described);
        Ok((served_from(whole, Tier::Rendered), Content::Memory(object)))
    }

    /// What documents there are.
    pub(super) fn documents(published: &Published, described: HeaderMap) -> (Representation, Content) {
        let told = resource::documents(published.documents());
        let object = Arc::new(Object { etag: resource::etag_of(told.as_bytes()), bytes: told.into() });
        let bytes = object.bytes.len() as u64;
        let whole = Representation::new("application/json", object.etag.clone(), bytes, described);
        (served_from(whole, Tier::Rendered), Content::Memory(object))
    }

    /// The steering manifest for the player that asks.
    pub(super) fn steered(
        &self,
        head: &request::Parts,
        published: &Published,
        passage: Passage,
        mut described: HeaderMap,
    ) -> Result<(Representation, Content), Refusal> {
        let steering = self.0.steering.as_ref().ok_or(Refusal::NoSuchPart)?;
        let told = Told::read(head.uri.query());
        let presentation = &published.presentation;
        let peaks = |of: fn(&Presentation) -> Option<u64>| of(presentation).unwrap_or(0);
        let picture = peaks(|one| one.video.iter().map(|video| video.peak_bitrate.0).min());
        let sound = peaks(|one| one.audio.iter().map(|audio| audio.peak_bitrate.0).min());
        let manifest = steering.manifest(&told, picture.saturating_add(sound));
        policy::steer((!told.is_any()).then(|| steering.fresh_s()), passage, &mut described);
        let object = Arc::new(Object { etag: resource::etag_of(manifest.as_bytes()), bytes: manifest.into() });
        let bytes = object.bytes.len() as u64;
        let whole = Representation::new(STEERING, object.etag.clone(), bytes, described);
        Ok((served_from(whole, Tier::RenderedOnce), Content::Memory(object)))
    }

    /// One file over all segments, read as it is sent.
    pub(super) async fn download(
        &self,
        plan: download::Plan,
        described: HeaderMap,
    ) -> Result<(Representation, Content), Refusal> {
        let downloads = &self.0.downloads;
        let file = downloads.file(&plan).await?;
        let mut whole = Representation::new(plan.media_type, plan.etag.clone(), file.bytes(), described);
        whole.add_to_content(CONTENT_DISPOSITION, plan.disposition.clone());
        Ok((whole, Content::Download(Arc::clone(downloads), Arc::new(plan), file)))
    }
}
