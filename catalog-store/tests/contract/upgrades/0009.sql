-- Which upload took a part.

update uploads set taken_by = 'upl_0000000000000000000000000a', grant_id = 'grant-1'
    where id = 'upl_0000000000000000000000000d';
