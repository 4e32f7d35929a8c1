-- What people say about an asset.

update assets set about = '{"title":"Système D","tags":["Noir"],"external_ids":{"imdb":"tt0133093"}}', about_version = 2,
    title = 'Système D', kind = 'video', released_on = '', title_key = 'systeme d' where id = 'ast_0000000000000000000000000a';
update assets set kind = 'video', title_key = 'a title' where id = 'ast_0000000000000000000000000d';
insert into asset_labels (asset_id, kind, label_key, label)
values ('ast_0000000000000000000000000a', 'tag', 'noir', 'Noir');
insert into asset_external_ids (asset_id, scheme, external_id)
values ('ast_0000000000000000000000000a', 'imdb', 'tt0133093');
