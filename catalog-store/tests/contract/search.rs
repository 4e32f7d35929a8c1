//! Searching finds the same, in the same order, on either engine.

use catalog_store::search::Place;
use catalog_store::{Cue, Facet, Filter, Found, NewText, NewUpload, Search, Side};
use domain::about::{Credit, label_key};
use domain::authority::{Role, Standing};
use domain::presentation::SubtitleRendition;
use domain::search::Query;
use domain::text::Report;
use domain::{About, AssetId, JobKind, JobLane, Language, TextId, Timescale};

use crate::about::about;
use crate::accounts::user;
use crate::harness::{World, at};

async fn said(world: &World, about: &About) -> AssetId {
    let asset = world.received().await;
    world.catalog.set_about(asset, 1, about, at(1)).await.unwrap();
    asset
}

async fn found(world: &World, query: &str, is_forgiving: bool) -> Found {
    let (query, filter) = (Query::parse(query), Filter::default());
    let search = Search { query: &query, is_forgiving, filter: &filter, seen_by: None, now: at(9) };
    world.catalog.search(&search, None, 50).await.unwrap()
}

async fn hits(world: &World, query: &str) -> Vec<AssetId> {
    found(world, query, false).await.hits.into_iter().map(|hit| hit.asset).collect()
}

/// Has this said in an asset whose probe is settled.
async fn transcript(world: &World, asset: AssetId, source: &str, cues: &[Cue]) {
    // A job of the asset; which one does not matter.
    let job = world.claim_in(JobLane::Heavy, at(1)).await.expect("a job");
    assert_eq!(job.asset, asset);
    world.catalog.put_transcript(&job, (source, Language::from_code("fr").as_ref()), cues, at(2)).await.unwrap();
}

fn cue(start_s: i64, text: &str) -> Cue {
    Cue { start_ms: start_s * 1000, end_ms: start_s * 1000 + 900, text: text.into() }
}

pub(crate) async fn words_phrases_beginnings_and_exclusions_find_the_same_everywhere(world: World) {
    let credit = Credit { name: "Amélie Dragon".into(), role: "réalisatrice".into() };
    let catalogue = [
        About { description: Some("The dragon sleeps in a castle".into()), ..about("Silence") },
        About { tags: vec!["Château fort".into(), "Film noir".into()], ..about("The Dragon") },
        About { people: vec![credit], ..about("Portrait") },
        About { description: Some("Un château, un été".into()), ..about("Développement d'une idée") },
        About { description: Some("'quoted' \"twice\" \\ back % _ & | ! ( ) : * <->".into()), ..about("C++ & 映画") },
    ];
    let mut ids = vec![];
    for about in &catalogue {
        ids.push(said(&world, about).await);
    }
    // What is seen as the number of the asset, the best first: this very list holds on both engines.
    for (query, expected) in [
        ("dragon", vec![1, 2, 0]),
        ("DRAGÓN", vec![1, 2, 0]),
        ("drag*", vec![1, 2, 0]),
        ("the dragon", vec![1, 0]),
        ("\"dragon sleeps\"", vec![0]),
        ("\"sleeps dragon\"", vec![]),
        ("\"dragon sle\"*", vec![0]),
        ("dragon -castle", vec![1, 2]),
        ("dragon -\"the dragon\"", vec![2]),
        ("chateau", vec![1, 3]),
        ("\"fort film\"", vec![]),
        ("\"film noir\"", vec![1]),
        ("developpement", vec![3]),
        ("d'une", vec![3]),
        ("c++ AND (", vec![]),
        ("c++", vec![4]),
        ("画", vec![4]),
        ("映画", vec![4]),
        ("画映", vec![]),
        ("quoted twice back", vec![4]),
        ("-dragon", vec![]),
        ("", vec![]),
        ("\" ' \\ % _ & | ! ( ) : *", vec![]),
        ("nothing", vec![]),
    ] {
        let expected: Vec<AssetId> = expected.into_iter().map(|at: usize| ids[at]).collect();
        assert_eq!(hits(&world, query).await, expected, "{query}");
    }
    let best = found(&world, "dragon", false).await.hits[0];
    assert_eq!((best.asset, best.score), (ids[1], 32));
    world.catalog.set_about(ids[1], 2, &about("Renamed"), at(5)).await.unwrap();
    assert_eq!(hits(&world, "dragon").await, [ids[2], ids[0]], "what was said before is forgotten");
    world.catalog.delete_asset(ids[2], world.job_id(), at(6)).await.unwrap();
    assert_eq!(hits(&world, "dragon").await, [ids[0]]);
}

