//! Statements on `identities`.

use super::{both, statements};

macro_rules! columns {
    () => {
        "id, user_id, provider, issuer, subject, created_at, used_at"
    };
}

statements! {
    BY_SUBJECT = both(concat!("select ", columns!(), " from identities where issuer = $1 and subject = $2"));
    OF_USER = both(concat!("select ", columns!(), " from identities where user_id = $1 order by id desc"));
    COUNT = both("select count(*) as number from identities where user_id = $1");
    IS_OF = both("select count(*) as number from identities where id = $1 and user_id = $2");
    INSERT = both("insert into identities (id, user_id, provider, issuer, subject, created_at, used_at) \
        values ($1, $2, $3, $4, $5, $6, $6) on conflict (issuer, subject) do nothing");
    USE = both("update identities set used_at = $2 where id = $1");
    DELETE = both("delete from identities where id = $1 and user_id = $2");
    DELETE_OF_USER = both("delete from identities where user_id = $1");
}
