//! Statements on what administrators look for.

use super::{Sql, both, statements};
use crate::sql::accounts::user_columns;

/// Rows of the audit log before number `$1`, at most `$2`: of actor `$3`, target `$4`, actions from `$5` to `$6`, times
/// from `$7` to `$8`; null for any. Text is compared by its octets.
macro_rules! audit {
    ($first:literal, $octets:literal) => {
        concat!(
            "select seq, at, actor, action, subject, data, hash from audit_log where seq < $1 and ",
            $first,
            " and (cast($3 as text) is null or actor = $3) and (cast($4 as text) is null or subject = $4) \
             and (cast($5 as text) is null or (action",
            $octets,
            " >= $5 and action",
            $octets,
            " < $6)) and (cast($7 as bigint) is null or at >= $7) and (cast($8 as bigint) is null or at < $8) \
             order by seq desc limit $2"
        )
    };
}
macro_rules! audit_of {
    ($first:literal) => {
        Sql { sqlite: audit!($first, ""), postgres: audit!($first, " collate \"C\"") }
    };
}

statements! {
    /// Accounts before `$1` whose mail address lies between `$3` and `$4`, or a term of whose name between `$5` and `$6`.
    USERS = both(concat!("select ", user_columns!(), " from users where id < $1 and state <> 'deleted' and (id = $7 \
        or id in (select user_id from search_users where term >= $3 and term < $4 and kind = 'email' \
        union all select user_id from search_users where term >= $5 and term < $6 and kind = 'name')) \
        order by id desc limit $2"));
    WITHOUT_TERMS = both(concat!("select ", user_columns!(), " from users where state <> 'deleted' and not exists \
        (select 1 from search_users t where t.user_id = users.id and t.kind = 'name') order by id limit $1"));
    PUT_TERM = both("insert into search_users (user_id, kind, term) values ($1, $2, $3) on conflict do nothing");
    DROP_TERMS = both("delete from search_users where user_id = $1");
    AUDIT = audit_of!("true");
    AUDIT_OF_ACTOR = audit_of!("actor = $3");
    AUDIT_OF_TARGET = audit_of!("subject = $4");
}