pub(crate) async fn what_is_changed_step_by_step_is_found_as_if_it_was_said_at_once(world: World) {
    let people = vec![Credit { name: "Ada Amber".into(), role: "actor".into() }];
    let french = Language::from_code("fr");
    let first = About { tags: vec!["Jade".into(), "jade".into()], people, ..about("Coral") };
    let longer = About { description: Some("an amber river in winter".into()), ..first.clone() };
    let labelled = About { tags: vec!["River".into()], genres: vec!["Jade".into()], ..longer.clone() };
    let nobody = About { people: vec![], languages: french.into_iter().collect(), ..labelled.clone() };
    let silent = About { description: None, title: None, ..nobody.clone() };
    let ends = About { title: Some("Amber".into()), description: Some("winter".into()), ..first.clone() };
    let (asset, mut version) = (world.received().await, 1);
    let steps = [&first, &longer, &labelled, &nobody, &silent, &ends, &About::default(), &ends, &labelled];
    for (step, said_now) in steps.into_iter().enumerate() {
        version = world.catalog.set_about(asset, version, said_now, at(2)).await.unwrap();
        let at_once = said(&world, said_now).await;
        let mut hits_of_all = 0;
        for word in ["coral", "amber", "ada", "jade", "river", "winter", "\"amber river\"", "amb*"] {
            let hits = found(&world, word, false).await.hits;
            let score = |asset| hits.iter().find(|hit| hit.asset == asset).map(|hit| hit.score);
            assert_eq!(score(asset), score(at_once), "{word} after step {step}");
            hits_of_all += hits.len();
        }
        assert_eq!(hits_of_all > 0, *said_now != About::default(), "otherwise nothing is shown");
        let (query, filter) = (Query::parse("jade"), Filter::default());
        let search = Search { query: &query, is_forgiving: false, filter: &filter, seen_by: None, now: at(9) };
        let facets = world.catalog.facets(&search).await.unwrap();
        assert!(facets.iter().all(|facet| facet.count == 2), "{facets:?} after step {step}");
        world.catalog.delete_asset(at_once, world.job_id(), at(3)).await.unwrap();
    }
    assert_eq!(found(&world, "wintre", true).await.hits.len(), 1, "words of what was changed are known");
}

pub(crate) async fn words_that_nothing_says_any_more_are_forgotten(world: World) {
    let round = async || {
        let (mut place, mut count) = (Place::default(), 0);
        for _ in 0..200 {
            let forgotten = world.catalog.forget_words(&place, 3).await.unwrap();
            count += forgotten.count;
            match forgotten.next {
                Some(next) => place = next,
                None => return count,
            }
        }
        panic!("a round has an end");
    };
    let asset = said(&world, &about("Castle Magnolia")).await;
    said(&world, &about("Castle")).await;
    assert_eq!(round().await, 0, "all is said");
    world.catalog.set_about(asset, 2, &about("Portrait"), at(2)).await.unwrap();
    assert!(world.tables_with("magnolia").await.contains(&"search_trigrams".to_owned()));
    assert_eq!(round().await, 1);
    assert!(!world.tables_with("magnolia").await.contains(&"search_trigrams".to_owned()));
    let near = async |word| found(&world, word, true).await.hits.len();
    assert_eq!((near("castel").await, near("portrayt").await, near("magnoliq").await), (1, 1, 0));
    // Said again, it is found again.
    world.catalog.set_about(asset, 3, &about("Magnolia"), at(3)).await.unwrap();
    assert_eq!((near("magnoliq").await, round().await), (1, 1), "a portrait is shown no more");
}

pub(crate) async fn slips_of_the_hand_are_forgiven_when_asked_to(world: World) {
    let exact = said(&world, &about("Dragn")).await;
    let near = said(&world, &about("A dragon")).await;
    let far = said(&world, &about("The documentary")).await;
    assert_eq!(hits(&world, "dragn").await, [exact]);
    let found = async |query: &str| {
        let found = found(&world, query, true).await;
        found.hits.into_iter().map(|hit| hit.asset).collect::<Vec<_>>()
    };
    assert_eq!(found("dragn").await, [exact, near], "what was typed comes first");
    assert_eq!(found("dragom").await, [near]);
    assert_eq!(found("documentery").await, [far]);
    assert_eq!(found("\"documentery\"").await, [far], "one word is no phrase");
    assert_eq!(found("documentery dragom").await, [], "all of it has to be there");
    assert_eq!(found("thh").await, [], "short words are meant");
    // No three letters of it are right, and many words begin like it.
    let noir = said(&world, &about("Noir")).await;
    for word in ["nord", "note", "noch", "node", "none", "noon", "norm", "nose"] {
        said(&world, &about(&format!("{word}s {word}ed {word}ing"))).await;
    }
    for typed in ["nior", "noar", "oir5", "noiir"] {
        assert_eq!(found(typed).await.contains(&noir), typed != "oir5", "{typed}");
    }
}

