//! Statements on `idempotency_keys`.

use super::{both, statements};

statements! {
    BEGIN = both("insert into idempotency_keys (hash, principal, fingerprint, state, fence, locked_until, created_at) \
        values ($1, $2, $3, 'running', 1, $4, $5) on conflict (hash) do nothing");
    FIND = both("select fingerprint, state, fence, locked_until, answer from idempotency_keys where hash = $1");
    /// Goes on where somebody was killed before anything was done; $4 is the present.
    TAKE_OVER = both("update idempotency_keys set fence = fence + 1, locked_until = $3 where hash = $1 \
        and fence = $2 and state = 'running' and locked_until <= $4");
    /// In the transaction of what is done.
    MARK = both("update idempotency_keys set state = 'effective' where hash = $1 and fence = $2 \
        and state in ('running', 'effective')");
    ANSWER = both("update idempotency_keys set state = 'answered', answer = $3 where hash = $1 and fence = $2 \
        and state in ('running', 'effective')");
    /// Nothing was done.
    DROP = both("delete from idempotency_keys where hash = $1 and fence = $2 and state = 'running'");
    PRUNE = both("delete from idempotency_keys where created_at < $1");
    /// Those of a principal beyond the latest so many, some at a time.
    PRUNE_MANY = both("delete from idempotency_keys where hash in (select hash from idempotency_keys \
        where principal = $1 and state <> 'running' order by created_at desc, hash limit 100 offset $2)");
    DELETE_OF_PRINCIPAL = both("delete from idempotency_keys where principal = $1");
}
