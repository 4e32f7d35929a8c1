-- What was written lately is found in the index itself, and not in a list beside it through which each search went from
-- end to end. To write an asset takes a moment longer by it.
alter index search_words set (fastupdate = off);
select gin_clean_pending_list('search_words');
