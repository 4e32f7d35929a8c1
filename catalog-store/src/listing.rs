//! Pages of assets by what people say of them, in several orders.

use std::collections::HashMap;

use domain::presentation::Images;
use domain::{AssetId, AssetKind, AssetState, Timestamp};

use crate::assets::{AssetRow, PAGE_ASSETS_MAX};
use crate::engine::{Arg, args, document, json as text, parsed};
use crate::search::index::{kind_column, title_key};
use crate::sql::{self, Sql};
use crate::{Asset, Catalog, CatalogError, Side};

/// Sorts behind every text that is a key.
const LAST: &str = "\u{10ffff}";

/// Which assets; `None` for any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// What they consist of.
    pub kind: Option<AssetKind>,
    /// A tag, as [`domain::about::label_key`] gives it.
    pub tag: Option<String>,
    /// A genre, likewise.
    pub genre: Option<String>,
    /// A language, by its tag.
    pub language: Option<String>,
    /// Where they stand.
    pub state: Option<AssetState>,
    /// The principal they belong to.
    pub owner: Option<String>,
    /// The first day on which they may have come out, as `YYYY-MM-DD`.
    pub released_from: Option<String>,
    /// The last one.
    pub released_to: Option<String>,
}

impl Filter {
    /// The arguments `$3` to `$11` of what is listed or searched, for the name that looks.
    pub(crate) fn args(&self, seen_by: Option<&str>) -> Vec<Arg> {
        args![
            seen_by.map(str::to_owned),
            kind_column(self.kind),
            self.tag.clone(),
            self.genre.clone(),
            self.language.clone(),
            self.state.map(|state| state.as_str().to_owned()),
            self.owner.clone(),
            self.released_from.clone(),
            self.released_to.clone(),
        ]
    }
}

/// In which order. Of equals, and where nothing is said, the order of birth decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The oldest first.
    Oldest,
    /// The newest first.
    #[default]
    Newest,
    /// What came out first; before it what has no day.
    FirstReleased,
    /// What came out last.
    LastReleased,
    /// By title, or the name of the file where there is none, from A to Z.
    Title,
    /// By title, from Z to A.
    TitleBackwards,
}

impl Order {
    /// The key by which an asset is sorted.
    pub fn key(self, asset: &Asset) -> String {
        match self {
            Self::Oldest | Self::Newest => String::new(),
            Self::FirstReleased | Self::LastReleased => {
                asset.about.released_on.map(|day| day.to_string()).unwrap_or_default()
            }
            Self::Title | Self::TitleBackwards => title_key(asset.title.as_deref(), asset.file_name.as_deref()),
        }
    }

    /// The same order from its end.
    fn backwards(self) -> Self {
        match self {
            Self::Oldest => Self::Newest,
            Self::Newest => Self::Oldest,
            Self::FirstReleased => Self::LastReleased,
            Self::LastReleased => Self::FirstReleased,
            Self::Title => Self::TitleBackwards,
            Self::TitleBackwards => Self::Title,
        }
    }

    /// The statement that looks where `start` says; `is_all` if nothing else is asked for. PostgreSQL plans what it need
    /// not think about once, and not for every page.
    fn sql(self, start: &Start<'_>, is_all: bool) -> Sql {
        use sql::assets as by;
        let [all, seen, owned, labelled] = match (self, is_all) {
            (Self::Oldest, true) => [by::OLDEST_OF_ALL, by::OLDEST_OF_SEEN, by::OLDEST_OF_OWNER, by::OLDEST_OF_LABEL],
            (Self::Newest, true) => [by::NEWEST_OF_ALL, by::NEWEST_OF_SEEN, by::NEWEST_OF_OWNER, by::NEWEST_OF_LABEL],
            (Self::Oldest, false) => [by::OLDEST_LISTED, by::OLDEST_SEEN, by::OLDEST_OWNED, by::OLDEST_LABELLED],
            (Self::Newest, false) => [by::NEWEST_LISTED, by::NEWEST_SEEN, by::NEWEST_OWNED, by::NEWEST_LABELLED],
            (Self::FirstReleased, _) => {
                [by::FIRST_RELEASED, by::FIRST_RELEASED, by::FIRST_RELEASED_OWNED, by::FIRST_RELEASED_LABELLED]
            }
            (Self::LastReleased, _) => {
                [by::LAST_RELEASED, by::LAST_RELEASED, by::LAST_RELEASED_OWNED, by::LAST_RELEASED_LABELLED]
            }
            (Self::Title, _) => [by::FIRST_TITLED, by::FIRST_TITLED, by::FIRST_TITLED_OWNED, by::FIRST_TITLED_LABELLED],
            (Self::TitleBackwards, _) => {
                [by::LAST_TITLED, by::LAST_TITLED, by::LAST_TITLED_OWNED, by::LAST_TITLED_LABELLED]
            }
        };
        match start {
            Start::All => all,
            Start::Seen => seen,
            Start::Owned => owned,
            Start::Labelled(..) => labelled,
        }
    }

