//! Statements on `channels`, and on who subscribed to them.

use super::assets::asset_columns;
use super::{Sql, both, statements};

macro_rules! columns {
    () => {
        "c.id, c.handle, c.name, c.description, c.owner, c.version, c.created_at, c.updated_at, \
         (select count(*) from subscriptions s where s.channel_id = c.id) as subscribers"
    };
}

/// The asset `a` is behind `$2` and shown in its channel at `$4`.
macro_rules! in_channels {
    () => {
        concat!(
            "a.id < $2 and a.state <> 'deleted' and a.stage = 'published' and ",
            crate::sql::shares::is_shown!("$4")
        )
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
    PAGE = both(concat!("select ", columns!(), " from channels c where c.id < $1 order by c.id desc limit $2"));
    SUBSCRIBED = both(concat!("select ", columns!(), " from channels c join subscriptions o on o.channel_id = c.id \
        where o.user_id = $1 and c.id < $2 order by c.id desc limit $3"));
    SET_CHANNEL = both("update assets set channel_id = $2 where id = $1");
    SUBSCRIBE = both("insert into subscriptions (user_id, channel_id, created_at) values ($1, $2, $3) \
        on conflict do nothing");
    UNSUBSCRIBE = both("delete from subscriptions where user_id = $1 and channel_id = $2");
    UNSUBSCRIBE_USER = both("delete from subscriptions where user_id = $1");
    COUNT_SUBSCRIPTIONS = both("select count(*) as number from subscriptions where user_id = $1");
    COUNT_OF_OWNER = both("select count(*) as number from channels where owner = $1");
    ASSETS = both(concat!("select ", asset_columns!(), " from assets a where a.channel_id = $1 and ", in_channels!(),
        " order by a.id desc limit $3"));
    /// PostgreSQL would sort all that lies in those channels.
    SUBSCRIBED_ASSETS = Sql {
        sqlite: concat!("select ", asset_columns!(), " from assets a where a.channel_id in \
            (select o.channel_id from subscriptions o where o.user_id = $1) and ", in_channels!(),
            " order by a.id desc limit $3"),
        postgres: concat!("select ", asset_columns!(), " from assets a where a.id in (select n.id from subscriptions o \
            cross join lateral (select a.id from assets a where a.channel_id = o.channel_id and ", in_channels!(),
            " order by a.id desc limit $3) n where o.user_id = $1 order by n.id desc limit $3) order by a.id desc"),
    };
}
