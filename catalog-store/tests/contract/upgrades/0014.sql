-- Markers.

update assets set markers = '[]' where id = 'ast_0000000000000000000000000a';
