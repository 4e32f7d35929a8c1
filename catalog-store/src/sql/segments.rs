//! Statements on `segments`.

use super::{Sql, both, statements};

macro_rules! columns {
    () => {
        "asset_id, generation, rendition, segment_index, ticks, size_bytes, sha256, keyframes"
    };
}

statements! {
    INSERT = both(concat!("insert into segments (", columns!(), ", created_at) \
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
        on conflict (asset_id, generation, rendition, segment_index) do nothing"));
    HASH = both("select sha256 as text from segments \
        where asset_id = $1 and generation = $2 and rendition = $3 and segment_index = $4");
    OF_GENERATION = both(concat!("select ", columns!(), " from segments \
        where asset_id = $1 and generation = $2 order by rendition, segment_index"));
    OF_RENDITION = both(concat!("select ", columns!(), " from segments \
        where asset_id = $1 and generation = $2 and rendition = $3 order by segment_index"));
    LAST_BETWEEN = both("select max(segment_index) as number from segments \
        where asset_id = $1 and generation = $2 and rendition = $3 and segment_index between $4 and $5");
    INDICES_BETWEEN = both("select segment_index as number from segments \
        where asset_id = $1 and generation = $2 and rendition = $3 and segment_index between $4 and $5 \
        order by segment_index");
    /// Of the outputs in force of the assets in `$1`.
    COUNTS_IN_FORCE = Sql {
        sqlite: "select asset_id, rendition, count(*) as number, cast(sum(ticks) as bigint) as ticks from segments \
            where (asset_id, generation) in \
            (select id, generation from assets where id in (select value from json_each($1))) \
            group by asset_id, rendition",
        postgres: "select asset_id, rendition, count(*) as number, cast(sum(ticks) as bigint) as ticks from segments \
            where (asset_id, generation) in (select id, generation from assets where id in \
            (select value from jsonb_array_elements_text(cast($1 as jsonb)))) group by asset_id, rendition",
    };
    COUNTS = both("select asset_id, rendition, count(*) as number, cast(sum(ticks) as bigint) as ticks from segments \
        where asset_id = $1 and generation = $2 group by asset_id, rendition");
    /// The last $3 of each rendition.
    LATEST = both("select rendition, ticks, created_at from (select rendition, ticks, created_at, row_number() over \
        (partition by rendition order by created_at desc, segment_index desc) as place from segments \
        where asset_id = $1 and generation = $2) latest where place <= $3");
}
