//! Statements on `uploads`.

use super::{both, statements};

macro_rules! columns {
    () => {
        "u.id, u.asset_id, a.playback_id, u.state, u.length_bytes, u.offset_bytes, u.metadata, u.file_name, \
         u.created_at, u.updated_at from uploads u join assets a on a.id = u.asset_id"
    };
}

statements! {
    INSERT = both("insert into uploads (id, asset_id, state, length_bytes, metadata, file_name, created_at, updated_at) \
        values ($1, $2, 'open', $3, $4, $5, $6, $6)");
    BY_ID = both(concat!("select ", columns!(), " where u.id = $1"));
    OPEN = both(concat!("select ", columns!(), " where u.state = 'open' order by u.id"));
    ADVANCE = both("update uploads set offset_bytes = $2, updated_at = $3 where id = $1 and state = 'open' \
        and offset_bytes <= $2 and (length_bytes is null or $2 <= length_bytes)");
    COMPLETE = both("update uploads set state = 'complete', length_bytes = $2, offset_bytes = $2, updated_at = $3 \
        where id = $1 and state = 'open' and offset_bytes <= $2 and (length_bytes is null or length_bytes = $2)");
    TERMINATE = both("update uploads set state = 'terminated', updated_at = $2 where id = $1 and state = 'open'");
    TERMINATE_OF_ASSET = both("update uploads set state = 'terminated', updated_at = $2 \
        where asset_id = $1 and state = 'open'");
    DELETE_OF_ASSET = both("delete from uploads where asset_id = $1");
}
