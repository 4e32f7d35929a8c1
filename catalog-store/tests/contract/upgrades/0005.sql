-- What a database of schema 5 holds: an asset that plays, one that is uploaded, one that failed, one that is worked on,
-- and what is left of one that was deleted. PLAN and PROBE stand for the documents beside this file.

insert into assets (id, playback_id, state, file_name, title, size_bytes, probe, generation, failure, is_playable,
    version, created_at, updated_at)
values ('ast_0000000000000000000000000a', 'plb_0000000000000000000000000a', 'ready', 'clip.mp4', 'A title', 1000,
        'PROBE', 1, null, 1, 7, 1790000000000, 1790000060000),
    ('ast_0000000000000000000000000b', 'plb_0000000000000000000000000b', 'uploading', 'étude.mkv', null, null, null,
        null, null, 0, 1, 1790000000001, 1790000000001),
    ('ast_0000000000000000000000000c', 'plb_0000000000000000000000000c', 'failed', 'letter.txt', null, 12, null, null,
        '{"code":"no_media","message":"This is not a video."}', 0, 3, 1790000000002, 1790000000900),
    ('ast_0000000000000000000000000d', 'plb_0000000000000000000000000d', 'processing', 'clip.mp4', 'A title', 1000,
        'PROBE', 1, null, 1, 4, 1790000000003, 1790000000700),
    ('ast_0000000000000000000000000e', 'plb_0000000000000000000000000e', 'deleted', null, null, null, null, null, null,
        0, 9, 1790000000004, 1790000000800);

insert into uploads (id, kind, asset_id, state, length_bytes, offset_bytes, metadata, file_name, terms, owner,
    expires_at, failure, created_at, updated_at, is_full, repeat_key)
values ('upl_0000000000000000000000000a', 'whole', 'ast_0000000000000000000000000a', 'complete', 1000, 1000,
        'filename Y2xpcC5tcDQ=', 'clip.mp4', '{"media_type":"video/mp4"}', 'ci', null, null, 1790000000000,
        1790000001000, 0, null),
    ('upl_0000000000000000000000000b', 'whole', 'ast_0000000000000000000000000b', 'open', 4096, 1024, '', 'étude.mkv',
        '{}', 'ci', 1900000000000, null, 1790000000001, 1790000000500, 0, 'once'),
    ('upl_0000000000000000000000000c', 'whole', 'ast_0000000000000000000000000c', 'refused', 12, 12, '', 'letter.txt',
        '{}', null, null, '{"code":"no_media","message":"This is not a video."}', 1790000000002, 1790000000900, 1,
        null),
    ('upl_0000000000000000000000000d', 'partial', null, 'complete', 500, 500, '', null, '{"concat":"partial"}', 'ci',
        1900000000000, null, 1790000000003, 1790000000600, 1, null);

insert into generations (asset_id, generation, plan, segments_total, open_jobs, images, subtitles, progress_at,
    created_at)
values ('ast_0000000000000000000000000a', 1, 'PLAN', 14, 0, null, '[]', 1790000050000, 1790000002000),
    ('ast_0000000000000000000000000d', 1, 'PLAN', 14, 2, null, null, 0, 1790000002000);

insert into segments (asset_id, generation, rendition, segment_index, ticks, size_bytes, sha256, keyframes, created_at)
values ('ast_0000000000000000000000000a', 1, 'audio-0', 0, 96000, 32000,
        'abababababababababababababababababababababababababababababababab', '[]', 1790000003000),
    ('ast_0000000000000000000000000d', 1, 'audio-0', 0, 96000, 32000,
        'cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd', '[{"offset":24,"length":900,"ticks":50000}]',
        1790000003000);

insert into jobs (id, asset_id, kind, spec, state, lane, priority, run_at, lease_until, worker, fence, attempts, crashes,
    failures, error, created_at, updated_at, dedup_key)
values ('job_0000000000000000000000000a', 'ast_0000000000000000000000000a', 'probe', '{"kind":"probe"}', 'done',
        'urgent', 1000, 1790000001000, null, 'worker-1', 1, 1, 0, 0, null, 1790000001000, 1790000002000, null),
    ('job_0000000000000000000000000b', 'ast_0000000000000000000000000d', 'chunk',
        '{"kind":"chunk","generation":1,"chunk":0}', 'running', 'heavy', 800, 1790000002000, 1790000009000, 'worker-1',
        3, 3, 1, 1, 'the worker went away', 1790000002000, 1790000005000, null),
    ('job_0000000000000000000000000c', 'ast_0000000000000000000000000d', 'demand',
        '{"kind":"demand","generation":1,"rendition":"audio-0","segment":1}', 'queued', 'urgent', 2000, 1790000002000,
        null, null, 0, 0, 0, 0, null, 1790000002000, 1790000005000, 'demand audio-0 1');

insert into events (seq, at, topic, asset_id, data)
values (1, 1790000000000, 'asset.uploading', 'ast_0000000000000000000000000a', '{"state":"uploading"}'),
    (2, 1790000060000, 'asset.ready', 'ast_0000000000000000000000000a', '{"state":"ready","generation":1}');
update event_counter set seq = 2;

insert into upload_grants (id, owner, bytes_max, duration_s_max, types, origin, uses_left, expires_at, revoked_at,
    created_at)
values ('grant-1', 'ci', 1000000, 3600, '["video/*"]', 'https://example.org', 2, 1900000000000, null, 1790000000000),
    ('grant-2', null, null, null, '[]', null, 0, 1790000000001, 1790000000000, 1780000000000);

insert into imports (upload_id, validator, attempts, error, updated_at)
values ('upl_0000000000000000000000000a', '"etag"', 2, 'the server closed the connection', 1790000000500);
