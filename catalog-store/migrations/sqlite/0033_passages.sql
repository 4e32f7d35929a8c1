-- Nothing changes in SQLite, where the words are not stored with the passages.
select 1;
