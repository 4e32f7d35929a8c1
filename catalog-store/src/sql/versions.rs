//! Statements on `asset_versions`, and on what else knows of sources.

use super::{both, statements};

macro_rules! columns {
    () => {
        "v.asset_id, v.source_version, v.upload_id, u.file_name, u.owner, u.offset_bytes, v.state, v.size_bytes, \
         v.duration_ms, v.generation, v.failure, v.created_at, v.shown_at, v.needs_review \
         from asset_versions v left join uploads u on u.id = v.upload_id"
    };
}

statements! {
    OF_ASSET = both(concat!("select ", columns!(), " where v.asset_id = $1 order by v.source_version desc"));
    BY_NUMBER = both(concat!("select ", columns!(), " where v.asset_id = $1 and v.source_version = $2"));
    /// The one that goes with an output.
    OF_GENERATION = both(concat!("select ", columns!(), " where v.asset_id = $1 and v.generation = $2 \
        and v.state in ('failed', 'removing')"));
    /// The only one that an asset had so far, told by what the asset knows: it was looked at if it may be shown.
    INSERT_FIRST = both("insert into asset_versions (asset_id, source_version, upload_id, state, size_bytes, \
        duration_ms, generation, created_at, shown_at, needs_review) \
        select a.id, a.source_version, (select max(u.id) from uploads u \
        where u.asset_id = a.id and u.source_version = a.source_version and u.kind <> 'partial'), 'ready', \
        a.size_bytes, $2, a.generation, a.created_at, a.created_at, \
        case when a.stage in ('draft', 'submitted', 'rejected') then 1 else 0 end from assets a where a.id = $1 \
        on conflict do nothing");
    INSERT = both("insert into asset_versions (asset_id, source_version, upload_id, state, created_at, \
        needs_review) values ($1, $2, $3, 'uploading', $4, $5)");
    /// The next number, not below $2.
    TAKE = both("update assets set source_version_taken = case when source_version_taken + 1 < $2 then $2 \
        else source_version_taken + 1 end where id = $1 returning source_version_taken as number");
    UNDER_WAY = both("select count(*) as number from asset_versions where asset_id = $1 \
        and state in ('uploading', 'processing')");
    /// What came to nothing is told until the next one is begun.
    FORGET_FAILED = both("delete from asset_versions where asset_id = $1 and state = 'failed' and not exists \
        (select 1 from jobs j where j.asset_id = $1 and j.kind = 'retire' and j.generation = asset_versions.generation \
        and j.state in ('queued', 'running'))");
    RECEIVED = both("update asset_versions set state = 'processing', size_bytes = $3 \
        where asset_id = $1 and source_version = $2");
    /// It is the source in force, by this output.
    SHOWN = both("update asset_versions set state = 'ready', generation = $3, duration_ms = coalesce($4, duration_ms), \
        shown_at = $5 where asset_id = $1 and source_version = $2");
    /// Somebody looked at the source in force, or would not have it.
    SET_NEEDS_REVIEW = both("update asset_versions set needs_review = $2 where asset_id = $1 and source_version = \
        (select a.source_version from assets a where a.id = $1)");
    FAILED = both("update asset_versions set state = 'failed', generation = $3, failure = $4 \
        where asset_id = $1 and source_version = $2");
    REMOVING = both("update asset_versions set state = 'removing' where asset_id = $1 and source_version = $2");
    DELETE = both("delete from asset_versions where asset_id = $1 and source_version = $2");
    DELETE_REMOVED = both("delete from asset_versions where asset_id = $1 and source_version = $2 \
        and state = 'removing'");
    DELETE_OF_ASSET = both("delete from asset_versions where asset_id = $1");
    /// What brought it counts for nobody any more.
    DELETE_UPLOAD = both("delete from uploads where asset_id = $1 and source_version = $2 and state <> 'open'");
    /// Assets that keep more than so many.
    SURPLUS = both("select asset_id as text from asset_versions where state = 'ready' group by asset_id \
        having count(*) > $1 order by asset_id limit $2");
    SET_NEXT = both("update assets set next_source_version = $2 where id = $1");
    /// Another source is in force.
    TAKE_PLACE = both("update assets set source_version = $2, size_bytes = $3, \
        file_name = $4, title = $5, kind = $6, probe = $7 where id = $1");
    /// An earlier output is in force again.
    TURN = both("update assets set generation = $2, turn = turn + 1, wishes = wishes + 1 where id = $1");
    UNREPLACED = both("update generations set replaced_at = null where asset_id = $1 and generation = $2");
    /// What was found in a source stays with its output when another source is in force.
    KEEP_PROBE = both("update generations set probe = (select a.probe from assets a where a.id = $1) \
        where asset_id = $1 and generation = $2 and probe is null");
    /// Of what an output is made, also one that is not planned yet; of what is in force for no output ($2 = 0).
    SOURCE_OF = both("select coalesce((select g.source_version from generations g where g.asset_id = a.id \
        and g.generation = $2), case when a.next_generation = $2 then a.next_source_version end, a.source_version) \
        as number from assets a where a.id = $1");
    TERMS = both("select terms as text from uploads where asset_id = $1 and source_version = $2 and kind <> 'partial' \
        order by id desc limit 1");
}
