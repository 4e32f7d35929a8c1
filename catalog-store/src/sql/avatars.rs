//! Statements on pictures of people.

use super::{both, statements};

statements! {
    OF = both("select avatar as text from users where id = $1 and state <> 'deleted' and avatar is not null");
    SET = both("update users set avatar = $2 where id = $1");
    /// The picture of an account is to be removed; nothing where there is none.
    RELEASE = both("insert into avatar_removals (picture, user_id, due_at) select avatar, id, $2 from users \
        where id = $1 and avatar is not null");
    ANNOUNCE = both("insert into avatar_removals (picture, user_id, due_at) values ($1, $2, $3)");
    FORGET = both("delete from avatar_removals where picture = $1");
    DUE = both("select picture, user_id from avatar_removals where due_at <= $1 order by due_at, picture limit $2");
}
