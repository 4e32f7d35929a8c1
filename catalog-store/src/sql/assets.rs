//! Statements on `assets`, and those that look for rows that should not be.

use super::{Sql, both, statements};

macro_rules! asset_columns {
    () => {
        "id, playback_id, state, file_name, title, size_bytes, probe, generation, failure, is_playable, chapters, \
         markers, next_generation, generation_taken, source_version, next_source_version, source_version_taken, turn, \
         reprocess_failure, spare_job, owner, about, about_version, kind, \
         channel_id, binned_at, bin_until, publish_at, expire_at, stage, \
         stage_note, poster, access, version, created_at, updated_at, \
         (select people.avatar from users people where people.id = owner) as owner_avatar"
    };
}
pub(crate) use asset_columns;

/// The asset `a` is there.
macro_rules! is_there {
    () => {
        "a.state <> 'deleted' and a.binned_at is null"
    };
}
pub(crate) use is_there;

/// The same where `$4` to `$11` are not asked about; they stand here because PostgreSQL wants to know their types.
macro_rules! is_any {
    () => {
        concat!($crate::sql::assets::is_there!(), " and coalesce($4, $5, $6, $7, $8, $9, $10, $11, '') is not null")
    };
}
pub(crate) use is_any;

/// The asset `a` is there, and it is what is asked for: kind `$4`, tag `$5`, genre `$6`, language `$7`, state `$8`, owner
/// `$9`, released from `$10` to `$11`; null for any.
macro_rules! is_asked {
    () => {
        concat!(
            $crate::sql::assets::is_there!(),
            " and (cast($4 as text) is null or a.kind = $4) \
             and (cast($5 as text) is null or exists (select 1 from asset_labels l \
                where l.asset_id = a.id and l.kind = 'tag' and l.label_key = $5)) \
             and (cast($6 as text) is null or exists (select 1 from asset_labels l \
                where l.asset_id = a.id and l.kind = 'genre' and l.label_key = $6)) \
             and (cast($7 as text) is null or exists (select 1 from asset_labels l \
                where l.asset_id = a.id and l.kind = 'language' and l.label_key = $7)) \
             and (cast($8 as text) is null or a.state = $8) \
             and (cast($9 as text) is null or a.owner = $9) \
             and (cast($10 as text) is null or a.released_on >= $10) \
             and (cast($11 as text) is null or (a.released_on <= $11 and a.released_on <> ''))"
        )
    };
}
pub(crate) use is_asked;

/// The same, or what else is asked for, and the name `$3` may see it (null sees all). The present is `$now`.
macro_rules! is_listed {
    ($now:literal) => {
        $crate::sql::assets::is_listed!($crate::sql::assets::is_asked!(), $now)
    };
    ($asked:expr, $now:literal) => {
        concat!($asked, " and (cast($3 as text) is null or ", $crate::sql::shares::may_see!("$3", $now), ")")
    };
}
pub(crate) use is_listed;

/// Where a page begins to look: at all assets, at those of one owner, at those with one label (`$14` its kind, `$15` its
/// key). Which of them is asked decides by which index an engine goes.
macro_rules! from_all {
    () => {
        " from assets a where true"
    };
}
macro_rules! from_owned {
    () => {
        " from assets a where a.owner = $9"
    };
}
macro_rules! from_labelled {
    ($behind:literal) => {
        concat!(
            " from (select asset_id as labelled from asset_labels where kind = $14 and label_key = $15 and asset_id ",
            $behind,
            " $2) l cross join assets a where a.id = l.labelled"
        )
    };
    () => {
        " from (select asset_id as labelled from asset_labels where kind = $14 and label_key = $15) l \
         cross join assets a where a.id = l.labelled"
    };
}

