//! Statements on what is sealed, whatever table it is in.

use super::{Sql, both, statements};

/// Those that the key of this mark ($1) did not seal, some at a time.
macro_rules! unsealed {
    ($table:literal, $column:literal) => {
        both(concat!(
            "select id, ",
            $column,
            " as secret from ",
            $table,
            " where ",
            $column,
            " is not null and ",
            $column,
            " not like $1 and id > $2 order by id limit $3"
        ))
    };
}

/// Seals the one that was read.
macro_rules! set {
    ($table:literal, $column:literal) => {
        both(concat!("update ", $table, " set ", $column, " = $3 where id = $1 and ", $column, " = $2"))
    };
}

statements! {
    CHECK = both("select sealed as text from secret_check where id = 1");
    CHECK_INSERT = both("insert into secret_check (id, sealed) values (1, $1) on conflict (id) do nothing");
    CHECK_SET = both("update secret_check set sealed = $1 where id = 1");

    WITH_TOTP = both("select id as text from users where totp is not null order by id");
    FORGET_PENDING = both("update users set totp_pending = null where totp_pending is not null");
    FORGET_SESSIONS = both("update sessions set chain_key = null, ended_at = coalesce(ended_at, $1) \
        where chain_key is not null");
    FORGET_SIGNING_KEYS = both("delete from signing_keys");
    /// What stands in the place of the secret signs nothing.
    FORGET_WEBHOOKS = both("update webhooks set secret = 'lost', previous_secret = null, previous_until = null, \
        disabled_reason = coalesce(disabled_reason, 'its secret was lost: give it another one'), \
        version = version + 1, updated_at = $1");
    FORGET_CHECK = both("delete from secret_check");

    TOTP = unsealed!("users", "totp");
    TOTP_SET = set!("users", "totp");
    TOTP_PENDING = unsealed!("users", "totp_pending");
    TOTP_PENDING_SET = set!("users", "totp_pending");
    CHAIN_KEY = unsealed!("sessions", "chain_key");
    CHAIN_KEY_SET = set!("sessions", "chain_key");
    SIGNING_KEY = unsealed!("signing_keys", "secret");
    SIGNING_KEY_SET = set!("signing_keys", "secret");
    WEBHOOK = unsealed!("webhooks", "secret");
    WEBHOOK_SET = set!("webhooks", "secret");
    WEBHOOK_PREVIOUS = unsealed!("webhooks", "previous_secret");
    WEBHOOK_PREVIOUS_SET = set!("webhooks", "previous_secret");

    /// The terms of uploads that have an address in them.
    ADDRESSES = both("select id, terms as secret from uploads where terms like '%\"url\":\"%' \
        and terms not like '%\"url\":\"' || cast($1 as text) and id > $2 order by id limit $3");
    ADDRESS_SET = both("update uploads set terms = $3 where id = $1 and terms = $2");
}

/// Every column of secrets: its table, how those are found that are to be sealed, how one is.
pub(crate) const COLUMNS: &[(&str, Sql, Sql)] = &[
    ("users", TOTP, TOTP_SET),
    ("users", TOTP_PENDING, TOTP_PENDING_SET),
    ("sessions", CHAIN_KEY, CHAIN_KEY_SET),
    ("signing_keys", SIGNING_KEY, SIGNING_KEY_SET),
    ("webhooks", WEBHOOK, WEBHOOK_SET),
    ("webhooks", WEBHOOK_PREVIOUS, WEBHOOK_PREVIOUS_SET),
];
