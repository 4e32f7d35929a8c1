//! Statements on `audit_log`.

use super::{both, statements};

statements! {
    /// Takes the head until commit.
    NEXT = both("update audit_head set seq = seq + 1 where id = 1 returning seq, hash");
    HEAD = both("select seq, hash from audit_head where id = 1");
    SET_HEAD = both("update audit_head set hash = $1 where id = 1");
    INSERT = both("insert into audit_log (seq, at, actor, action, subject, data, hash) \
        values ($1, $2, $3, $4, $5, $6, $7)");
    COUNT_SEAL = both("select count(*) as number from audit_log where hash = $1");
    AFTER = both("select seq, at, actor, action, subject, data, hash from audit_log where seq > $1 \
        order by seq limit $2");
    BEFORE = both("select seq, at, actor, action, subject, data, hash from audit_log where seq < $1 \
        order by seq desc limit $2");
}
