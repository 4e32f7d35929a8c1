//! Statements on `uploads`.

use super::{both, statements};

macro_rules! columns {
    () => {
        "u.id, u.kind, u.asset_id, a.playback_id, u.state, u.length_bytes, u.offset_bytes, u.metadata, u.file_name, \
         u.terms, u.owner, u.expires_at, u.failure, u.is_full, u.source_version, u.document_id, u.created_at, \
         u.updated_at \
         from uploads u left join assets a on a.id = u.asset_id"
    };
}

/// What counts against the quota of an owner: all but the parts of a whole that counts itself.
macro_rules! counted {
    () => {
        "u.state in ('open', 'complete') and not exists (select 1 from uploads w where w.id = u.taken_by \
         and w.state in ('open', 'complete') and w.length_bytes is not null)"
    };
}

statements! {
    INSERT = both("insert into uploads (id, kind, asset_id, state, length_bytes, metadata, file_name, terms, owner, \
        expires_at, created_at, updated_at, repeat_key, grant_id, source_version, document_id) \
        values ($1, $2, $3, 'open', $4, $5, $6, $7, $8, $9, $10, $10, $11, $12, $13, $14)");
    /// The last upload that a part went into.
    TAKE_PART = both("update uploads set taken_by = $2 where id = $1 and kind = 'partial'");
    BY_ID = both(concat!("select ", columns!(), " where u.id = $1"));
    BY_REPEAT_KEY = both(concat!("select ", columns!(), " where u.repeat_key = $1"));
    OPEN = both(concat!("select ", columns!(), " where u.state = 'open' order by u.id"));
    OPEN_OF_ASSET = both(concat!("select ", columns!(), " where u.asset_id = $1 and u.state = 'open' and u.source_version = 1"));
    OPEN_FINALS = both(concat!("select ", columns!(), " where u.state = 'open' and u.kind = 'final' order by u.id"));
    /// The expiry only moves when there is a new one, and what is full stays full.
    ADVANCE = both("update uploads set offset_bytes = $2, updated_at = $3, expires_at = coalesce($4, expires_at), \
        is_full = case when $5 = 1 then 1 else is_full end \
        where id = $1 and state = 'open' and offset_bytes <= $2 and (length_bytes is null or $2 <= length_bytes)");
    /// Never so that the offset is the length; a final upload, whose offset nobody is told, may be empty.
    SET_LENGTH = both("update uploads set length_bytes = $2, updated_at = $3 where id = $1 and state = 'open' \
        and (offset_bytes < $2 or (kind = 'final' and offset_bytes = $2)) \
        and (length_bytes is null or length_bytes = $2)");
    COMPLETE = both("update uploads set state = 'complete', length_bytes = $2, offset_bytes = $2, updated_at = $3 \
        where id = $1 and state = 'open' and offset_bytes <= $2 and (length_bytes is null or length_bytes = $2)");
    /// Ends an open upload in another way than by its last octet.
    CLOSE = both("update uploads set state = $2, failure = $3, updated_at = $4 where id = $1 and state = 'open'");
    TERMINATE_OF_ASSET = both("update uploads set state = 'terminated', updated_at = $2 \
        where asset_id = $1 and state = 'open'");
    /// Those that came to nothing answer that they are gone; what was told of them is forgotten.
    BLANK_OF_ASSET = both("update uploads set metadata = '', file_name = null, terms = '{}', owner = null \
        where asset_id = $1 and state in ('terminated', 'expired')");
    DELETE_OF_ASSET = both("delete from uploads where asset_id = $1 and state not in ('terminated', 'expired')");
    DUE_TO_EXPIRE = both(concat!("select ", columns!(), " where u.state = 'open' and u.is_full = 0 \
        and u.expires_at <= $1 order by u.expires_at limit $2"));
    /// A part that a final upload took is of no more use for long.
    EXPIRE_PART_AT = both("update uploads set expires_at = $2 where id = $1 and kind = 'partial' \
        and state = 'complete' and (expires_at is null or expires_at > $2)");
    /// Complete parts wait for a concatenation as long as open uploads wait for octets.
    PARTS_DUE = both(concat!("select ", columns!(), " where u.state = 'complete' and u.kind = 'partial' \
        and u.expires_at <= $1 order by u.expires_at limit $2"));
    /// A part is complete until it expires or is terminated; then only its tombstone is left.
    CLOSE_PART = both("update uploads set state = $2, updated_at = $3 where id = $1 and kind = 'partial' \
        and state in ('open', 'complete')");
    /// Tombstones of parts; those of other uploads go with their assets.
    PRUNE_PARTS = both("delete from uploads where kind = 'partial' and state in ('terminated', 'expired', 'refused') \
        and updated_at < $1");
    /// Octets promised to open uploads: what they announced, or what they hold when that is unknown.
    RESERVED = both("select cast(coalesce(sum(coalesce(length_bytes, offset_bytes) - offset_bytes), 0) as bigint) \
        as number from uploads where state = 'open'");
    COUNT_OF_OWNER = both("select count(*) as number from uploads where state = 'open' and owner = $1");
    /// What an owner occupies or has reserved, in octets.
    BYTES_OF_OWNER = both(concat!("select cast(coalesce(sum(coalesce(u.length_bytes, u.offset_bytes)), 0) as bigint) \
        as number from uploads u where u.owner = $1 and ", counted!()));
    /// How much of that is this upload's.
    BYTES_OF_ONE = both(concat!("select cast(coalesce(sum(coalesce(u.length_bytes, u.offset_bytes)), 0) as bigint) \
        as number from uploads u where u.id = $1 and ", counted!()));
}
