//! Statements on `texts`.

use super::{Sql, both, statements};

macro_rules! columns {
    () => {
        "id, asset_id, language, name, charset, is_forced, is_default, is_sdh, is_removed, state, report, generation, \
         rendition, replaces, replaces_version, version, created_at"
    };
}

statements! {
    INSERT = both("insert into texts (id, asset_id, language, name, charset, is_forced, is_default, is_sdh, replaces, \
        replaces_version, state, created_at) values ($1, $2, $3, $4, $5, $6, $7, $9, $10, $11, 'waiting', $8)");
    /// What is shown instead of a track of a source.
    REPLACING = both("select id as text from texts where asset_id = $1 and replaces = $2 and replaces_version = $3 \
        and is_removed = 0");
    CHANGE = both("update texts set language = $4, name = $5, charset = $6, is_forced = $7, is_default = $8, \
        is_sdh = $9, version = version + 1 where asset_id = $1 and id = $2 and version = $3 and is_removed = 0");
    /// What was removed is left out, but it counts until its objects are gone.
    COUNT_OF_ASSET = both("select count(*) as number from texts where asset_id = $1");
    OF_ASSET = both(concat!("select ", columns!(), " from texts where asset_id = $1 order by id"));
    /// Of the assets in `$1`.
    OF_ASSETS = Sql {
        sqlite: concat!("select ", columns!(), " from texts \
            where asset_id in (select value from json_each($1)) order by id"),
        postgres: concat!("select ", columns!(), " from texts \
            where asset_id in (select value from jsonb_array_elements_text(cast($1 as jsonb))) order by id"),
    };
    BY_ID = both(concat!("select ", columns!(), " from texts where asset_id = $1 and id = $2 and is_removed = 0"));
    REMOVE = both("update texts set is_removed = 1 where asset_id = $1 and id = $2 and is_removed = 0");
    SET_RESULT = both("update texts set state = $3, report = $4, generation = $5, rendition = $6 \
        where asset_id = $1 and id = $2");
    /// Those that nobody will read any more.
    GIVE_UP = both("update texts set state = 'unusable', report = $2 where asset_id = $1 and state = 'waiting'");
    FORGET_REMOVED = both("delete from texts where asset_id = $1 and id = $2 and is_removed = 1");
    DELETE_OF_ASSET = both("delete from texts where asset_id = $1");
}
