//! Statements on `asset_shares`, and what somebody may see by owning it or by a share.

use super::{both, statements};

/// The asset `a` is seen by the name `$2`.
macro_rules! is_seen {
    () => {
        "(a.owner = $2 or a.channel_id is not null or exists (select 1 from asset_shares g where g.asset_id = a.id and g.user_id = $2))"
    };
}

statements! {
    PUT = both("insert into asset_shares (asset_id, user_id, standing, created_at) values ($1, $2, $3, $4) \
        on conflict (asset_id, user_id) do update set standing = excluded.standing");
    REMOVE = both("delete from asset_shares where asset_id = $1 and user_id = $2");
    REMOVE_OF_USER = both("delete from asset_shares where user_id = $1");
    OF_ASSET = both("select user_id, standing, created_at from asset_shares where asset_id = $1 order by user_id");
    COUNT = both("select count(*) as number from asset_shares where asset_id = $1");
    STANDING = both("select case when a.owner = $2 then 'owner' else coalesce((select g.standing from asset_shares g \
        where g.asset_id = a.id and g.user_id = $2), case when a.channel_id is not null then 'viewer' end) end as text \
        from assets a where a.id = $1");
    SEEN_EVENTS = both(concat!("select e.seq, e.at, e.topic, e.asset_id, e.data from events e \
        join assets a on a.id = e.asset_id where e.seq > $1 and ", is_seen!(), " order by e.seq limit $3"));
}
