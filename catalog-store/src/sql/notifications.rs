//! Statements on `notifications`, `notification_preferences` and `notification_digests`.

use super::{both, statements};

macro_rules! columns {
    () => {
        "id, user_id, kind, asset_id, data, mail_due, created_at, read_at"
    };
}

/// Those of `$1` on one side of `$2`, at most `$3`; with `$4` only what is unread.
macro_rules! page {
    ($behind:literal, $direction:literal) => {
        concat!(
            "select ",
            columns!(),
            " from notifications where user_id = $1 and id ",
            $behind,
            " $2 and ($4 = 0 or read_at is null) order by id ",
            $direction,
            " limit $3"
        )
    };
}

statements! {
    INSERT = both("insert into notifications (id, user_id, seq, kind, asset_id, data, mail_due, created_at) \
        select $1, u.id, $3, $4, $5, $6, $7, $8 from users u where u.id = $2 and u.state = 'active' \
        on conflict (user_id, seq) do nothing");
    LETTERS_DUE = both("select count(*) as number, min(created_at) as oldest from notifications where mail_due = 1");
    BY_ID = both(concat!("select ", columns!(), " from notifications where id = $1"));
    PAGE = both(page!("<", "desc"));
    PAGE_BEFORE = both(page!(">", "asc"));
    UNREAD = both("select count(*) as number from notifications where user_id = $1 and read_at is null");
    READ = both("update notifications set read_at = $3 where user_id = $1 and id = $2 and read_at is null");
    READ_ALL = both("update notifications set read_at = $2 where user_id = $1 and read_at is null");
    DELETE = both("delete from notifications where user_id = $1 and id = $2");
    DELETE_OF_USER = both("delete from notifications where user_id = $1");
    PRUNE = both("delete from notifications where created_at < $1");
    PRUNE_MANY = both("delete from notifications where id in (select id from notifications where user_id = $1 \
        order by id desc limit 100 offset $2)");
    MAIL_DUE = both(concat!("select ", columns!(), " from notifications where mail_due = 1 order by id limit $1"));
    MAILED = both("update notifications set mail_due = 0 where id = $1 and mail_due = 1");

    PREFERENCES = both("select kind, channel from notification_preferences where user_id = $1 order by kind");
    SET_PREFERENCE = both("insert into notification_preferences (user_id, kind, channel) values ($1, $2, $3) \
        on conflict (user_id, kind) do update set channel = excluded.channel");
    PREFERENCES_DROP = both("delete from notification_preferences where user_id = $1");

    /// Whom something unread is there for since $2, and who had no letter of the week $1; after $3.
    DIGEST_FOR = both("select u.id as text from users u where u.id > $3 and u.state = 'active' \
        and u.email_verified_at is not null \
        and not exists (select 1 from notification_digests d where d.user_id = u.id and d.week >= $1) \
        and not exists (select 1 from notification_preferences p where p.user_id = u.id and p.kind = 'digest' \
        and p.channel <> 'email') \
        and exists (select 1 from notifications n where n.user_id = u.id and n.read_at is null \
        and n.created_at >= $2 and n.created_at < $5) order by u.id limit $4");
    DIGEST_TAKE = both("insert into notification_digests (user_id, week) values ($1, $2) \
        on conflict (user_id) do update set week = excluded.week where notification_digests.week < excluded.week");
    DIGEST_DROP = both("delete from notification_digests where user_id = $1");
    /// What a letter of the week tells; the latest first.
    DIGEST_OF = both(concat!("select ", columns!(), " from notifications where user_id = $1 and created_at >= $2 \
        and created_at < $4 and read_at is null order by id desc limit $3"));
}
