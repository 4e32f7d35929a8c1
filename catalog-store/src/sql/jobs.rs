//! Statements on `jobs`.

use super::{Sql, both, statements};

/// Leases the most urgent job that is due: queued, or abandoned by a worker whose lease ran out. $5 is the time in
/// which waiting raises a priority by one.
macro_rules! claim {
    ($lock:literal) => {
        concat!(
            "update jobs set state = 'running', worker = $1, lease_until = $2, fence = fence + 1, \
             attempts = attempts + 1, crashes = crashes + case when state = 'running' then 1 else 0 end, \
             started_at = $3, updated_at = $3 \
             where id = (select id from jobs where lane = $4 and ((state = 'queued' and run_at <= $3) \
             or (state = 'running' and lease_until < $3)) order by priority + ($3 - created_at) / $5 desc, id limit 1",
            $lock,
            ") returning id, asset_id, spec, attempts, crashes, failures, fence, run_at, needs_bytes"
        )
    };
}

/// A job of a lane ($1) of which the source is there as far as it needs it, although its upload is not complete.
/// $2 is the present, $3 the time in which waiting raises a priority by one.
macro_rules! permitted {
    ($columns:literal) => {
        concat!(
            "select ",
            $columns,
            " from jobs j join uploads u on u.asset_id = j.asset_id where j.lane = $1 and u.state = 'open' \
             and u.is_full = 0 and j.needs_bytes <= u.offset_bytes and ((j.state = 'queued' and j.run_at <= $2) \
             or (j.state = 'running' and j.lease_until < $2)) \
             order by j.priority + ($2 - j.created_at) / $3 desc, j.id limit 1"
        )
    };
}

/// Leases it to worker $4 until $5.
macro_rules! claim_permitted {
    ($lock:literal) => {
        concat!(
            "update jobs set state = 'running', worker = $4, lease_until = $5, fence = fence + 1, \
             attempts = attempts + 1, crashes = crashes + case when state = 'running' then 1 else 0 end, \
             started_at = $2, updated_at = $2 \
             where id = (",
            permitted!("j.id"),
            $lock,
            ") returning id, asset_id, spec, attempts, crashes, failures, fence, run_at, needs_bytes"
        )
    };
}

macro_rules! job_columns {
    () => {
        "id, asset_id, spec, state, lane, priority, attempts, failures, run_at, error, failure_code, worker, created_at, \
         started_at, updated_at"
    };
}

/// Jobs on one side of id `$1`, at most `$2`. What else is asked of them leads an index that goes on by their ids.
macro_rules! listed {
    ($meant:literal, $id:literal, $behind:literal, $direction:literal) => {
        concat!(
            "select ",
            job_columns!(),
            " from jobs where ",
            $meant,
            $id,
            $behind,
            " $1 order by ",
            $id,
            $direction,
            " limit $2"
        )
    };
}

/// The same of those that are meant, by the order of an index that PostgreSQL cannot take another one for.
macro_rules! narrowed {
    ($meant:literal, $behind:literal, $direction:literal) => {
        Sql {
            sqlite: listed!($meant, " id ", $behind, $direction),
            postgres: listed!($meant, " id collate \"C\" ", $behind, $direction),
        }
    };
}

