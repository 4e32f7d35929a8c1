//! Statements on `sessions` and `refresh_tokens`.

use super::{both, statements};

macro_rules! columns {
    () => {
        "s.id, s.user_id, s.secret_hash, s.client, s.created_at, s.seen_at, s.expires_at, s.ended_at, \
         u.role, u.state"
    };
}

statements! {
    INSERT = both("insert into sessions (id, user_id, secret_hash, chain_key, client, created_at, seen_at, \
        expires_at) values ($1, $2, $3, $4, $5, $6, $6, $7)");
    BY_ID = both(concat!("select ", columns!(), " from sessions s join users u on u.id = s.user_id where s.id = $1"));
    BY_SECRET = both(concat!("select ", columns!(), " from sessions s join users u on u.id = s.user_id \
        where s.secret_hash = $1"));
    LIVE_OF_USER = both(concat!("select ", columns!(), " from sessions s join users u on u.id = s.user_id \
        where s.user_id = $1 and s.ended_at is null and s.expires_at > $2 order by s.id desc"));
    /// Notes that it is in use, and lets it last longer.
    TOUCH = both("update sessions set seen_at = $2, expires_at = $3 where id = $1 and ended_at is null \
        and expires_at > $2");
    END = both("update sessions set ended_at = $3 where id = $1 and user_id = $2 and ended_at is null");
    /// All of an account but one.
    END_OTHERS = both("update sessions set ended_at = $3 where user_id = $1 and id <> $2 and ended_at is null");
    /// All of an account but the latest so many.
    END_OLDEST = both("update sessions set ended_at = $2 where user_id = $1 and ended_at is null and id not in \
        (select id from sessions where user_id = $1 and ended_at is null order by id desc limit $3)");
    PRUNE = both("delete from sessions where expires_at < $1");

    TOKEN_INSERT = both("insert into refresh_tokens (hash, session_id, expires_at) values ($1, $2, $3)");
    TOKEN = both("select t.hash, t.session_id, t.expires_at, t.used_at, t.successor, s.chain_key, s.user_id, \
        s.created_at as session_at, s.ended_at, s.expires_at as session_expires_at \
        from refresh_tokens t join sessions s on s.id = t.session_id where t.hash = $1");
    /// Spends one that is good, if nobody was faster.
    TOKEN_USE = both("update refresh_tokens set used_at = $2, successor = $3 where hash = $1 and used_at is null \
        and expires_at > $2");
    TOKEN_PRUNE = both("delete from refresh_tokens where expires_at < $1");
}
