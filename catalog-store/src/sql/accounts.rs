//! Statements on `users`.

use super::{Sql, both, statements};

macro_rules! user_columns {
    () => {
        "id, email, name, bio, language, role, state, password, email_verified_at, quota_bytes, totp, \
         totp_pending, avatar, version, created_at, updated_at"
    };
}

pub(crate) use user_columns;

/// Accounts on one side of `$1` for which `$also` is so, at most `$2`.
macro_rules! user_page {
    ($also:expr, $behind:literal, $direction:literal) => {
        concat!(
            "select ",
            $crate::sql::accounts::user_columns!(),
            " from users where id ",
            $behind,
            " $1 and state <> 'deleted' and ",
            $also,
            " order by id ",
            $direction,
            " limit $2"
        )
    };
}
pub(crate) use user_page;

statements! {
    INSERT = both("insert into users (id, email, email_key, name, bio, language, role, state, password, \
        email_verified_at, created_at, updated_at) values ($1, $2, $3, $4, '', $5, $6, 'active', $7, $8, $9, $9)");
    BY_ID = both(concat!("select ", user_columns!(), " from users where id = $1"));
    /// As it is until commit: whoever changes the account waits.
    HOLD = Sql {
        sqlite: concat!("select ", user_columns!(), " from users where id = $1"),
        postgres: concat!("select ", user_columns!(), " from users where id = $1 for share"),
    };
    /// The same, and whoever holds it as it is waits as well.
    HOLD_ALONE = Sql {
        sqlite: "select id as text from users where id = $1",
        postgres: "select id as text from users where id = $1 for no key update",
    };
    BY_EMAIL = both(concat!("select ", user_columns!(), " from users where email_key = $1"));
    PAGE = both(user_page!("true", "<", "desc"));
    PAGE_BEFORE = both(user_page!("true", ">", "asc"));
    /// Takes the row until commit and counts the change.
    LOCK = both(concat!("update users set version = version + 1, updated_at = $2 where id = $1 \
        and state <> 'deleted' returning ", user_columns!()));
    SET_PROFILE = both("update users set name = $2, bio = $3, language = $4 where id = $1");
    SET_STANDING = both("update users set role = $2, state = $3, quota_bytes = $4 where id = $1");
    SET_EMAIL = both("update users set email = $2, email_key = $3, email_verified_at = $4 where id = $1");
    SET_PASSWORD = both("update users set password = $2 where id = $1");
    /// The same, of a password that is in force still.
    REHASH = both("update users set password = $3 where id = $1 and password = $2");
    VERIFY_EMAIL = both("update users set email_verified_at = $2 where id = $1 and email_verified_at is null");
    BLANK = both("update users set email = null, email_key = null, name = '', bio = '', language = null, \
        password = null, email_verified_at = null, quota_bytes = null, totp = null, totp_pending = null, \
        totp_step = null, avatar = null, state = 'deleted' where id = $1");
    /// Those who can decide about accounts.
    ADMINS = both("select count(*) as number from users where role = 'admin' and state = 'active' \
        and password is not null");
    /// An administrator who was never set up.
    FRESH_ADMIN = both("select id as text from users where role = 'admin' and state = 'active' and password is null \
        and email is null order by id limit 1");
    QUOTA = both("select quota_bytes as number from users where id = $1");
}
