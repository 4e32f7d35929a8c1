//! Statements on what a search looks into.
//!
//! The id of a passage is the number of its asset times 65536, plus its own: `>> 16` is the asset, `>> 13 & 7` the
//! field, and from 4 on it is a transcript. What is looked for is a list of terms: `t` is the number of one, `q` what it is
//! in the engine's own words.

use super::{Sql, both, statements};

/// The terms in `$1`.
macro_rules! terms {
    (sqlite) => {
        "terms as materialized (select json_extract(value, '$.t') as t, json_extract(value, '$.q') as q from json_each($1))"
    };
    (postgres) => {
        "terms as materialized (select x.t, cast(x.q as tsquery) as q \
         from jsonb_to_recordset(cast($1 as jsonb)) as x (t bigint, q text))"
    };
}

/// The number of this change.
macro_rules! change {
    (sqlite) => {
        "(select max(coalesce((select max(changed) from search_documents), 0), version) + 1 from search_rules where id = 3)"
    };
    (postgres) => {
        "txid_current()"
    };
}

/// Every change below it is seen by this statement.
macro_rules! horizon {
    (sqlite) => {
        change!(sqlite)
    };
    (postgres) => {
        "txid_snapshot_xmin(txid_current_snapshot())"
    };
}

/// The `$3` assets that were changed last, not before `$2`.
macro_rules! changes {
    ($but:literal) => {
        concat!(
            "changes as materialized (select doc_no as doc, changed from search_documents where changed >= $2",
            $but,
            " order by changed desc limit $3)"
        )
    };
    (sqlite) => {
        changes!("")
    };
    // What no transaction can have done yet was done in another database, of which this is a copy.
    (postgres) => {
        changes!(" and changed < txid_snapshot_xmax(txid_current_snapshot())")
    };
}

/// The terms in `$1` and the horizons of what was found of them.
macro_rules! kept_terms {
    (sqlite) => {
        "terms as materialized (select json_extract(value, '$.t') as t, json_extract(value, '$.q') as q, \
         json_extract(value, '$.h') as h from json_each($1))"
    };
    (postgres) => {
        "terms as materialized (select x.t, cast(x.q as tsquery) as q, x.h \
         from jsonb_to_recordset(cast($1 as jsonb)) as x (t bigint, q text, h bigint))"
    };
}

/// The horizon, those assets and since when none is missing, and where each term is in them of which none is missing.
macro_rules! renewed {
    ($engine:ident, $with:literal, $numbers:literal, $found:literal) => {
        concat!(
            "with ",
            kept_terms!($engine),
            ", ",
            changes!($engine),
            ", told as materialized (select case when count(*) < $3 then 0 else min(changed) + 1 end as since from changes)",
            $with,
            " select cast(-1 as bigint) as t, ",
            horizon!($engine),
            " as number, cast(null as text) as ids union all select -2, \
             (select since from told), (select ",
            $numbers,
            " from changes) union all select t.t, 0, ",
            $found,
            " from terms t where t.h >= (select since from told)"
        )
    };
}

/// Has what is known of an asset looked for anew.
macro_rules! put_document {
    ($engine:ident) => {
        concat!(
            "insert into search_documents (asset_id, changed) values ($1, ",
            change!($engine),
            ") on conflict (asset_id) do update set changed = excluded.changed returning doc_no as number"
        )
    };
}
macro_rules! touch_document {
    ($engine:ident) => {
        concat!(
            "update search_documents set changed = ",
            change!($engine),
            " where asset_id = $1 returning doc_no as number"
        )
    };
}

/// The assets of the numbers in `$1` that may be seen and are `$asked` for; the present is `$12`.
macro_rules! listed {
    (sqlite, $columns:expr, $asked:expr) => {
        concat!(
            "select ", $columns, " from (select key, value from json_each($1)) j join search_documents d on d.doc_no = j.value \
             join assets a on a.id = d.asset_id where ",
            super::assets::is_listed!($asked, "$12")
        )
    };
    (postgres, $columns:expr, $asked:expr) => {
        concat!(
            "select ", $columns, " from jsonb_array_elements_text(cast($1 as jsonb)) with ordinality as j (value, key) \
             join search_documents d on d.doc_no = cast(j.value as bigint) join assets a on a.id = d.asset_id where ",
            super::assets::is_listed!($asked, "$12")
        )
    };
}