pub(crate) async fn pages_of_hits_follow_each_other_without_gaps(world: World) {
    let mut expected = vec![];
    for round in 0..7 {
        let title = if round % 2 == 0 { about("common word") } else { about("other") };
        let asset = said(&world, &About { description: Some("a common thing".into()), ..title }).await;
        expected.push((if round % 2 == 0 { 32 } else { 8 }, asset));
    }
    expected.sort();
    expected.reverse();
    let (query, filter) = (Query::parse("common"), Filter::default());
    let search = Search { query: &query, is_forgiving: false, filter: &filter, seen_by: None, now: at(9) };
    let (mut seen, mut after) = (vec![], None);
    for _ in 0..expected.len() {
        let page = world.catalog.search(&search, after, 1).await.unwrap();
        after = page.hits.last().copied().map(Side::After);
        seen.extend(page.hits.into_iter().map(|hit| (hit.score, hit.asset)));
    }
    assert_eq!(seen, expected);
    assert!(world.catalog.search(&search, after, 1).await.unwrap().hits.is_empty());
}

pub(crate) async fn somebody_finds_and_counts_what_they_may_see(world: World) {
    let (ada, bob) = (user(&world, Role::Uploader).await, user(&world, Role::User).await);
    let mut assets = vec![];
    for (owner, tag) in [(Some(ada), "Red"), (Some(ada), "red"), (None, "blue"), (Some(bob), "blue")] {
        let new = NewUpload { owner: owner.map(|owner| owner.to_string()), ..world.new_upload(Some(10)) };
        world.catalog.create_upload(&new).await.unwrap();
        let asset = new.target.expect("it has one").asset;
        let about = About { tags: vec![tag.into()], genres: vec!["Drama".into()], ..about("common") };
        world.catalog.set_about(asset, 1, &about, at(1)).await.unwrap();
        assets.push(asset);
    }
    world.catalog.share_asset(assets[0], (bob, Standing::Viewer), "x", at(2)).await.unwrap();
    let query = Query::parse("common");
    let seen = async |name: Option<String>, filter: Filter| {
        let search =
            Search { query: &query, is_forgiving: false, filter: &filter, seen_by: name.as_deref(), now: at(9) };
        let found = world.catalog.search(&search, None, 50).await.unwrap();
        let facets = world.catalog.facets(&search).await.unwrap();
        (found.hits.into_iter().map(|hit| hit.asset).collect::<Vec<_>>(), facets)
    };
    let facet = |of: &str, value: &str, count| Facet { of: of.into(), value: value.into(), count };
    let (hits, facets) = seen(Some(bob.to_string()), Filter::default()).await;
    assert_eq!(hits, [assets[3], assets[0]]);
    assert_eq!(facets, [facet("genre", "Drama", 2), facet("tag", "blue", 1), facet("tag", "Red", 1)]);
    let (hits, facets) = seen(None, Filter::default()).await;
    assert_eq!(hits.len(), 4);
    assert_eq!(facets, [facet("genre", "Drama", 4), facet("tag", "blue", 2), facet("tag", "Red", 2)]);
    let (hits, facets) = seen(None, Filter { tag: Some(label_key("RED")), ..Filter::default() }).await;
    assert_eq!(hits, [assets[1], assets[0]]);
    assert_eq!(facets, [facet("genre", "Drama", 2), facet("tag", "Red", 2)]);
    let (hits, facets) = seen(Some("nobody".into()), Filter::default()).await;
    assert!(hits.is_empty() && facets.is_empty());
}

