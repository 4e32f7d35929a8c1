-- Pictures of people. Common to both engines.

-- The picture that is shown; null if there is none.
alter table users add column avatar text;

-- Pictures that are to be removed from the store when they are due: those that were taken back, and for a while those
-- that are about to be put there.
create table avatar_removals (
    picture text not null primary key,
    user_id text not null,
    due_at bigint not null
);
create index avatar_removals_due on avatar_removals (due_at);