macro_rules! page {
    ($engine:ident, $asked:expr) => {
        concat!(
            listed!($engine, concat!(super::assets::asset_columns!(), ", d.doc_no as document"), $asked),
            " order by j.key limit $2"
        )
    };
}

/// The labels and kinds of all that match, the most frequent first.
macro_rules! facets {
    ($engine:ident) => {
        concat!(
            "with matching as (", listed!($engine, "a.id, a.kind", super::assets::is_asked!()), "), \
             counted as (select l.kind, l.label_key, min(l.label) as label, count(*) as number from matching m \
             join asset_labels l on l.asset_id = m.id group by l.kind, l.label_key \
             union all select 'kind', m.kind, m.kind, count(*) from matching m where m.kind is not null group by m.kind), \
             numbered as (select kind, label, number, row_number() over (partition by kind \
             order by number desc, label_key) as place from counted) \
             select kind, label, number from numbered where place <= $2 order by kind, place"
        )
    };
}

/// The assets in `$2`, by number.
macro_rules! documents {
    (sqlite) => {
        "documents as materialized (select d.doc_no as doc, d.asset_id from json_each($2) j \
         join search_documents d on d.asset_id = j.value)"
    };
    (postgres) => {
        "documents as materialized (select d.doc_no as doc, d.asset_id \
         from jsonb_array_elements_text(cast($2 as jsonb)) j join search_documents d on d.asset_id = j.value)"
    };
}

/// What a passage holds, one at a time: PostgreSQL expects far more of them than there are, and would read all.
macro_rules! passage {
    (sqlite, $id:literal) => {
        concat!("join search_passages p on p.id = ", $id)
    };
    (postgres, $id:literal) => {
        concat!("cross join lateral (select source, body from search_passages where id = ", $id, " offset 0) p")
    };
}

/// Their passages of transcripts in which something is said that is looked for, and how much of it.
macro_rules! said {
    (sqlite) => {
        concat!(
            "with ",
            terms!(sqlite),
            ", ",
            documents!(sqlite),
            ", said as (select d.asset_id, s.rowid as id, \
             count(distinct t.t) as number from documents d cross join terms t cross join search_words s \
             where s.search_words match t.q and s.rowid between d.doc * 65536 + 32768 and d.doc * 65536 + 65535 \
             group by 1, 2)"
        )
    };
    (postgres) => {
        concat!(
            "with ",
            terms!(postgres),
            ", ",
            documents!(postgres),
            ", said as (select d.asset_id, s.id, \
             count(distinct t.t) as number from documents d cross join terms t cross join lateral (\
             select p.id from search_passages p where p.words @@ t.q \
             and p.id between d.doc * 65536 + 32768 and d.doc * 65536 + 65535 offset 0) s group by 1, 2)"
        )
    };
}

/// The passages on one side of `$4` in which all `$3` terms are said.
macro_rules! all_said {
    ($engine:ident, $behind:literal, $direction:literal) => {
        concat!(
            said!($engine),
            " select s.asset_id, s.id, p.source, p.body from said s ",
            passage!($engine, "s.id"),
            " where s.number = $3 and s.id ",
            $behind,
            " $4 order by s.id ",
            $direction,
            " limit $5"
        )
    };
}

