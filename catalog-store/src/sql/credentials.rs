//! Statements on `api_keys`, `tickets` and `signing_keys`.

use super::{both, statements};

macro_rules! key_columns {
    () => {
        "k.id, k.user_id, k.name, k.prefix, k.scopes, k.created_at, k.expires_at, k.seen_at, k.revoked_at, \
         u.role, u.state"
    };
}

statements! {
    KEY_INSERT = both("insert into api_keys (id, user_id, name, prefix, hash, scopes, created_at, expires_at) \
        values ($1, $2, $3, $4, $5, $6, $7, $8)");
    KEY_BY_HASH = both(concat!("select ", key_columns!(), " from api_keys k join users u on u.id = k.user_id \
        where k.hash = $1"));
    KEY_BY_ID = both(concat!("select ", key_columns!(), " from api_keys k join users u on u.id = k.user_id \
        where k.id = $1"));
    KEYS_OF_USER = both(concat!("select ", key_columns!(), " from api_keys k join users u on u.id = k.user_id \
        where k.user_id = $1 and k.revoked_at is null order by k.id desc"));
    KEY_COUNT = both("select count(*) as number from api_keys where user_id = $1 and revoked_at is null");
    KEY_TOUCH = both("update api_keys set seen_at = $2 where id = $1");
    KEY_REVOKE = both("update api_keys set revoked_at = $3 where id = $1 and user_id = $2 and revoked_at is null");

    TICKET_INSERT = both("insert into tickets (hash, user_id, purpose, data, created_at, expires_at) \
        values ($1, $2, $3, $4, $5, $6)");
    TICKET_FIND = both("select user_id, data from tickets where hash = $1 and purpose = $2 and expires_at > $3");
    /// Whoever deletes it has it.
    TICKET_TAKE = both("delete from tickets where hash = $1 and purpose = $2 and expires_at > $3 \
        returning user_id, data");
    TICKETS_DROP = both("delete from tickets where user_id = $1 and purpose = $2");
    TICKETS_DROP_ALL = both("delete from tickets where user_id = $1");
    TICKETS_PRUNE = both("delete from tickets where expires_at < $1");

    SIGNING_KEYS = both("select id, purpose, secret, created_at from signing_keys order by created_at, id");
    SIGNING_KEY_INSERT = both("insert into signing_keys (id, purpose, secret, created_at) values ($1, $2, $3, $4)");
    SIGNING_KEY_DELETE = both("delete from signing_keys where id = $1");
}
