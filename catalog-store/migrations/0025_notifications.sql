-- What people are told, in the pages and by mail. Common to both engines.

create table notifications (
    id text not null primary key,
    user_id text not null references users (id) on delete cascade,
    -- The event that it tells of.
    seq bigint not null,
    kind text not null,
    asset_id text,
    data text not null,
    -- 1 while a letter is to be sent.
    mail_due bigint not null,
    created_at bigint not null,
    read_at bigint,
    unique (user_id, seq)
);
create index notifications_of_user on notifications (user_id, id);
create index notifications_to_mail on notifications (mail_due, id);
create index notifications_to_forget on notifications (created_at);

-- What somebody wants otherwise than everybody: off, app or email.
create table notification_preferences (
    user_id text not null references users (id) on delete cascade,
    kind text not null,
    channel text not null,
    primary key (user_id, kind)
);

-- The week whose letter somebody was sent last.
create table notification_digests (
    user_id text not null references users (id) on delete cascade primary key,
    week bigint not null
);
