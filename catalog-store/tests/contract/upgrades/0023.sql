-- Whom events are sent to.

update events set user_id = 'usr_0000000000000000000000000v' where seq = 2;
insert into webhooks (id, owner, url, description, topics, secret, previous_secret, previous_until, since_seq,
    disabled_reason, rests_until, succeeded_at, version, created_at, updated_at)
values ('whk_0000000000000000000000000a', 'usr_0000000000000000000000000v', 'https://example.org/hook', 'Ours', 'asset.*',
    'whsec_new', 'whsec_old', 1790000002000, 1, null, 1790000000500, 1790000000400, 2, 1790000000000, 1790000000500);
insert into webhook_deliveries (id, webhook_id, seq, topic, payload, state, attempts, log, next_at, holder, lease_until,
    fence, created_at, updated_at)
values ('msg_0000000000000000000000000a', 'whk_0000000000000000000000000a', 2, 'asset.ready', '{}', 'pending', 1, '[]',
    1790000070000, 'headwater-1', 1790000061000, 1, 1790000060000, 1790000060500);