    fn begins(self) -> (String, String) {
        match self {
            Self::Oldest | Self::FirstReleased | Self::Title => (String::new(), String::new()),
            Self::Newest | Self::LastReleased | Self::TitleBackwards => (LAST.to_owned(), LAST.to_owned()),
        }
    }
}

/// Where a page begins to look, so that a page of few among many is not found by reading all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start<'a> {
    All,
    /// What somebody sees who does not see all.
    Seen,
    Owned,
    /// The kind of a label, and its key.
    Labelled(&'static str, &'a str),
}

impl<'a> Start<'a> {
    fn of(filter: &'a Filter, seen_by: Option<&str>) -> Self {
        if filter.owner.is_some() {
            return Self::Owned;
        }
        // Tags are the rarest.
        let labels = [("tag", &filter.tag), ("genre", &filter.genre), ("language", &filter.language)];
        let label = labels.into_iter().find_map(|(kind, key)| Some(Self::Labelled(kind, key.as_deref()?)));
        label.unwrap_or(if seen_by.is_some() { Self::Seen } else { Self::All })
    }

    /// Whether nothing else is asked for.
    fn is_all_of(&self, filter: &Filter) -> bool {
        let mut rest = filter.clone();
        match self {
            Self::All | Self::Seen => {}
            Self::Owned => rest.owner = None,
            Self::Labelled("tag", _) => rest.tag = None,
            Self::Labelled("genre", _) => rest.genre = None,
            Self::Labelled(..) => rest.language = None,
        }
        rest == Filter::default()
    }
}

impl Catalog {
    /// At most `limit` (and [`PAGE_ASSETS_MAX`] + 1) assets on one side of a place, which is the key of an asset in
    /// this order and its id, without deleted ones; of those that the name `seen_by` sees, if one is given.
    pub async fn list_assets(
        &self,
        filter: &Filter,
        order: Order,
        seen_by: Option<&str>,
        side: Option<Side<(String, AssetId)>>,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<Asset>, CatalogError> {
        let side = side.map(|side| side.read(|(key, id)| Ok::<_, CatalogError>((key, id.to_string())))).transpose()?;
        let ((key, id), way) = Side::or_first(side, order.begins());
        let mut args = args![key, id];
        args.extend(filter.args(seen_by));
        args.extend(args![limit.min(PAGE_ASSETS_MAX + 1), now]);
        let start = Start::of(filter, seen_by);
        if let Start::Labelled(kind, key) = start {
            args.extend(args![kind, key]);
        }
        let is_all = start.is_all_of(filter);
        let statements = [order, order.backwards()].map(|order| order.sql(&start, is_all));
        let rows: Vec<AssetRow> = self.page(way, statements, args).await?;
        rows.into_iter().map(Asset::try_from).collect()
    }

    /// The files of the posters of these assets, as far as there are any.
    pub async fn posters(&self, ids: &[AssetId]) -> Result<HashMap<AssetId, String>, CatalogError> {
        let names: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let rows: Vec<ImagesRow> = self.rows(sql::generations::IMAGES_OF, args![text("assets.id", &names)?]).await?;
        let poster = |row: ImagesRow| {
            let images: Images = document("generations.images", &row.images)?;
            Ok((parsed("assets.id", &row.asset_id)?, images.poster))
        };
        rows.into_iter().map(poster).collect()
    }

    /// Those of these assets that there are, in their order.
    pub async fn assets_by_id(&self, ids: &[AssetId]) -> Result<Vec<Asset>, CatalogError> {
        let names: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let rows: Vec<AssetRow> = self.rows(sql::assets::BY_IDS, args![text("assets.id", &names)?]).await?;
        let mut assets = rows.into_iter().map(Asset::try_from).collect::<Result<Vec<_>, _>>()?;
        assets.sort_by_key(|asset| ids.iter().position(|id| *id == asset.id));
        Ok(assets)
    }
}

#[derive(sqlx::FromRow)]
struct ImagesRow {
    asset_id: String,
    images: String,
}
