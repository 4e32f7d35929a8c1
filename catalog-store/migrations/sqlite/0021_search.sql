-- What a search looks into. For SQLite.

-- Numbers of assets in it: ids of passages are the number of the asset times 65536, plus the number of the passage.
create table search_documents (
    doc_no integer primary key,
    asset_id text not null unique references assets (id) on delete cascade,
    -- Its subtitles, which were cut before there was a search, are to be read again.
    is_asked bigint not null default 0
);

-- At most a few hundred words each. The body holds cues, of those that consist of them.
create table search_passages (
    id integer primary key,
    -- The transcript that it is of.
    source text,
    body text
);
-- The words are folded and put apart by the program: anything but ASCII is a letter, and blanks stand between words.
create virtual table search_words using fts5(words, content='', contentless_delete=1, tokenize='ascii');
create view search_entries as select id, source, body, '' as words from search_passages;
create trigger search_entries_put instead of insert on search_entries begin
    insert into search_passages (id, source, body) values (new.id, new.source, new.body);
    insert into search_words (rowid, words) values (new.id, new.words);
end;
create trigger search_passages_gone after delete on search_passages begin
    delete from search_words where rowid = old.id;
end;

-- Words of titles, labels and descriptions, and the three letters at a time by which slips of the hand find them.
create table search_trigrams (
    trigram text not null,
    word text not null,
    primary key (trigram, word)
);

-- By which rules what is stored was folded and cut; anything else than the program's is built anew.
create table search_rules (
    id bigint not null primary key,
    version bigint not null
);
insert into search_rules (id, version) values (1, 0);
-- Whether all subtitles that were cut before there was a search are read again.
insert into search_rules (id, version) values (2, 0);
