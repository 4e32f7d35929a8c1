//! Statements on the second factor of `users`, and on `recovery_codes`.

use super::{both, statements};

statements! {
    BEGIN = both("update users set totp_pending = $2 where id = $1");
    CONFIRM = both("update users set totp = totp_pending, totp_pending = null, totp_step = $2 where id = $1 \
        and totp_pending is not null");
    REMOVE = both("update users set totp = null, totp_pending = null, totp_step = null where id = $1");
    /// A code of this time step or an earlier one is good no more.
    USE_STEP = both("update users set totp_step = $2 where id = $1 and totp is not null \
        and (totp_step is null or totp_step < $2)");
    CODE_INSERT = both("insert into recovery_codes (user_id, hash) values ($1, $2)");
    CODE_TAKE = both("delete from recovery_codes where user_id = $1 and hash = $2");
    CODES_DROP = both("delete from recovery_codes where user_id = $1");
}
