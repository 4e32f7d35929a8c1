//! What was searched for before is found as the catalogue stands, whatever changed and whoever changed it.

use catalog_store::{Filter, Hit, Search};
use domain::search::Query;
use domain::{About, AssetId};
use tokio::task::JoinSet;

use crate::about::about;
use crate::harness::{World, at};

/// Few enough that each is found in many.
const WORDS: [&str; 6] = ["amber", "birch", "cedar", "dune", "ember", "fjord"];
const QUERIES: [&str; 9] =
    ["amber", "birch", "cedar", "dune", "amber ember", "fjord -amber", "\"birch cedar\"", "emb*", "nowhere"];
const WRITERS: u64 = 6;

/// Numbers that look random and are the same in each run.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % below
    }

    fn about(&mut self) -> About {
        let words =
            |dice: &mut Self, count: usize| (0..count).map(|_| WORDS[dice.throw(6)]).collect::<Vec<_>>().join(" ");
        About { description: Some(words(self, 4)), ..about(&words(self, 2)) }
    }
}

async fn hits(world: &World, query: &str) -> Vec<Hit> {
    let (query, filter) = (Query::parse(query), Filter::default());
    let search = Search { query: &query, is_forgiving: false, filter: &filter, seen_by: None, now: at(9) };
    world.catalog.search(&search, None, 50).await.unwrap().hits
}

/// Each query finds what a process finds that never searched before.
async fn assert_is_as_new(world: &World, when: &str) {
    let new = world.another_process().await;
    for query in QUERIES {
        assert_eq!(hits(world, query).await, hits(&new, query).await, "{query} {when}");
    }
    new.catalog.close().await;
}

async fn described(world: &World, about: &About) -> AssetId {
    let asset = world.received().await;
    world.catalog.set_about(asset, 1, about, at(1)).await.unwrap();
    asset
}

pub(crate) async fn what_was_searched_for_is_found_as_it_stands(world: World) {
    let (mut dice, other) = (Dice(7), world.another_process().await);
    let mut assets: Vec<(AssetId, u64)> = Vec::new();
    for step in 0..30 {
        match dice.throw(4) {
            // The one that was changed last goes, too.
            0 if assets.len() > 3 => {
                let at_ = if dice.throw(2) == 0 { assets.len() - 1 } else { dice.throw(assets.len()) };
                let (asset, _) = assets.remove(at_);
                other.catalog.delete_asset(asset, other.job_id(), at(2)).await.unwrap();
            }
            1 if !assets.is_empty() => {
                let at_ = dice.throw(assets.len());
                let (asset, version) = &mut assets[at_];
                *version = other.catalog.set_about(*asset, *version, &dice.about(), at(2)).await.unwrap();
            }
            _ => assets.push((described(&other, &dice.about()).await, 2)),
        }
        assert_is_as_new(&world, &format!("after step {step}")).await;
    }
    assert!(!hits(&world, "amber").await.is_empty(), "otherwise nothing is shown");
    // More at once than is looked for one by one on SQLite.
    for _ in 0..70 {
        described(&other, &dice.about()).await;
    }
    assert_is_as_new(&world, "after many changes").await;
    other.catalog.close().await;
}

pub(crate) async fn what_is_written_while_somebody_searches_is_missed_by_no_later_search(world: World) {
    let mut assets = Vec::new();
    for _ in 0..WRITERS {
        assets.push(described(&world, &about("amber")).await);
    }
    let mut writers = JoinSet::new();
    for (seed, asset) in (1..=WRITERS).zip(assets) {
        let other = world.another_process().await;
        writers.spawn(async move {
            let (mut dice, mut version) = (Dice(seed), 2);
            for _ in 0..15 {
                version = other.catalog.set_about(asset, version, &dice.about(), at(2)).await.unwrap();
            }
            other.catalog.close().await;
        });
    }
    // Ends with the writers, which write 15 times each.
    while !writers.is_empty() {
        for query in QUERIES {
            hits(&world, query).await;
        }
        while let Some(done) = writers.try_join_next() {
            done.unwrap();
        }
    }
    assert_is_as_new(&world, "after all were written").await;
}

pub(crate) async fn a_server_that_got_ready_finds_what_others_find(world: World) {
    world.catalog.warm(at(9)).await.expect("an empty catalogue is ready");
    let mut dice = Dice(3);
    for _ in 0..20 {
        described(&world, &dice.about()).await;
    }
    world.tamper("analyze").await;
    let ready = world.another_process().await;
    ready.catalog.warm(at(9)).await.expect("it is ready");
    for query in QUERIES {
        assert_eq!(hits(&ready, query).await, hits(&world, query).await, "{query}");
    }
    ready.catalog.close().await;
    if !world.url.starts_with("sqlite") {
        let ready = world.another_process().await;
        ready.catalog.warm(at(9)).await.expect("it is ready");
        // What was read before needs nothing that is not changed; what was not is gone.
        world.tamper("update search_passages set words = ''").await;
        assert!(!hits(&ready, "amber").await.is_empty(), "a word that is in most passages was not read");
        assert!(hits(&ready, "emb*").await.is_empty(), "otherwise nothing is shown");
        ready.catalog.close().await;
    }
}
