-- Whose an asset is.

update assets set owner = 'ci' where id = 'ast_0000000000000000000000000a';