statements! {
    PUT_DOCUMENT = Sql { sqlite: put_document!(sqlite), postgres: put_document!(postgres) };
    TOUCH_DOCUMENT = Sql { sqlite: touch_document!(sqlite), postgres: touch_document!(postgres) };
    DOCUMENT = both("select doc_no as number from search_documents where asset_id = $1");
    DROP_DOCUMENT = both("delete from search_documents where asset_id = $1");
    DROP_PASSAGES = both("delete from search_passages where id between $1 and $2");
    PUT_PASSAGES = Sql {
        sqlite: "insert into search_entries (id, source, body, words) select json_extract(value, '$.i'), \
            json_extract(value, '$.s'), json_extract(value, '$.b'), json_extract(value, '$.w') from json_each($1)",
        postgres: "insert into search_passages (id, source, body, words) \
            select x.i, x.s, x.b, cast(x.w as tsvector) \
            from jsonb_to_recordset(cast($1 as jsonb)) as x (i bigint, s text, b text, w text)",
    };
    /// Which transcripts there are, by the slots in which they lie.
    SLOTS = both("select distinct source, (id >> 11) & 15 as number from search_passages where id between $1 and $2");
    /// The trigrams of words that are not known; those of one word are written together.
    PUT_TRIGRAMS = Sql {
        sqlite: "insert into search_trigrams (trigram, word) select t.value, json_extract(w.value, '$.w') \
            from json_each($1) w cross join json_each(w.value, '$.t') t where not exists (select 1 from search_trigrams s \
            where s.trigram = json_extract(w.value, '$.t[0]') and s.word = json_extract(w.value, '$.w')) \
            on conflict do nothing",
        postgres: "insert into search_trigrams (trigram, word) select t.value, x.w \
            from (select w, t from jsonb_to_recordset(cast($1 as jsonb)) as x (w text, t jsonb) \
            where not exists (select 1 from search_trigrams s where s.trigram = x.t ->> 0 and s.word = x.w) offset 0) x \
            cross join lateral jsonb_array_elements_text(x.t) t on conflict do nothing",
    };
    /// Some rows behind `$1` and `$2`, in their order.
    SOME_TRIGRAMS = both("select trigram, word from search_trigrams where (trigram, word) > ($1, $2) \
        order by trigram, word limit $3");
    /// Which of these words are in no passage.
    UNSAID = Sql {
        sqlite: "select json_extract(j.value, '$.w') as text from json_each($1) j where not exists (\
            select 1 from search_words s where s.search_words match json_extract(j.value, '$.q'))",
        postgres: "select x.w as text from jsonb_to_recordset(cast($1 as jsonb)) as x (w text, q text) \
            where not exists (select 1 from search_passages p where p.words @@ cast(x.q as tsquery))",
    };
    /// Keeps others from writing words until commit, unless one does at this moment. SQLite has one writer anyway.
    HOLD_TRIGRAMS = Sql {
        sqlite: "select 1",
        postgres: "lock table search_trigrams in share row exclusive mode nowait",
    };
    DROP_TRIGRAMS = Sql {
        sqlite: "delete from search_trigrams where (trigram, word) in (select t.value, json_extract(w.value, '$.w') \
            from json_each($1) w cross join json_each(w.value, '$.t') t)",
        postgres: "delete from search_trigrams s using jsonb_to_recordset(cast($1 as jsonb)) as x (w text, t jsonb) \
            cross join lateral jsonb_array_elements_text(x.t) t where s.trigram = t.value and s.word = x.w",
    };
    /// Words that share at least `$2` of the trigrams in `$1`.
    SHARING = Sql {
        sqlite: "select word as text from search_trigrams where trigram in (select value from json_each($1)) \
            group by word having count(*) >= $2 order by count(*) desc, word limit $3",
        postgres: "select word as text from search_trigrams \
            where trigram in (select value from jsonb_array_elements_text(cast($1 as jsonb))) \
            group by word having count(*) >= $2 order by count(*) desc, word limit $3",
    };
    /// Those of the words in `$1` that are known, each by one of its trigrams.
    KNOWN = Sql {
        sqlite: "select s.word as text from json_each($1) j cross join search_trigrams s \
            where s.trigram = json_extract(j.value, '$.t') and s.word = json_extract(j.value, '$.w')",
        postgres: "select s.word as text from jsonb_to_recordset(cast($1 as jsonb)) as j (t text, w text) \
            join search_trigrams s on s.trigram = j.t and s.word = j.w",
    };
    /// Where each term is: at most the `$2` passages of the newest assets.
    FOUND = Sql {
        sqlite: concat!("with ", terms!(sqlite), " select t.t, ", horizon!(sqlite), " as number, (select group_concat(id) \
            from (select s.rowid as id from search_words s where s.search_words match t.q order by s.rowid desc limit $2)) \
            as ids from terms t"),
        // PostgreSQL would go through all passages by their ids until it has found so many.
        postgres: concat!("with ", terms!(postgres), " select t.t, ", horizon!(postgres), " as number, \
            cast(array(select id from (select p.id from search_passages p where p.words @@ t.q offset 0) m \
            order by id desc limit $2) as text) as ids from terms t"),
    };
    /// The words that are in most passages, as PostgreSQL counts a sample now and then. SQLite counts none.
    USUAL_WORDS = Sql {
        sqlite: "select '' as text where $1 < 0",
        postgres: "select w.word as text from pg_stats s cross join lateral unnest(\
            cast(cast(s.most_common_elems as text) as text[]), s.most_common_elem_freqs) as w (word, share) \
            where s.schemaname = current_schema() and s.tablename = 'search_passages' and s.attname = 'words' \
            and w.word is not null order by w.share desc, w.word limit $1",
    };
    /// Where each term is in what was changed, at most `$3` assets, since `$2`.
    RENEWED = Sql {
        sqlite: renewed!(sqlite, "", "group_concat(doc)", "(select group_concat(s.rowid) from changes c \
            cross join search_words s where s.search_words match t.q \
            and s.rowid between c.doc * 65536 and c.doc * 65536 + 65535)"),
        // What was changed is read once, however many terms are looked for in it.
        postgres: renewed!(postgres, ", passages as materialized (select p.id, p.words from changes c cross join lateral \
            (select id, words from search_passages where id between c.doc * 65536 and c.doc * 65536 + 65535 offset 0) p)",
            "string_agg(cast(doc as text), ',')",
            "cast(array(select p.id from passages p where p.words @@ t.q) as text)"),
    };
    /// The first `$2` of them.
    PAGE = Sql {
        sqlite: page!(sqlite, super::assets::is_asked!()),
        postgres: page!(postgres, super::assets::is_asked!()),
    };
    /// The same where nothing is asked for but words: PostgreSQL need not plan it each time.
    PAGE_OF_ALL = Sql {
        sqlite: page!(sqlite, super::assets::is_any!()),
        postgres: page!(postgres, super::assets::is_any!()),
    };
    FACETS = Sql { sqlite: facets!(sqlite), postgres: facets!(postgres) };
    /// The passages of the ids in `$1`.
    PASSAGES = Sql {
        sqlite: "select d.asset_id, p.id, p.source, p.body from json_each($1) j join search_passages p \
            on p.id = j.value join search_documents d on d.doc_no = p.id >> 16 order by p.id",
        postgres: "select d.asset_id, p.id, p.source, p.body from jsonb_array_elements_text(cast($1 as jsonb)) j \
            cross join lateral (select id, source, body from search_passages where id = cast(j.value as bigint) \
            offset 0) p join search_documents d on d.doc_no = p.id >> 16 order by p.id",
    };
    ALL_SAID = Sql { sqlite: all_said!(sqlite, ">", "asc"), postgres: all_said!(postgres, ">", "asc") };
    ALL_SAID_BEFORE = Sql { sqlite: all_said!(sqlite, "<", "desc"), postgres: all_said!(postgres, "<", "desc") };
    /// Which transcripts of an asset there are.
    SOURCES = both("select distinct p.source as text from search_documents d join search_passages p \
        on p.id between d.doc_no * 65536 + 32768 and d.doc_no * 65536 + 65535 \
        where d.asset_id = $1 and p.source is not null");
    /// Assets that play, with subtitles and without a transcript, of which nobody asked for one.
    SILENT = both("select d.asset_id as text from search_documents d join assets a on a.id = d.asset_id \
        where d.is_asked = 0 and a.state = 'ready' \
        and (exists (select 1 from texts t where t.asset_id = a.id and t.state = 'ready' and t.is_removed = 0) \
            or exists (select 1 from generations g where g.asset_id = a.id and g.generation = a.generation \
                and g.subtitles is not null and g.subtitles <> '[]')) \
        and not exists (select 1 from search_passages p \
            where p.id between d.doc_no * 65536 + 32768 and d.doc_no * 65536 + 65535) \
        order by d.doc_no limit $1");
    SET_ASKED = both("update search_documents set is_asked = 1 where asset_id = $1");
    SILENCE = both("select version as number from search_rules where id = 2");
    SET_SILENCE = both("update search_rules set version = 1 where id = 2");
    RULES = both("select version as number from search_rules where id = 1");
    SET_RULES = both("update search_rules set version = $1 where id = 1");
}
