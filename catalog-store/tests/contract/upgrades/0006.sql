-- Subtitle files and chapters.

insert into texts (id, asset_id, language, name, charset, is_forced, is_default, is_removed, state, report, generation,
    rendition, created_at)
values ('txt_0000000000000000000000000a', 'ast_0000000000000000000000000a', 'fr', 'Français', 'windows-1252', 0, 1, 0,
    'unusable', '{"format":null,"charset":null,"cues":0,"dropped":0,"outside":0,"problems":[{"line":3,"what":"no time"}],"reason":"Nothing in it can be read."}',
    1, null, 1790000061000);
update assets set chapters = '[]', wishes = 2 where id = 'ast_0000000000000000000000000a';
update generations set revision_taken = 3, revision = 2, is_complete = 1
    where asset_id = 'ast_0000000000000000000000000a';
