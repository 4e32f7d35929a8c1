//! Statements on `documents`, and on the uploads that bring them.

use super::{both, statements};

macro_rules! columns {
    () => {
        "d.id, d.asset_id, d.upload_id, d.position, d.name, d.description, d.state, d.media_type, d.sha256, \
         d.size_bytes, d.failure, d.version, d.created_at, d.updated_at, u.offset_bytes \
         from documents d left join uploads u on u.id = d.upload_id"
    };
}

statements! {
    /// Behind all others of its asset.
    INSERT = both("insert into documents (id, asset_id, upload_id, position, name, state, created_at, updated_at) \
        values ($1, $2, $3, coalesce((select max(d.position) from documents d where d.asset_id = $2), 0) + 1, $4, \
        'uploading', $5, $5)");
    /// Those that are taken back count until their objects are gone.
    COUNT_OF_ASSET = both("select count(*) as number from documents where asset_id = $1");
    OF_ASSET = both(concat!("select ", columns!(), " where d.asset_id = $1 and d.state <> 'removing' \
        order by d.position, d.id"));
    BY_ID = both(concat!("select ", columns!(), " where d.asset_id = $1 and d.id = $2 and d.state <> 'removing'"));
    REMOVED = both("select id as text from documents where asset_id = $1 and state = 'removing' order by id");
    /// Of all assets of one owner.
    OF_OWNER = both(concat!("select ", columns!(), " join assets a on a.id = d.asset_id \
        where a.owner = $1 and a.state <> 'deleted' and d.state <> 'removing' order by d.id desc limit $2"));
    /// What came to nothing is told until the next one is begun.
    FORGET_FAILED = both("delete from documents where asset_id = $1 and state = 'failed'");
    DESCRIBE = both("update documents set media_type = $2, sha256 = $3 where upload_id = $1 and state = 'uploading'");
    RECEIVED = both("update documents set state = 'ready', size_bytes = $3, updated_at = $4 \
        where asset_id = $1 and id = $2 and state = 'uploading' and sha256 is not null");
    FAILED = both("update documents set state = 'failed', failure = $3, updated_at = $4 \
        where asset_id = $1 and id = $2 and state = 'uploading'");
    CHANGE = both("update documents set name = $4, description = $5, version = version + 1, updated_at = $6 \
        where asset_id = $1 and id = $2 and version = $3 and state <> 'removing'");
    PLACE = both("update documents set position = $3 where asset_id = $1 and id = $2");
    REMOVE = both("update documents set state = 'removing', updated_at = $3 \
        where asset_id = $1 and id = $2 and state <> 'removing'");
    DELETE = both("delete from documents where asset_id = $1 and id = $2");
    FORGET_REMOVED = both("delete from documents where asset_id = $1 and id = $2 and state = 'removing'");
    DELETE_OF_ASSET = both("delete from documents where asset_id = $1");
    /// What brings it is given up with it.
    TERMINATE_UPLOAD = both("update uploads set state = 'terminated', updated_at = $2 \
        where document_id = $1 and state = 'open'");
    /// What brought it counts for nobody any more.
    DELETE_UPLOAD = both("delete from uploads where document_id = $1 and state = 'complete'");
}