statements! {
    INSERT = both("insert into jobs (id, asset_id, kind, spec, state, lane, priority, run_at, created_at, updated_at, \
        generation) values ($1, $2, $3, $4, 'queued', $5, $6, $7, $7, $7, $8)");
    /// The job that `CLAIM` would lease now; $3 is the time in which waiting raises a priority by one.
    NEXT = both("select id, asset_id, spec from jobs where lane = $1 and ((state = 'queued' and run_at <= $2) \
        or (state = 'running' and lease_until < $2)) order by priority + ($2 - created_at) / $3 desc, id limit 1");
    /// Adds a job that exists once; one that still waits is told that it is still wanted.
    DEMAND = both("insert into jobs (id, asset_id, kind, spec, state, lane, priority, run_at, created_at, updated_at, dedup_key, generation) \
        values ($1, $2, $3, $4, 'queued', $5, $6, $7, $7, $7, $8, $9) \
        on conflict (dedup_key) do update set run_at = excluded.run_at where jobs.state = 'queued'");
    /// Adds a job that may run once so many octets ($9) of an upload are there.
    INSERT_AHEAD = both("insert into jobs (id, asset_id, kind, spec, state, lane, priority, run_at, created_at, updated_at, \
        generation, needs_bytes) values ($1, $2, $3, $4, 'queued', $5, $6, $7, $7, $7, $8, $9)");
    NEXT_AHEAD = both(permitted!("j.id, j.asset_id, j.spec"));
    CLAIM_AHEAD = Sql { sqlite: claim_permitted!(""), postgres: claim_permitted!(" for update of j skip locked") };
    /// Has a job wait for more octets, unless its source is complete by now: then it runs like any other.
    HOLD = both("update jobs set state = 'queued', lease_until = null, worker = null, crashes = 0, error = $3, \
        needs_bytes = case when needs_bytes < $4 then $4 else needs_bytes end, run_at = $5, updated_at = $5 \
        where id = $1 and fence = $2 and state = 'running'");
    /// The source is complete: what waited for parts of it is work like any other. $3 is what was taken off the
    /// priority.
    JOIN_ALL = both("update jobs set needs_bytes = null, crashes = 0, priority = priority + $3, updated_at = $4, \
        lane = case lane when 'ahead_heavy' then 'heavy' else 'light' end \
        where asset_id = $1 and generation = $2 and needs_bytes is not null and state in ('queued', 'running')");
    /// Planning ahead is over once the whole source is there.
    END_PLANNING_AHEAD = both("update jobs set state = 'failed', lease_until = null, \
        error = 'cancelled: the upload is complete', failure_code = 'cancelled', updated_at = $2 \
        where asset_id = $1 and kind = 'ahead' and state in ('queued', 'running')");
    PLANNED_AHEAD = both("select count(*) as number from jobs where asset_id = $1 and kind = 'ahead'");
    /// Unfinished uploads that are worked on and have moved since $1.
    COUNT_AHEAD = both("select count(*) as number from uploads u where u.state = 'open' and u.updated_at >= $1 and exists \
        (select 1 from jobs j where j.asset_id = u.asset_id and j.kind = 'ahead' and j.state <> 'failed')");
    RAISE = both("update jobs set priority = $3 where asset_id = $1 and spec = $2 and state = 'queued' and priority < $3");
    STATE_OF_SPEC = both("select state as text from jobs \
        where asset_id = $1 and spec = $2 and state in ('queued', 'running')");
    DEMANDED = both("select count(*) as number from jobs where kind = $1 and state in ('queued', 'running')");
    DEMANDED_OF_ASSET = both("select count(*) as number from jobs \
        where asset_id = $1 and kind = $2 and state in ('queued', 'running')");
    // SQLite has one writer at a time, so there is nothing to skip.
    CLAIM = Sql { sqlite: claim!(""), postgres: claim!(" for update skip locked") };
    /// Wakes the workers of other processes; SQLite knows no such thing, and they look at the queue now and then.
    WAKE = Sql { sqlite: "select 1", postgres: "select pg_notify('headwater_jobs', '')" };
    HEARTBEAT = both("update jobs set lease_until = $3, updated_at = $4 \
        where id = $1 and fence = $2 and state = 'running'");
    /// Proves the lease inside a transaction; progress forgives earlier crashes.
    PROGRESS = both("update jobs set crashes = 0, updated_at = $3 where id = $1 and fence = $2 and state = 'running'");
    /// Has a job that waits run at once; how many there are.
    HASTEN = both("update jobs set run_at = $3, updated_at = $3 where asset_id = $1 and spec = $2 and state = 'queued'");
    RELEASE = both("update jobs set state = 'queued', lease_until = null, worker = null, attempts = attempts - 1, \
        run_at = $3, updated_at = $3 where id = $1 and fence = $2 and state = 'running'");
    RETRY = both("update jobs set state = 'queued', lease_until = null, worker = null, crashes = 0, failures = failures + 1, error = $3, \
        run_at = $4, updated_at = $5 where id = $1 and fence = $2 and state = 'running'");
    /// As `RETRY`, but it was nobody's failure.
    POSTPONE = both("update jobs set state = 'queued', lease_until = null, worker = null, crashes = 0, error = $3, \
        run_at = $4, updated_at = $5 where id = $1 and fence = $2 and state = 'running'");
    DONE = both("update jobs set state = 'done', lease_until = null, error = null, dedup_key = null, updated_at = $3 \
        where id = $1 and fence = $2 and state = 'running'");
    FAILED = both("update jobs set state = 'failed', lease_until = null, error = $3, failure_code = $4, \
        dedup_key = null, updated_at = $5 \
        where id = $1 and fence = $2 and state = 'running'");
    CANCEL_OF_ASSET = both("update jobs set state = 'failed', lease_until = null, error = $2, \
        failure_code = 'cancelled', dedup_key = null, updated_at = $3 \
        where asset_id = $1 and state in ('queued', 'running')");
    /// The same, but what removes objects goes on.
    CANCEL_WORK_ON_ASSET = both("update jobs set state = 'failed', lease_until = null, error = $2, \
        failure_code = 'cancelled', dedup_key = null, updated_at = $3 \
        where asset_id = $1 and state in ('queued', 'running') and kind <> 'retire'");
    CANCEL_OF_GENERATION = both("update jobs set state = 'failed', lease_until = null, error = $3, \
        failure_code = 'cancelled', dedup_key = null, updated_at = $4 \
        where asset_id = $1 and generation = $2 and state in ('queued', 'running') and kind <> 'retire'");
    /// Gives back what a worker of this name held when its process ended.
    EXPIRE_OF_WORKER = both("update jobs set lease_until = 0, updated_at = $2 where worker = $1 and state = 'running'");
    DELETE_SETTLED_OF_ASSET = both("delete from jobs where asset_id = $1 and state in ('done', 'failed')");
    OF_ASSET = both(concat!("select ", job_columns!(), " from jobs where asset_id = $1 order by id"));
    ONE = both(concat!("select ", job_columns!(), " from jobs where id = $1"));
    /// The one that plans an output ($2) of an asset that plays.
    PLANNING = both("select id as text from jobs where asset_id = $1 and generation = $2 and kind = 'reprocess' \
        order by id desc limit 1");
    LIST = both(listed!("", "id ", "<", "desc"));
    LIST_BEFORE = both(listed!("", "id ", ">", "asc"));
    LIST_OF_ASSET = both(listed!("asset_id = $3 and", " id ", "<", "desc"));
    LIST_OF_ASSET_BEFORE = both(listed!("asset_id = $3 and", " id ", ">", "asc"));
    LIST_IN_STATE = narrowed!("state = $3 and", "<", "desc");
    LIST_IN_STATE_BEFORE = narrowed!("state = $3 and", ">", "asc");
    LIST_OF_KIND = narrowed!("kind = $3 and", "<", "desc");
    LIST_OF_KIND_BEFORE = narrowed!("kind = $3 and", ">", "asc");
    LIST_OF_KIND_IN_STATE = narrowed!("kind || '.' || state = $3 and", "<", "desc");
    LIST_OF_KIND_IN_STATE_BEFORE = narrowed!("kind || '.' || state = $3 and", ">", "asc");
    /// Removals that wait for players to end are left out: nobody waits for them.
    UNFINISHED = both("select count(*) as number from jobs where state in ('queued', 'running') \
        and not (kind = 'retire' and state = 'queued' and run_at > created_at)");
    UNFINISHED_OF_ASSET = both("select count(*) as number from jobs \
        where asset_id = $1 and state in ('queued', 'running') \
        and not (kind = 'retire' and state = 'queued' and run_at > created_at)");
    COUNTS = both("select kind, state, count(*) as number from jobs group by kind, state order by kind, state");
    NEXT_DUE = both("select min(case when state = 'queued' then run_at else lease_until + 1 end) as number from jobs \
        where lane = $1 and state in ('queued', 'running')");
}
