-- What a generation lacks.

update generations set left_out = '[]', pictures_good = 750, pictures_bad = 1, pictures_repeated = 2, loudness = '[]'
    where asset_id = 'ast_0000000000000000000000000a';
