//! Statements on what belongs to a person, whatever table it is in.

use super::{both, statements};
use crate::sql::assets::asset_columns;

statements! {
    ASSETS_OF = both(concat!("select ", asset_columns!(), " from assets where owner = $1 and state <> 'deleted' \
        and id < $2 order by id desc limit $3"));
    UPLOADS_OF = both("select id, asset_id, kind, state, length_bytes, offset_bytes, file_name, created_at \
        from uploads where owner = $1 order by id desc limit $2");
    SESSIONS_OF = both("select id, client, created_at, seen_at, expires_at, ended_at from sessions \
        where user_id = $1 order by id desc limit $2");
    SHARED_WITH = both("select asset_id, user_id, standing, created_at from asset_shares where user_id = $1 \
        order by asset_id limit $2");
    SHARED_BY = both("select g.asset_id, g.user_id, g.standing, g.created_at from asset_shares g \
        join assets a on a.id = g.asset_id where a.owner = $1 order by g.asset_id, g.user_id limit $2");
    COLLECTIONS_OF = both("select id, kind, title as name, description, created_at from collections \
        where owner = $1 order by id desc limit $2");
    CHANNELS_OF = both("select id, handle as kind, name, description, created_at from channels \
        where owner = $1 order by id desc limit $2");
    SUBSCRIPTIONS_OF = both("select s.channel_id as id, c.handle as kind, c.name, '' as description, s.created_at \
        from subscriptions s join channels c on c.id = s.channel_id where s.user_id = $1 order by s.channel_id desc \
        limit $2");
    COLLECTIONS_SHARED_WITH = both("select g.collection_id as id, g.standing as kind, c.title as name, \
        '' as description, g.created_at from collection_shares g join collections c on c.id = g.collection_id \
        where g.user_id = $1 order by g.collection_id desc limit $2");
    AUDIT_OF = both("select seq, at, actor, action, subject, data, hash from audit_log \
        where actor = $1 or subject = $1 order by seq desc limit $2");

    /// The administrator who has been one for longest.
    HEIR = both("select id as text from users where role = 'admin' and state = 'active' and password is not null \
        and id <> $1 order by id limit 1");
    TRANSFER_ASSETS = both("update assets set owner = $2, version = version + 1, updated_at = $3 where owner = $1");
    DELETE_COLLECTIONS = both("delete from collections where owner = $1");
    DELETE_CHANNELS = both("delete from channels where owner = $1");
    TRANSFER_COLLECTIONS = both("update collections set owner = $2, version = version + 1, updated_at = $3 \
        where owner = $1");
    TRANSFER_CHANNELS = both("update channels set owner = $2, version = version + 1, updated_at = $3 where owner = $1");
    TRANSFER_UPLOADS = both("update uploads set owner = $2 where owner = $1 and asset_id is not null");
    /// Parts without a video: the janitor ends those that are open.
    BLANK_UPLOADS = both("update uploads set metadata = '', file_name = null, owner = null, expires_at = $2 \
        where owner = $1 and asset_id is null");
    REVOKE_GRANTS = both("update upload_grants set revoked_at = $2 where owner = $1 and revoked_at is null");
    DELETE_SESSIONS = both("delete from sessions where user_id = $1");
    DELETE_KEYS = both("delete from api_keys where user_id = $1");
}
