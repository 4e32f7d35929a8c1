//! Statements on `upload_grants`.

use super::{both, statements};

macro_rules! columns {
    () => {
        "id, owner, bytes_max, duration_s_max, types, origin, uses_left, expires_at, revoked_at, created_at, asset_id, \
         is_document, key_id"
    };
}

/// Those on one side of the one that was given at `$1` and has the id `$2`, at most `$3`.
macro_rules! page {
    ($owned:literal, $behind:literal, $direction:literal) => {
        concat!(
            "select ",
            columns!(),
            " from upload_grants where ",
            $owned,
            "(created_at ",
            $behind,
            " $1 or (created_at = $1 and id ",
            $behind,
            " $2)) order by created_at ",
            $direction,
            ", id ",
            $direction,
            " limit $3"
        )
    };
}

statements! {
    INSERT = both(concat!("insert into upload_grants (", columns!(), ") \
        values ($1, $2, $3, $4, $5, $6, $7, $8, null, $9, $10, $11, $12)"));
    BY_ID = both(concat!("select ", columns!(), " from upload_grants where id = $1"));
    PAGE = both(page!("", "<", "desc"));
    PAGE_BEFORE = both(page!("", ">", "asc"));
    PAGE_OF_OWNER = both(page!("owner = $4 and ", "<", "desc"));
    PAGE_OF_OWNER_BEFORE = both(page!("owner = $4 and ", ">", "asc"));
    /// One use less, if it can be used at all.
    USE = both("update upload_grants set uses_left = uses_left - 1 \
        where id = $1 and uses_left > 0 and revoked_at is null and expires_at > $2");
    REVOKE = both("update upload_grants set revoked_at = $2 where id = $1 and revoked_at is null");
    /// Parts that no use was spent on yet: nothing took them, or what did may still take more of them.
    PARTS = both("select count(*) as count, cast(coalesce(sum(coalesce(u.length_bytes, u.offset_bytes)), 0) as bigint) \
        as bytes from uploads u where u.grant_id = $1 and u.kind = 'partial' and u.state in ('open', 'complete') \
        and (u.taken_by is null or exists (select 1 from uploads w where w.id = u.taken_by \
        and w.state = 'open' and w.length_bytes is null))");
    /// Uses that were spent on uploads whose parts still grow.
    WAITING = both("select count(*) as number from uploads where grant_id = $1 and kind = 'final' \
        and state = 'open' and length_bytes is null");
    PRUNE = both("delete from upload_grants where expires_at < $1");
}
