//! Statements on `collections`, what is in them, and with whom they are shared.

use super::{both, statements};

macro_rules! columns {
    () => {
        "c.id, c.kind, c.title, c.description, c.visibility, c.owner, c.version, c.created_at, c.updated_at"
    };
}

/// The collection `c` is seen by the name `$1`; null sees all.
macro_rules! is_seen {
    () => {
        "(cast($1 as text) is null or c.owner = $1 or c.visibility = 'internal' \
         or exists (select 1 from collection_shares g where g.collection_id = c.id and g.user_id = $1))"
    };
}

/// What the name `$1` sees of collections on one side of `$2`, of kind `$3` and owner `$4`, at most `$5`; null for any.
macro_rules! page {
    ($behind:literal, $direction:literal) => {
        concat!(
            "select ",
            columns!(),
            " from collections c where ",
            is_seen!(),
            " and c.id ",
            $behind,
            " $2 and (cast($3 as text) is null or c.kind = $3) and (cast($4 as text) is null or c.owner = $4) \
             order by c.id ",
            $direction,
            " limit $5"
        )
    };
}

/// What the name `$1` sees of the items on one side of the item `$4`, at most `$5`; null sees all. Where it was taken
/// out, what stood behind it stands at its position `$3`.
macro_rules! items {
    ($behind:literal, $gone:literal, $direction:literal) => {
        concat!(
            "select i.id, i.asset_id, i.season_id, i.position from collection_items i \
             left join assets a on a.id = i.asset_id left join collections c on c.id = i.season_id \
             where i.collection_id = $2 and i.position ",
            $behind,
            " coalesce((select p.position from collection_items p where p.id = $4 and p.collection_id = $2), ",
            $gone,
            ") and case when i.season_id is not null then ",
            is_seen!(),
            " else a.state <> 'deleted' and a.binned_at is null and (cast($1 as text) is null or ",
            crate::sql::shares::may_see!("$1", "$6"),
            ") end order by i.position ",
            $direction,
            ", i.id ",
            $direction,
            " limit $5"
        )
    };
}

statements! {
    INSERT = both("insert into collections (id, kind, title, description, visibility, owner, created_at, updated_at) \
        values ($1, $2, $3, $4, $5, $6, $7, $7)");
    BY_ID = both(concat!("select ", columns!(), " from collections c where c.id = $1"));
    /// Takes the row until commit and counts the change.
    LOCK = both("update collections set version = version + 1, updated_at = $2 where id = $1 \
        returning id, kind, title, description, visibility, owner, version, created_at, updated_at");
    SET = both("update collections set title = $2, description = $3, visibility = $4 where id = $1");
    DELETE = both("delete from collections where id = $1");
    PAGE = both(page!("<", "desc"));
    PAGE_BEFORE = both(page!(">", "asc"));
    STANDING = both("select case when c.owner = $2 then 'owner' else coalesce((select g.standing \
        from collection_shares g where g.collection_id = c.id and g.user_id = $2), \
        case when c.visibility = 'internal' then 'viewer' end) end as text from collections c where c.id = $1");

    COUNT_ITEMS = both("select count(*) as number from collection_items where collection_id = $1");
    INSERT_ITEM = both("insert into collection_items (id, collection_id, asset_id, season_id, position) \
        values ($1, $2, $3, $4, $5) on conflict do nothing");
    ITEM = both("select id, asset_id, season_id, position from collection_items where collection_id = $1 and id = $2");
    /// Makes room at `$2`, or closes it.
    SHIFT_UP = both("update collection_items set position = position + 1 where collection_id = $1 and position >= $2");
    SHIFT_DOWN = both("update collection_items set position = position - 1 where collection_id = $1 and position > $2");
    DELETE_ITEM = both("delete from collection_items where collection_id = $1 and id = $2");
    DELETE_ASSET = both("delete from collection_items where asset_id = $1");
    LAST_POSITION = both("select coalesce(max(position), -1) as number from collection_items where collection_id = $1");
    ITEMS = both(items!(">", "cast($3 as bigint) - 1", "asc"));
    ITEMS_BEFORE = both(items!("<", "$3", "desc"));

    PUT_SHARE = both("insert into collection_shares (collection_id, user_id, standing, created_at) \
        values ($1, $2, $3, $4) on conflict (collection_id, user_id) do update set standing = excluded.standing");
    PUT_NEW_SHARE = both("insert into collection_shares (collection_id, user_id, standing, created_at) \
        values ($1, $2, $3, $4) on conflict (collection_id, user_id) do nothing");
    REMOVE_SHARE = both("delete from collection_shares where collection_id = $1 and user_id = $2");
    REMOVE_SHARES_OF_USER = both("delete from collection_shares where user_id = $1");
    SHARES = both("select user_id, standing, created_at from collection_shares where collection_id = $1 \
        order by user_id");
    COUNT_SHARES = both("select count(*) as number from collection_shares where collection_id = $1");
}
