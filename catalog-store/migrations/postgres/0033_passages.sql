-- What passages hold is stored beside them, so that finding many of them reads few pages. For PostgreSQL; what is there
-- already stays as it is.
alter table search_passages set (toast_tuple_target = 128);