pub(crate) async fn what_is_said_is_found_with_the_second_at_which_it_is(world: World) {
    let asset = world.processing().await;
    let mut cues: Vec<Cue> = (0..300).map(|at| cue(at, &format!("filler words number {at}"))).collect();
    cues[100] = cue(100, "Le Système est");
    cues[101] = cue(101, "en panne");
    cues[250] = cue(250, "système, encore");
    transcript(&world, asset, "txt_a", &cues).await;
    assert_eq!(hits(&world, "systeme").await, [asset]);
    assert_eq!(found(&world, "systeme", false).await.hits[0].score, 4);
    assert_eq!(hits(&world, "\"est en panne\"").await, [asset], "over the edge of a cue");
    assert_eq!(found(&world, "sysreme", true).await.hits[0].asset, asset, "a slip of the hand in what is said");
    assert_eq!(hits(&world, "title systeme").await, [asset], "one word in the title, one said");
    assert_eq!(hits(&world, "systeme absent").await, []);
    let at_seconds = async |query: &str| {
        let query = Query::parse(query);
        let found = world.catalog.moments_of(asset, &query, None, 100).await.unwrap();
        found.iter().flat_map(|passage| &passage.moments).map(|moment| moment.start_ms / 1000).collect::<Vec<_>>()
    };
    assert_eq!(at_seconds("systeme").await, [100, 250]);
    assert_eq!(at_seconds("\"est en panne\"").await, [100, 101]);
    assert_eq!(at_seconds("panne encore").await, Vec::<i64>::new(), "they are far from each other");
    let every: Vec<i64> = (0..300).filter(|at| ![100, 101, 250].contains(at)).collect();
    assert_eq!(at_seconds("filler").await, every, "each once, though passages overlap");
    let moments = world.catalog.moments(&found(&world, "systeme", false).await).await.unwrap();
    let first = &moments[0];
    assert_eq!((first.source.as_str(), first.language.as_ref().map(Language::tag)), ("txt_a", Some("fr")));
    let parts: Vec<(&str, bool)> = first.parts.iter().map(|part| (part.text.as_str(), part.is_match)).collect();
    assert_eq!(parts, [("Le ", false), ("Système", true), (" est", false)]);
    // Pages of passages, one at a time.
    let (query, mut after, mut seen) = (Query::parse("filler"), None, vec![]);
    for _ in 0..50 {
        let page = world.catalog.moments_of(asset, &query, after, 1).await.unwrap();
        seen.extend(page.iter().flat_map(|passage| &passage.moments).map(|moment| moment.start_ms / 1000));
        let Some(last) = page.last() else { break };
        after = Some(Side::After(last.place));
    }
    assert_eq!(seen, every);
    transcript(&world, asset, "txt_a", &[cue(1, "autre chose")]).await;
    assert_eq!(hits(&world, "systeme").await, [], "what was said before is forgotten");
    assert_eq!(at_seconds("chose").await, [1]);
}

pub(crate) async fn subtitles_of_before_are_asked_for_once(world: World) {
    let ask = async || world.catalog.ask_for_transcripts(10, || world.job_id(), at(9)).await.unwrap();
    let asset = world.processing().await;
    let text = NewText {
        id: TextId::from_u128(1),
        asset,
        language: None,
        name: None,
        charset: None,
        is_forced: false,
        is_default: false,
        is_sdh: false,
        replaces: None,
    };
    world.settle_all_parts(at(2)).await;
    let publish = world.claim(false, at(2)).await.expect("the publication");
    world.catalog.settle_publish(&publish, at(2)).await.unwrap();
    world.catalog.add_text(&text, world.job_id(), at(3)).await.unwrap();
    let job = world.claim(false, at(3)).await.expect("a job");
    let rendition = SubtitleRendition {
        id: text.id.rendition(),
        language: None,
        name: "x".into(),
        is_forced: false,
        is_sdh: false,
        is_default: false,
        timescale: Timescale::MILLISECONDS,
        segments: vec![],
    };
    world.catalog.put_text(&job, text.id, &Report::default(), Some(&rendition), at(4)).await.unwrap();
    world.catalog.settle_texts(&job, at(4)).await.unwrap();
    assert_eq!((ask().await, ask().await), (1, 0));
    let job = world.claim(false, at(9)).await.expect("a job");
    assert_eq!((job.asset, job.spec.kind()), (asset, JobKind::Texts));
    let source = text.id.to_string();
    world.catalog.put_transcript(&job, (&source, None), &[cue(1, "système")], at(9)).await.unwrap();
    assert_eq!(world.catalog.transcript_sources(asset).await.unwrap(), [source]);
    assert_eq!(hits(&world, "systeme").await, [asset]);
    world.catalog.settle_texts(&job, at(9)).await.unwrap();
    world.catalog.remove_text((asset, text.id), None, world.job_id(), at(10)).await.unwrap();
    assert_eq!(hits(&world, "systeme").await, [], "what is taken back says nothing");
}
