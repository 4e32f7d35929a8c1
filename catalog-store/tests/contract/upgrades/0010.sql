-- Outputs that take each other's place.

update assets set generation_taken = 2 where id = 'ast_0000000000000000000000000a';
update assets set generation_taken = 1 where id = 'ast_0000000000000000000000000d';
update assets set reprocess_failure = '{"code":"internal","message":"The disk was full."}'
    where id = 'ast_0000000000000000000000000a';
update jobs set generation = 1 where id in ('job_0000000000000000000000000b', 'job_0000000000000000000000000c');
