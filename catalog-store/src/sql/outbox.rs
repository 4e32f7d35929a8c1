//! Statements on `purge_targets`, where all readers of the events have their places.

use super::{both, statements};

statements! {
    /// A target that nobody knew begins with what comes next.
    ADD = both("insert into purge_targets (name, seq, failures, retry_at, given_up, holder, lease_until) \
        select $1, seq, 0, 0, 0, '', 0 from event_counter where id = 1 on conflict (name) do nothing");
    /// Takes or keeps the right to tell a target; $4 is the present.
    HOLD = both("update purge_targets set holder = $2, lease_until = $3 \
        where name = $1 and (holder = $2 or lease_until < $4) \
        returning name, seq, failures, failing_since, error, retry_at, given_up");
    RELEASE = both("update purge_targets set lease_until = 0 where name = $1 and holder = $2");
    TOLD = both("update purge_targets set seq = $3, failures = 0, failing_since = null, error = null, retry_at = 0 \
        where name = $1 and holder = $2 and seq <= $3");
    /// $3 is what went wrong, $4 when to try again, $5 the present.
    FAILED = both("update purge_targets set failures = failures + 1, error = $3, retry_at = $4, \
        failing_since = case when failing_since is null then $5 else failing_since end where name = $1 and holder = $2");
    /// It stays known that the target fails.
    GIVEN_UP = both("update purge_targets set seq = $3, given_up = given_up + 1 \
        where name = $1 and holder = $2 and seq <= $3");
    TARGETS = both("select name, seq, failures, failing_since, error, retry_at, given_up from purge_targets \
        where name not like '@%' order by name");
}
