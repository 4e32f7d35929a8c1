//! Statements on `channels`, and on who subscribed to them.

use super::assets::asset_columns;
use super::{Sql, both, statements};

macro_rules! columns {
    () => {
        "c.id, c.handle, c.name, c.description, c.owner, c.version, c.created_at, c.updated_at, \
         (select count(*) from subscriptions s where s.channel_id = c.id) as subscribers"
    };
}

/// Channels on one side of `$1`, at most `$2`.
macro_rules! page {
    ($behind:literal, $direction:literal) => {
        concat!(
            "select ",
            columns!(),
            " from channels c where c.id ",
            $behind,
            " $1 order by c.id ",
            $direction,
            " limit $2"
        )
    };
}

/// Those that the account `$1` follows, on one side of `$2`, at most `$3`.
macro_rules! subscribed {
    ($behind:literal, $direction:literal) => {
        concat!(
            "select ",
            columns!(),
            " from channels c join subscriptions o on o.channel_id = c.id where o.user_id = $1 and c.id ",
            $behind,
            " $2 order by c.id ",
            $direction,
            " limit $3"
        )
    };
}

/// The asset `a` is on one side of `$2` and shown in its channel at `$4`.
macro_rules! in_channels {
    ($behind:literal) => {
        concat!(
            "a.id ",
            $behind,
            " $2 and a.state <> 'deleted' and a.stage = 'published' and ",
            crate::sql::shares::is_shown!("$4")
        )
    };
}

/// At most `$3` of them, in channels that `$which`.
macro_rules! assets {
    ($which:literal, $behind:literal, $direction:literal) => {
        concat!(
            "select ",
            asset_columns!(),
            " from assets a where a.channel_id ",
            $which,
            " and ",
            in_channels!($behind),
            " order by a.id ",
            $direction,
            " limit $3"
        )
    };
}

/// Those of all channels that the account `$1` follows. PostgreSQL would sort all that lies in them.
macro_rules! subscribed_assets {
    ($behind:literal, $direction:literal) => {
        Sql {
            sqlite: assets!("in (select o.channel_id from subscriptions o where o.user_id = $1)", $behind, $direction),
            postgres: concat!(
                "select ",
                asset_columns!(),
                " from assets a where a.id in (select n.id from subscriptions o \
                 cross join lateral (select a.id from assets a where a.channel_id = o.channel_id and ",
                in_channels!($behind),
                " order by a.id ",
                $direction,
                " limit $3) n where o.user_id = $1 order by n.id ",
                $direction,
                " limit $3) order by a.id ",
                $direction
            ),
        }
    };
}

statements! {
    INSERT = both("insert into channels (id, handle, name, description, owner, created_at, updated_at) \
        values ($1, $2, $3, $4, $5, $6, $6) on conflict do nothing");
    BY_ID = both(concat!("select ", columns!(), " from channels c where c.id = $1"));
    BY_HANDLE = both(concat!("select ", columns!(), " from channels c where c.handle = $1"));
    /// Takes the row until commit and counts the change.
    LOCK = both("update channels set version = version + 1, updated_at = $2 where id = $1 returning version as number");
    SET = both("update channels set name = $2, description = $3 where id = $1");
    DELETE = both("delete from channels where id = $1");
    PAGE = both(page!("<", "desc"));
    PAGE_BEFORE = both(page!(">", "asc"));
    SUBSCRIBED = both(subscribed!("<", "desc"));
    SUBSCRIBED_BEFORE = both(subscribed!(">", "asc"));
    SET_CHANNEL = both("update assets set channel_id = $2 where id = $1");
    SUBSCRIBE = both("insert into subscriptions (user_id, channel_id, created_at) values ($1, $2, $3) \
        on conflict do nothing");
    UNSUBSCRIBE = both("delete from subscriptions where user_id = $1 and channel_id = $2");
    UNSUBSCRIBE_USER = both("delete from subscriptions where user_id = $1");
    COUNT_SUBSCRIPTIONS = both("select count(*) as number from subscriptions where user_id = $1");
    COUNT_OF_OWNER = both("select count(*) as number from channels where owner = $1");
    ASSETS = both(assets!("= $1", "<", "desc"));
    ASSETS_BEFORE = both(assets!("= $1", ">", "asc"));
    SUBSCRIBED_ASSETS = subscribed_assets!("<", "desc");
    SUBSCRIBED_ASSETS_BEFORE = subscribed_assets!(">", "asc");
}