/// A page of what is listed, in the order of a column and then of birth, behind the place `$1`, `$2`.
macro_rules! listed {
    ($from:expr, $key:literal, $behind:literal, $direction:literal) => {
        both(concat!(
            "select ",
            asset_columns!(),
            $from,
            " and (",
            $key,
            ", a.id) ",
            $behind,
            " ($1, $2) and ",
            is_listed!("$13"),
            " order by ",
            $key,
            " ",
            $direction,
            ", a.id ",
            $direction,
            " limit $12"
        ))
    };
}

/// The same in the order of birth alone, which is that of `$id`, with everything that is there or with what is asked for.
macro_rules! listed_by_birth {
    ($from:expr, $id:literal, $behind:literal, $direction:literal) => {
        listed_by_birth!(is_asked!(), $from, $id, $behind, $direction)
    };
    ($asked:expr, $from:expr, $id:literal, $behind:literal, $direction:literal) => {
        both(concat!(
            "select ",
            asset_columns!(),
            $from,
            " and cast($1 as text) is not null and a.id ",
            $behind,
            " $2 and ",
            is_listed!($asked, "$13"),
            " order by ",
            $id,
            " ",
            $direction,
            " limit $12"
        ))
    };
}

/// The same for somebody who sees few of all: what is theirs, what is shared with them, and what is shown in channels,
/// a page of each by an index of its own.
macro_rules! seen_by_birth {
    ($behind:literal, $direction:literal) => {
        seen_by_birth!(is_asked!(), $behind, $direction)
    };
    ($asked:expr, $behind:literal, $direction:literal) => {
        both(concat!(
            "select ",
            asset_columns!(),
            " from assets a where cast($1 as text) is not null and a.id in (\
             select id from (select a.id from assets a where a.owner = $3 and a.id ",
            $behind,
            " $2 and ",
            $asked,
            " order by a.id ",
            $direction,
            " limit $12) o union select id from (select a.id from asset_shares g cross join assets a \
             where g.user_id = $3 and a.id = g.asset_id and a.id ",
            $behind,
            " $2 and (g.standing <> 'viewer' or ",
            $crate::sql::shares::is_shown!("$13"),
            ") and ",
            $asked,
            " order by a.id ",
            $direction,
            " limit $12) s union select id from (select a.id from assets a \
             where a.channel_id is not null and a.stage = 'published' and a.id ",
            $behind,
            " $2 and ",
            $crate::sql::shares::is_shown!("$13"),
            " and ",
            $asked,
            " order by a.id ",
            $direction,
            " limit $12) c) order by a.id ",
            $direction,
            " limit $12"
        ))
    };
}

/// Those for whom `$where` is so, on one side of `$2`, at most `$3`; of the name `$1` or of all.
macro_rules! set_apart {
    ($where:literal, $behind:literal, $direction:literal) => {
        both(concat!(
            "select ",
            asset_columns!(),
            " from assets a where ",
            $where,
            " and a.state <> 'deleted' and a.id ",
            $behind,
            " $2 and (cast($1 as text) is null or a.owner = $1) order by a.id ",
            $direction,
            " limit $3"
        ))
    };
}

