//! How long a search over a seeded catalogue takes, on SQLite or PostgreSQL.
//!
//! ```text
//! cargo bench -p benches --bench search -- [--assets 100000] [--rounds 40] [--url postgres://...]
//! ```
//! Without an address it makes a SQLite database in a scratch folder. The database of an address should be empty; one
//! that holds as many assets as are asked for is taken as it is.

#![expect(clippy::print_stdout, reason = "a bench reports to its terminal")]

use std::time::{Duration, Instant};

use anyhow::Context;
use benches::options::Options;
use benches::words::{Dice, QUERIES, about};
use catalog_store::{Catalog, Described, Filter, Search};
use domain::search::Query;
use domain::{AssetId, PlaybackId, Timestamp};

/// Assets that are written at once.
const BATCH: usize = 500;
/// What a search should take at most in 95 of 100 cases.
const AIM: Duration = Duration::from_millis(50);

fn main() -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run())
}

async fn run() -> anyhow::Result<()> {
    let options = Options::read(std::env::args().skip(1), &["assets", "rounds", "url"])?;
    let number = |name: &str, usual: usize| options.named(name).map_or(Ok(usual), str::parse).context("a number");
    let (assets, rounds) = (number("assets", 100_000)?, number("rounds", 40)?);
    let folder = tempfile::tempdir().context("cannot make a scratch folder")?;
    let file = format!("sqlite://{}", folder.path().join("catalog.db").display());
    let catalog = Catalog::open(options.named("url").unwrap_or(&file)).await?;
    catalog.migrate().await?;
    seed(&catalog, assets).await?;
    println!("{:<34}{:>9}{:>9}{:>9}{:>8}", "ms over so many assets", "median", "p95", "worst", "hits");
    let mut all = Vec::new();
    for (what, make) in QUERIES {
        let (mut times, mut hits) = (Vec::new(), 0);
        let mut dice = Dice::new(77);
        for _ in 0..rounds {
            let text = make(&mut dice);
            let begun = Instant::now();
            hits += once(&catalog, &text).await?;
            times.push(begun.elapsed());
        }
        all.extend(times.iter().copied());
        report(what, times, hits / rounds.max(1));
    }
    let p95 = report("all", all, 0);
    let verdict = if p95 <= AIM { "met" } else { "missed" };
    println!("\n{} assets, aim {} ms: {verdict}", assets, AIM.as_millis());
    catalog.close().await;
    Ok(())
}

/// What the first page of a search asks of the catalogue; how many hits it has.
async fn once(catalog: &Catalog, text: &str) -> anyhow::Result<usize> {
    let (query, filter) = (Query::parse(text), Filter::default());
    let search = Search {
        query: &query,
        is_forgiving: false,
        filter: &filter,
        seen_by: None,
        now: Timestamp::from_unix_ms(1_800_000_000_000),
    };
    let mut found = catalog.search(&search, None, 21).await?;
    if found.hits.len() < 3 {
        found = catalog.search(&Search { is_forgiving: true, ..search }, None, 21).await?;
    }
    let ids: Vec<AssetId> = found.hits.iter().map(|hit| hit.asset).collect();
    catalog.posters(&ids).await?;
    catalog.moments(&found).await?;
    Ok(ids.len())
}

async fn seed(catalog: &Catalog, assets: usize) -> anyhow::Result<()> {
    let last = AssetId::from_u128(u128::try_from(assets)?);
    if catalog.asset(last).await?.is_some() {
        return Ok(());
    }
    let (begun, mut dice) = (Instant::now(), Dice::new(1));
    let ids: Vec<u128> = (1..=u128::try_from(assets)?).collect();
    for some in ids.chunks(BATCH) {
        let described: Vec<Described> = some
            .iter()
            .map(|id| Described {
                asset: AssetId::from_u128(*id),
                playback: PlaybackId::from_u128(*id),
                about: about(&mut dice),
                owner: None,
                channel: None,
            })
            .collect();
        catalog.import_described(&described, Timestamp::from_unix_ms(1_800_000_000_000)).await?;
    }
    println!("seeded {assets} assets in {:.1} s\n", begun.elapsed().as_secs_f64());
    Ok(())
}

/// Prints a line; the 95th percentile.
fn report(what: &str, mut times: Vec<Duration>, hits: usize) -> Duration {
    times.sort();
    let at = |share: usize| {
        times.get((times.len() * share / 100).min(times.len().saturating_sub(1))).copied().unwrap_or_default()
    };
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    println!("{what:<34}{:>9.1}{:>9.1}{:>9.1}{hits:>8}", ms(at(50)), ms(at(95)), ms(at(100)));
    at(95)
}
