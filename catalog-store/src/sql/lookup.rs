//! Statements on what administrators look for.

use super::{Sql, both, statements};
use crate::sql::accounts::{user_columns, user_page};

/// The mail address of an account lies between `$3` and `$4`, or a term of its name between `$5` and `$6`, or its id is
/// `$7`.
macro_rules! is_meant {
    () => {
        "(id = $7 \
         or id in (select user_id from search_users where term >= $3 and term < $4 and kind = 'email' \
         union all select user_id from search_users where term >= $5 and term < $6 and kind = 'name'))"
    };
}

/// Rows of the audit log on one side of number `$1`, at most `$2`: of actor `$3`, target `$4`, actions from `$5` to `$6`, times
/// from `$7` to `$8`; null for any. Text is compared by its octets.
macro_rules! audit {
    ($first:literal, $octets:literal, $behind:literal, $direction:literal) => {
        concat!(
            "select seq, at, actor, action, subject, data, hash from audit_log where seq ",
            $behind,
            " $1 and ",
            $first,
            " and (cast($3 as text) is null or actor = $3) and (cast($4 as text) is null or subject = $4) \
             and (cast($5 as text) is null or (action",
            $octets,
            " >= $5 and action",
            $octets,
            " < $6)) and (cast($7 as bigint) is null or at >= $7) and (cast($8 as bigint) is null or at < $8) \
             order by seq ",
            $direction,
            " limit $2"
        )
    };
}
macro_rules! audit_of {
    ($first:literal, $behind:literal, $direction:literal) => {
        Sql {
            sqlite: audit!($first, "", $behind, $direction),
            postgres: audit!($first, " collate \"C\"", $behind, $direction),
        }
    };
}

statements! {
    USERS = both(user_page!(is_meant!(), "<", "desc"));
    USERS_BEFORE = both(user_page!(is_meant!(), ">", "asc"));
    WITHOUT_TERMS = both(concat!("select ", user_columns!(), " from users where state <> 'deleted' and not exists \
        (select 1 from search_users t where t.user_id = users.id and t.kind = 'name') order by id limit $1"));
    PUT_TERM = both("insert into search_users (user_id, kind, term) values ($1, $2, $3) on conflict do nothing");
    DROP_TERMS = both("delete from search_users where user_id = $1");
    AUDIT = audit_of!("true", "<", "desc");
    AUDIT_BEFORE = audit_of!("true", ">", "asc");
    AUDIT_OF_ACTOR = audit_of!("actor = $3", "<", "desc");
    AUDIT_OF_ACTOR_BEFORE = audit_of!("actor = $3", ">", "asc");
    AUDIT_OF_TARGET = audit_of!("subject = $4", "<", "desc");
    AUDIT_OF_TARGET_BEFORE = audit_of!("subject = $4", ">", "asc");
}
