//! Statements on `asset_shares`, and what somebody may see by owning it or by a share.

use super::{Sql, both, statements};

/// The asset `a` is shown to those who may not change it, at the instant `$now`.
macro_rules! is_shown {
    ($now:literal) => {
        concat!(
            "(a.binned_at is null and a.stage in ('published', 'unlisted') and (a.publish_at is null or a.publish_at <= ",
            $now,
            ") and (a.expire_at is null or a.expire_at > ",
            $now,
            "))"
        )
    };
}
pub(crate) use is_shown;

/// The asset `a` is seen by a name at an instant: it is theirs, they may change it, or it is shown to them.
macro_rules! may_see {
    ($name:literal, $now:literal) => {
        concat!(
            "(a.owner = ",
            $name,
            " or (a.channel_id is not null and a.stage = 'published' and ",
            $crate::sql::shares::is_shown!($now),
            ") \
             or exists (select 1 from asset_shares g where g.asset_id = a.id and g.user_id = ",
            $name,
            " and (g.standing <> 'viewer' or ",
            $crate::sql::shares::is_shown!($now),
            ")))"
        )
    };
}
pub(crate) use may_see;

/// The asset `a` may be changed by a name, without the rights that a role gives.
macro_rules! may_edit {
    ($name:literal) => {
        concat!(
            "(a.owner = ",
            $name,
            " or exists (select 1 from asset_shares g where g.asset_id = a.id and g.user_id = ",
            $name,
            " and g.standing <> 'viewer'))"
        )
    };
}

macro_rules! seen_events {
    ($viewers:literal) => {
        concat!(
            "select e.seq, e.at, e.topic, e.asset_id, e.user_id, e.data from events e \
             left join assets a on a.id = e.asset_id where e.seq > $1 and (e.user_id = $2 or (e.user_id is null and ",
            may_see!("$2", "$4"),
            " and (e.topic in (",
            $viewers,
            ") or ",
            may_edit!("$2"),
            "))) order by e.seq limit $3"
        )
    };
}

statements! {
    PUT = both("insert into asset_shares (asset_id, user_id, standing, created_at) values ($1, $2, $3, $4) \
        on conflict (asset_id, user_id) do update set standing = excluded.standing \
        where asset_shares.standing <> excluded.standing");
    PUT_NEW = both("insert into asset_shares (asset_id, user_id, standing, created_at) values ($1, $2, $3, $4) \
        on conflict (asset_id, user_id) do nothing");
    REMOVE = both("delete from asset_shares where asset_id = $1 and user_id = $2");
    REMOVE_OF_USER = both("delete from asset_shares where user_id = $1");
    REMOVE_OF_ASSET = both("delete from asset_shares where asset_id = $1");
    OF_ASSET = both("select user_id, standing, created_at from asset_shares where asset_id = $1 order by user_id");
    COUNT = both("select count(*) as number from asset_shares where asset_id = $1");
    STANDING = both(concat!("select case when a.owner = $2 then 'owner' when g.standing <> 'viewer' then g.standing \
        when ", is_shown!("$3"), " and (g.standing is not null or a.channel_id is not null) then 'viewer' end as text \
        from assets a left join asset_shares g on g.asset_id = a.id and g.user_id = $2 where a.id = $1"));
    /// What is told to a name; $5 are the topics for everybody who sees an asset, as a list.
    SEEN_EVENTS = Sql {
        sqlite: seen_events!("select value from json_each($5)"),
        postgres: seen_events!("select value from jsonb_array_elements_text(cast($5 as jsonb))"),
    };
}
