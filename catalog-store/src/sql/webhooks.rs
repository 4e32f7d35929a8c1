//! Statements on `webhooks` and `webhook_deliveries`.

use super::{both, statements};

macro_rules! columns {
    () => {
        "id, owner, url, description, topics, secret, previous_secret, previous_until, since_seq, disabled_reason, \
         rests_until, succeeded_at, version, created_at, updated_at"
    };
}

macro_rules! delivery_columns {
    () => {
        "id, webhook_id, seq, topic, payload, state, attempts, log, next_at, fence, created_at, updated_at"
    };
}

/// Messages of the webhook `$1` on one side of `$2`, at most `$4`; `$3` is a state, or `%` for all.
macro_rules! deliveries {
    ($behind:literal, $direction:literal) => {
        concat!(
            "select ",
            delivery_columns!(),
            " from webhook_deliveries where webhook_id = $1 and id ",
            $behind,
            " $2 and state like $3 order by id ",
            $direction,
            " limit $4"
        )
    };
}

statements! {
    INSERT = both("insert into webhooks (id, owner, url, description, topics, secret, since_seq, created_at, \
        updated_at) select $1, $2, $3, $4, $5, $6, seq, $7, $7 from event_counter where id = 1");
    COUNT_ALL = both("select count(*) as number from webhooks");
    COUNT_OFF = both("select count(*) as number from webhooks where disabled_reason is not null");
    /// Messages by state, without those that wait for one that is off.
    BY_STATE = both("select d.state, count(*) as number, min(d.created_at) as oldest from webhook_deliveries d \
        join webhooks w on w.id = d.webhook_id where d.state <> 'pending' or w.disabled_reason is null \
        group by d.state order by d.state");
    COUNT = both("select count(*) as number from webhooks where owner = $1");
    BY_ID = both(concat!("select ", columns!(), " from webhooks where id = $1"));
    OF_OWNER = both(concat!("select ", columns!(), " from webhooks where owner = $1 order by id desc"));
    /// Those that are sent to.
    ENABLED = both(concat!("select ", columns!(), " from webhooks where disabled_reason is null order by id"));
    /// Takes the row until commit and counts the change.
    LOCK = both(concat!("update webhooks set version = version + 1, updated_at = $2 where id = $1 returning ",
        columns!()));
    SET = both("update webhooks set url = $2, description = $3, topics = $4, disabled_reason = $5, rests_until = 0 \
        where id = $1");
    SET_SECRETS = both("update webhooks set secret = $2, previous_secret = $3, previous_until = $4 where id = $1");
    DISABLE = both("update webhooks set disabled_reason = $2, version = version + 1, updated_at = $3 \
        where id = $1 and disabled_reason is null");
    REST = both("update webhooks set rests_until = $2 where id = $1 and rests_until < $2");
    SUCCEEDED = both("update webhooks set succeeded_at = $2 where id = $1");
    DELETE = both("delete from webhooks where id = $1 and owner = $2");
    DELETE_OF_OWNER = both("delete from webhooks where owner = $1");

    DELIVERY_INSERT = both("insert into webhook_deliveries (id, webhook_id, seq, topic, payload, state, next_at, \
        created_at, updated_at) values ($1, $2, $3, $4, $5, 'pending', $6, $6, $6) \
        on conflict (webhook_id, seq) do nothing");
    PENDING = both("select count(*) as number from webhook_deliveries where webhook_id = $1 and state = 'pending'");
    DELIVERY = both(concat!("select ", delivery_columns!(), " from webhook_deliveries where id = $1 and webhook_id = $2"));
    DELIVERIES = both(deliveries!("<", "desc"));
    DELIVERIES_BEFORE = both(deliveries!(">", "asc"));
    /// How many are due that nobody sends; $1 is the present.
    DUE = both("select count(*) as number from (select 1 from webhook_deliveries d join webhooks w \
        on w.id = d.webhook_id where d.state = 'pending' and d.next_at <= $1 and d.lease_until < $1 \
        and w.disabled_reason is null and w.rests_until <= $1 and not exists (select 1 from webhook_deliveries o \
        where o.webhook_id = d.webhook_id and o.state = 'pending' and o.lease_until >= $1) limit 1) due");
    /// Takes what is due longest, in the order of events where many came at once, one for each webhook at a time; $3 is
    /// the present. On PostgreSQL the last condition is looked at again once the row is ours, so nothing is taken twice.
    CLAIM = both(concat!("update webhook_deliveries set holder = $1, lease_until = $2, fence = fence + 1 where id = \
        (select d.id from webhook_deliveries d join webhooks w on w.id = d.webhook_id \
        where d.state = 'pending' and d.next_at <= $3 and d.lease_until < $3 and w.disabled_reason is null \
        and w.rests_until <= $3 and not exists (select 1 from webhook_deliveries o \
        where o.webhook_id = d.webhook_id and o.state = 'pending' and o.lease_until >= $3) \
        order by d.next_at, coalesce(d.seq, 0), d.id limit 1) and state = 'pending' and lease_until < $3 returning ",
        delivery_columns!()));
    SETTLE = both("update webhook_deliveries set state = $4, attempts = attempts + 1, log = $5, next_at = $6, \
        lease_until = 0, updated_at = $7 where id = $1 and holder = $2 and fence = $3 and state = 'pending'");
    RELEASE = both("update webhook_deliveries set lease_until = 0 where holder = $1 and state = 'pending' \
        and lease_until > 0");
    /// Sends one again, from the first attempt on; one that waits for its next attempt waits no longer.
    REPLAY = both("update webhook_deliveries set state = 'pending', \
        attempts = case when state = 'pending' then attempts else 0 end, \
        next_at = case when state = 'pending' and next_at < $3 then next_at else $3 end, updated_at = $3 \
        where id = $1 and webhook_id = $2");
    /// The same for those of a time; $6 is a state, or `%` for all that are over.
    REPLAY_RANGE = both("update webhook_deliveries set state = 'pending', attempts = 0, next_at = $4, updated_at = $4 \
        where id in (select id from webhook_deliveries where webhook_id = $1 and created_at >= $2 \
        and created_at < $3 and state <> 'pending' and state like $6 order by id limit $5)");
    PRUNE = both("delete from webhook_deliveries where created_at < $1");
    /// Those beyond the latest so many of a webhook, some at a time.
    PRUNE_MANY = both("delete from webhook_deliveries where id in (select id from webhook_deliveries \
        where webhook_id = $1 and state <> 'pending' order by id desc limit 1000 offset $2)");
}
