//! Statements on `events`.

use super::{Sql, both, statements};

statements! {
    NEXT_SEQ = both("update event_counter set seq = seq + 1 where id = 1 returning seq as number");
    /// The next number is higher than $1, and than all that were given.
    RENUMBER = both("update event_counter set seq = case when seq < $1 then $1 else seq + 1 end where id = 1");
    LAST_SEQ = both("select seq as number from event_counter where id = 1");
    FIRST_SEQ = both("select min(seq) as number from events");
    INSERT = both("insert into events (seq, at, topic, asset_id, user_id, data) \
        values ($1, $2, $3, $4, $5, $6)");
    HAS = both("select seq as number from events where seq = $1");
    AFTER = both("select seq, at, topic, asset_id, user_id, data from events where seq > $1 order by seq limit $2");
    AFTER_OF_ASSET = both("select seq, at, topic, asset_id, user_id, data from events \
        where asset_id = $1 and seq > $2 order by seq limit $3");
    /// What was told of an asset, without what its owner called something.
    UNNAME_OF_ASSET = Sql {
        sqlite: "update events set data = json_remove(data, '$.file_name', '$.name', '$.note') where asset_id = $1",
        postgres: "update events set data = cast(cast(data as jsonb) - array['file_name', 'name', 'note'] as text) \
            where asset_id = $1",
    };
    PRUNE = both("delete from events where at < $1");
}
