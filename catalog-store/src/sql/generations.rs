//! Statements on `generations`.

use super::{Sql, both, statements};

macro_rules! columns {
    () => {
        "asset_id, generation, plan, images, subtitles, left_out, loudness, pictures_good, pictures_bad, \
         pictures_repeated, is_complete"
    };
}

statements! {
    INSERT = both("insert into generations (asset_id, generation, plan, segments_total, open_jobs, created_at, probe, \
        source_version) values ($1, $2, $3, $4, $5, $6, $7, (select case when a.next_generation = $2 \
        then coalesce(a.next_source_version, a.source_version) else a.source_version end from assets a \
        where a.id = $1)) on conflict (asset_id, generation) do nothing");
    BY_ID = both(concat!("select ", columns!(), " from generations where asset_id = $1 and generation = $2"));
    /// The outputs in force of the assets in `$1`.
    IN_FORCE = Sql {
        sqlite: concat!("select ", columns!(), " from generations where (asset_id, generation) in \
            (select id, generation from assets where id in (select value from json_each($1)))"),
        postgres: concat!("select ", columns!(), " from generations where (asset_id, generation) in \
            (select id, generation from assets where id in \
            (select value from jsonb_array_elements_text(cast($1 as jsonb))))"),
    };
    /// Of the outputs in force of the assets in `$1`.
    IMAGES_OF = Sql {
        sqlite: "select g.asset_id, g.images from assets a join generations g on g.asset_id = a.id \
            and g.generation = a.generation where a.id in (select value from json_each($1)) and g.images is not null",
        postgres: "select g.asset_id, g.images from assets a join generations g on g.asset_id = a.id \
            and g.generation = a.generation where a.id in (select value from \
            jsonb_array_elements_text(cast($1 as jsonb))) and g.images is not null",
    };
    CLOSE_JOB = both("update generations set open_jobs = open_jobs - 1 \
        where asset_id = $1 and generation = $2 and open_jobs > 0 returning open_jobs as number");
    SET_IMAGES = both("update generations set images = $3 where asset_id = $1 and generation = $2");
    SET_SUBTITLES = both("update generations set subtitles = $3 where asset_id = $1 and generation = $2");
    SET_LEFT_OUT = both("update generations set left_out = $3 where asset_id = $1 and generation = $2");
    ADD_TALLY = both("update generations set pictures_good = pictures_good + $3, pictures_bad = pictures_bad + $4, \
        pictures_repeated = pictures_repeated + $5 where asset_id = $1 and generation = $2");
    SET_LOUDNESS = both("update generations set loudness = $3 where asset_id = $1 and generation = $2");
    /// Touches the row only when the last progress event is old enough ($4) for another one at $3.
    MARK_PROGRESS = both("update generations set progress_at = $3 \
        where asset_id = $1 and generation = $2 and progress_at <= $4");
    PLAN = both("select plan as text from generations where asset_id = $1 and generation = $2");
    EDITION = both("select g.revision, g.is_complete, a.wishes from generations g join assets a on a.id = g.asset_id \
        where g.asset_id = $1 and g.generation = $2");
    TAKE_REVISION = both("update generations set revision_taken = revision_taken + 1 \
        where asset_id = $1 and generation = $2 returning revision_taken as number");
    /// The next number is higher than $1, and than all that were given.
    RENUMBER = both("update generations set revision_taken = case when revision_taken < $1 then $1 \
        else revision_taken + 1 end");
    /// Only if what was in force ($3) still is, and nobody wished for anything since ($6).
    PUT_IN_FORCE = both("update generations set revision = $4, is_complete = $5 \
        where asset_id = $1 and generation = $2 and revision = $3 and $4 > $3 \
        and exists (select 1 from assets a where a.id = $1 and a.wishes = $6)");
    PROBE = both("select probe as text from generations where asset_id = $1 and generation = $2 \
        and probe is not null");
    OF_ASSET = both("select generation, revision, is_complete, replaced_at from generations \
        where asset_id = $1 order by generation");
    /// That a source which is kept has it.
    IS_KEPT = both("select count(*) as number from asset_versions where asset_id = $1 and generation = $2 \
        and state = 'ready'");
    SET_REPLACED = both("update generations set replaced_at = $3 \
        where asset_id = $1 and generation = $2 and replaced_at is null");
    DELETE = both("delete from generations where asset_id = $1 and generation = $2");
    DELETE_OF_ASSET = both("delete from generations where asset_id = $1");
}
