-- What people are told.

insert into notifications (id, user_id, seq, kind, asset_id, data, mail_due, created_at, read_at)
values ('ntf_0000000000000000000000000a', 'usr_0000000000000000000000000v', 2, 'asset_ready',
    'ast_0000000000000000000000000a', '{}', 1, 1790000060000, null);
insert into notification_preferences (user_id, kind, channel)
values ('usr_0000000000000000000000000v', 'asset_ready', 'email');
insert into notification_digests (user_id, week) values ('usr_0000000000000000000000000v', 2959);