statements! {
    INSERT = both("insert into assets (id, playback_id, state, file_name, size_bytes, created_at, updated_at, owner, \
        stage) values ($1, $2, $3, $4, $5, $6, $6, $7, (select first_stage from catalog_settings where id = 1))");
    /// Takes the row until commit and counts the change.
    LOCK = both(concat!("update assets set version = version + 1, updated_at = $2 where id = $1 returning ", asset_columns!()));
    SET_STATE = both("update assets set state = $2 where id = $1");
    SET_SIZE = both("update assets set size_bytes = $2 where id = $1");
    SET_PROBED = both("update assets set probe = $2, title = $3, kind = $6, generation = $4, \
        generation_taken = case when generation_taken < $4 then $4 else generation_taken end, size_bytes = $5 \
        where id = $1");
    SET_ABOUT = both("update assets set about = $2, about_version = about_version + 1, title = $3, \
        released_on = $4 where id = $1");
    BIN = both("update assets set binned_at = $2, bin_until = $3 where id = $1");
    RESTORE = both("update assets set binned_at = null, bin_until = null where id = $1");
    SET_STAGE = both("update assets set stage = $2, stage_note = $3 where id = $1");
    FIRST_STAGE = both("update catalog_settings set first_stage = $1 where id = 1 and first_stage <> $1");
    TO_REVIEW = set_apart!("a.stage = 'submitted' and a.binned_at is null", "<", "desc");
    TO_REVIEW_BEFORE = set_apart!("a.stage = 'submitted' and a.binned_at is null", ">", "asc");
    SET_WINDOW = both("update assets set publish_at = $2, expire_at = $3, window_told = $4 where id = $1");
    BINNED = set_apart!("a.binned_at is not null", "<", "desc");
    BINNED_BEFORE = set_apart!("a.binned_at is not null", ">", "asc");
    BINS_DUE = both(concat!("select ", asset_columns!(), " from assets a where a.binned_at is not null \
        and a.bin_until <= $1 and a.state <> 'deleted' order by a.bin_until limit $2"));
    /// Those of which was not told that their time has come, or is over, behind $3: by the indexes of these times.
    WINDOWS_DUE = both(concat!("select ", asset_columns!(), " from assets a where a.state <> 'deleted' and \
        ((a.publish_at > $3 and a.publish_at <= $1 and a.publish_at > a.window_told) \
        or (a.expire_at > $3 and a.expire_at <= $1 and a.expire_at > a.window_told)) order by a.id limit $2"));
    WINDOW_TOLD = both("select window_told as number from assets where id = $1");
    SET_ACCESS = both("update assets set access = $2 where id = $1");
    SET_WINDOW_TOLD = both("update assets set window_told = $2 where id = $1");
    SET_TITLE_KEY = both("update assets set title_key = $2 where id = $1");
    DROP_LABELS = both("delete from asset_labels where asset_id = $1");
    /// Those in `$2`; of several that are compared as equal the first counts.
    PUT_LABELS = Sql {
        sqlite: "insert into asset_labels (asset_id, kind, label_key, label) select $1, json_extract(value, '$.k'), \
            json_extract(value, '$.y'), json_extract(value, '$.l') from json_each($2) where true on conflict do nothing",
        postgres: "insert into asset_labels (asset_id, kind, label_key, label) select $1, x.k, x.y, x.l \
            from jsonb_to_recordset(cast($2 as jsonb)) as x (k text, y text, l text) on conflict do nothing",
    };
    DROP_EXTERNAL_IDS = both("delete from asset_external_ids where asset_id = $1");
    PUT_EXTERNAL_ID = both("insert into asset_external_ids (asset_id, scheme, external_id) values ($1, $2, $3) \
        on conflict do nothing");
    /// The output that is planned while the upload runs; without one, what is kept for the end of that.
    SET_SPARE = both("update assets set spare_job = $2 where id = $1");
    NO_GENERATION = both("update assets set generation = null, spare_job = null where id = $1");
    SET_GENERATION = both("update assets set generation = $2, \
        generation_taken = case when generation_taken < $2 then $2 else generation_taken end where id = $1");
    /// Another output is to be made beside the one in force.
    SET_NEXT = both("update assets set next_generation = $2, generation_taken = $2, spare_job = $3, \
        reprocess_failure = null where id = $1");
    /// It takes the place of the one in force, with what was found in the source for it.
    REPLACE = both("update assets set generation = $2, next_generation = null, next_source_version = null, \
        spare_job = null, \
        probe = coalesce((select g.probe from generations g where g.asset_id = $1 and g.generation = $2), probe) \
        where id = $1");
    /// It is given up.
    ABANDON_NEXT = both("update assets set next_generation = null, next_source_version = null, spare_job = null, \
        reprocess_failure = $2 \
        where id = $1");
    /// The next numbers are higher than $1, and than all that were given; whatever is being published is out of date.
    RENUMBER = both("update assets set wishes = wishes + 1, \
        generation_taken = case when generation_taken < $1 then $1 else generation_taken + 1 end, \
        turn = case when turn < $1 then $1 else turn + 1 end");
    SET_FAILURE = both("update assets set failure = $2 where id = $1");
    SET_CHAPTERS = both("update assets set chapters = $2 where id = $1");
    SET_POSTER = both("update assets set poster = $2 where id = $1");
    SET_MARKERS = both("update assets set markers = $2 where id = $1");
    COUNT_WISH = both("update assets set wishes = wishes + 1 where id = $1");
    SET_PLAYABLE = both("update assets set is_playable = $2 where id = $1");
    /// What remains of a deleted asset is its id.
    BLANK = both("update assets set file_name = null, title = null, size_bytes = null, probe = null, \
        generation = null, next_generation = null, spare_job = null, reprocess_failure = null, failure = null, \
        chapters = null, markers = null, owner = null, about = '{}', kind = null, released_on = '', title_key = '', \
        channel_id = null, binned_at = null, bin_until = null, publish_at = null, expire_at = null, \
        stage_note = null, poster = null, access = null \
        where id = $1");
    DELETE = both("delete from assets where id = $1");
    BY_ID = both(concat!("select ", asset_columns!(), " from assets where id = $1"));
    BY_PLAYBACK = both(concat!("select ", asset_columns!(), " from assets where playback_id = $1"));
    /// Those with the ids in `$1`.
    BY_IDS = Sql {
        sqlite: concat!("select ", asset_columns!(), " from assets where id in (select value from json_each($1))"),
        postgres: concat!("select ", asset_columns!(), " from assets \
            where id in (select value from jsonb_array_elements_text(cast($1 as jsonb)))"),
    };
    /// What is not deleted, the oldest first, behind `$1`.
    EVERY = both(concat!("select ", asset_columns!(), " from assets where id > $1 and state <> 'deleted' \
        order by id limit $2"));
    /// Those that have a name to be sorted by and are not.
    UNSORTED = both(concat!("select ", asset_columns!(), " from assets where title_key = '' and id > $1 \
        and title is null and file_name is not null and state <> 'deleted' order by id limit $2"));
    OLDEST_LISTED = listed_by_birth!(from_all!(), "a.id", ">", "asc");
    OLDEST_OWNED = listed_by_birth!(from_owned!(), "a.id", ">", "asc");
    OLDEST_LABELLED = listed_by_birth!(from_labelled!(">"), "l.labelled", ">", "asc");
    OLDEST_SEEN = seen_by_birth!(">", "asc");
    OLDEST_OF_ALL = listed_by_birth!(is_any!(), from_all!(), "a.id", ">", "asc");
    OLDEST_OF_OWNER = listed_by_birth!(is_any!(), from_owned!(), "a.id", ">", "asc");
    OLDEST_OF_LABEL = listed_by_birth!(is_any!(), from_labelled!(">"), "l.labelled", ">", "asc");
    OLDEST_OF_SEEN = seen_by_birth!(is_any!(), ">", "asc");
    NEWEST_LISTED = listed_by_birth!(from_all!(), "a.id", "<", "desc");
    NEWEST_OWNED = listed_by_birth!(from_owned!(), "a.id", "<", "desc");
    NEWEST_LABELLED = listed_by_birth!(from_labelled!("<"), "l.labelled", "<", "desc");
    NEWEST_SEEN = seen_by_birth!("<", "desc");
    NEWEST_OF_ALL = listed_by_birth!(is_any!(), from_all!(), "a.id", "<", "desc");
    NEWEST_OF_OWNER = listed_by_birth!(is_any!(), from_owned!(), "a.id", "<", "desc");
    NEWEST_OF_LABEL = listed_by_birth!(is_any!(), from_labelled!("<"), "l.labelled", "<", "desc");
    NEWEST_OF_SEEN = seen_by_birth!(is_any!(), "<", "desc");
    FIRST_RELEASED = listed!(from_all!(), "a.released_on", ">", "asc");
    FIRST_RELEASED_OWNED = listed!(from_owned!(), "a.released_on", ">", "asc");
    FIRST_RELEASED_LABELLED = listed!(from_labelled!(), "a.released_on", ">", "asc");
    LAST_RELEASED = listed!(from_all!(), "a.released_on", "<", "desc");
    LAST_RELEASED_OWNED = listed!(from_owned!(), "a.released_on", "<", "desc");
    LAST_RELEASED_LABELLED = listed!(from_labelled!(), "a.released_on", "<", "desc");
    FIRST_TITLED = listed!(from_all!(), "a.title_key", ">", "asc");
    FIRST_TITLED_OWNED = listed!(from_owned!(), "a.title_key", ">", "asc");
    FIRST_TITLED_LABELLED = listed!(from_labelled!(), "a.title_key", ">", "asc");
    LAST_TITLED = listed!(from_all!(), "a.title_key", "<", "desc");
    LAST_TITLED_OWNED = listed!(from_owned!(), "a.title_key", "<", "desc");
    LAST_TITLED_LABELLED = listed!(from_labelled!(), "a.title_key", "<", "desc");
    PAGE = both(concat!("select ", asset_columns!(), " from assets where id < $1 and state <> 'deleted' \
        order by id desc limit $2"));

    ORPHAN_ROWS = both("select \
        (select count(*) from uploads where asset_id not in (select id from assets) \
            or (asset_id is null) <> (kind = 'partial')) \
        + (select count(*) from jobs where asset_id not in (select id from assets)) \
        + (select count(*) from generations where asset_id not in (select id from assets)) \
        + (select count(*) from segments s where not exists (select 1 from generations g \
            where g.asset_id = s.asset_id and g.generation = s.generation)) as number");
    /// Assets that wait for work nobody will do.
    STUCK_ASSETS = both("select count(*) as number from assets a where \
        (a.state in ('received', 'probed', 'processing') and not exists (select 1 from jobs j \
            where j.asset_id = a.id and j.state in ('queued', 'running'))) \
        or (a.state = 'ready' and a.next_generation is not null and not exists (select 1 from jobs j \
            where j.asset_id = a.id and j.generation = a.next_generation and j.state in ('queued', 'running'))) \
        or (a.state = 'uploading' and not exists (select 1 from uploads u \
            where u.asset_id = a.id and u.state = 'open' and u.document_id is null))");
    /// Outputs that were replaced and that nobody will remove.
    STRAY_GENERATIONS = both("select count(*) as number from generations g join assets a on a.id = g.asset_id \
        where g.replaced_at is not null and a.state <> 'deleted' and not exists (select 1 from jobs j \
            where j.asset_id = a.id and j.kind = 'retire' and j.generation = g.generation \
            and j.state in ('queued', 'running')) and not exists (select 1 from asset_versions v \
            where v.asset_id = a.id and v.generation = g.generation and v.state = 'ready')");
    /// Work that is left although its asset is final. To one that is ready texts may be added, another output of it
    /// may be made, and the job that published one may be about to settle.
    IDLE_JOBS = both("select count(*) as number from jobs j join assets a on a.id = j.asset_id \
        where j.state in ('queued', 'running') and j.kind <> 'purge' and a.state in ('ready', 'failed', 'deleted') \
            and not (a.state = 'ready' and (j.kind in ('texts', 'retire') or j.generation = a.next_generation \
                or (j.kind = 'publish' and j.generation = a.generation))) \
            and not (a.state = 'failed' and j.kind = 'retire')");
    PING = both("select seq as number from event_counter where id = 1");
}
