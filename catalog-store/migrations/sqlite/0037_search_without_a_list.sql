-- PostgreSQL's index of words has a list beside it that SQLite's has not: there is nothing to do here.
select 1;
