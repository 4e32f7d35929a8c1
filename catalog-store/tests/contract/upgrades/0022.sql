-- Collections, channels, the bin and schedules.

insert into collections (id, kind, title, description, visibility, owner, version, created_at, updated_at)
values ('col_0000000000000000000000000a', 'series', 'A series', '', 'internal', 'usr_0000000000000000000000000v', 2,
        1790000000000, 1790000000100),
    ('col_0000000000000000000000000b', 'season', 'The first', 'Six parts.', 'private', 'usr_0000000000000000000000000v', 1,
        1790000000000, 1790000000100);
insert into collection_items (id, collection_id, asset_id, season_id, position)
values ('itm_0000000000000000000000000a', 'col_0000000000000000000000000a', null, 'col_0000000000000000000000000b', 0),
    ('itm_0000000000000000000000000b', 'col_0000000000000000000000000b', 'ast_0000000000000000000000000a', null, 0);
insert into collection_shares (collection_id, user_id, standing, created_at)
values ('col_0000000000000000000000000a', 'usr_0000000000000000000000000v', 'editor', 1790000000000);
insert into channels (id, handle, name, description, owner, version, created_at, updated_at)
values ('chn_0000000000000000000000000a', 'cinema', 'Cinéma', '', 'usr_0000000000000000000000000v', 1, 1790000000000,
    1790000000000);
insert into subscriptions (user_id, channel_id, created_at)
values ('usr_0000000000000000000000000v', 'chn_0000000000000000000000000a', 1790000000000);
update assets set channel_id = 'chn_0000000000000000000000000a', publish_at = 1790000000000, expire_at = 1900000000000,
    window_told = 1790000000000, stage_note = 'Well done.'
    where id = 'ast_0000000000000000000000000a';
update assets set binned_at = 1790000001000, bin_until = 1900000000000
    where id = 'ast_0000000000000000000000000c';
update assets set stage = 'approved' where id = 'ast_0000000000000000000000000d';
update catalog_settings set first_stage = 'draft';
