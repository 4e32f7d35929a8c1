-- A second thing that proves who somebody is: codes by time (RFC 6238), and codes for when the device is lost.
-- Common to both engines.

-- The secret that codes are made from, in hexadecimal digits; the one that is not confirmed yet; the last time step
-- of which a code was used, so that none is good twice.
alter table users add column totp text;
alter table users add column totp_pending text;
alter table users add column totp_step bigint;

create table recovery_codes (
    user_id text not null references users (id) on delete cascade,
    hash text not null,
    primary key (user_id, hash)
);
