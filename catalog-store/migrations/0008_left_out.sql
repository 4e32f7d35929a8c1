-- What a generation lacks and why, and how the decoding of its pictures went. Common to both engines.

alter table generations add column left_out text not null default '[]';
alter table generations add column pictures_good bigint not null default 0;
alter table generations add column pictures_bad bigint not null default 0;
alter table generations add column pictures_repeated bigint not null default 0;
