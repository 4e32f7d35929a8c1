//! Statements on `imports`.

use super::{both, statements};

statements! {
    /// What is known replaces what was known.
    PUT = both("insert into imports (upload_id, validator, attempts, error, updated_at) values ($1, $2, $3, $4, $5) \
        on conflict (upload_id) do update set validator = excluded.validator, attempts = excluded.attempts, \
        error = excluded.error, updated_at = excluded.updated_at");
    DELETE_OF_ASSET = both("delete from imports where upload_id in (select id from uploads where asset_id = $1)");
    BY_UPLOAD = both("select validator, attempts, error from imports where upload_id = $1");
}
