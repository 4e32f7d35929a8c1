-- People, and what proves who they are.

insert into users (id, email, email_key, name, bio, language, role, state, password, email_verified_at, quota_bytes,
    version, created_at, updated_at)
values ('usr_0000000000000000000000000v', 'Ada@Example.org', 'ada@example.org', 'Ada', 'Counts.', 'fr', 'admin', 'active',
        '$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA', 1790000000500, 1000000000, 3, 1790000000000, 1790000000600),
    ('usr_0000000000000000000000000w', null, null, '', '', null, 'user', 'deleted', null, null, null, 4,
        1780000000000, 1790000000000);
insert into sessions (id, user_id, secret_hash, chain_key, client, created_at, seen_at, expires_at, ended_at)
values ('ses_0000000000000000000000000a', 'usr_0000000000000000000000000v', 'hash-1', 'key', 'Firefox', 1790000000000, 1790000000700,
    1900000000000, null);
insert into refresh_tokens (hash, session_id, expires_at, used_at, successor)
values ('hash-2', 'ses_0000000000000000000000000a', 1900000000000, 1790000000700, 'hash-3');
insert into api_keys (id, user_id, name, prefix, hash, scopes, created_at, expires_at, seen_at, revoked_at)
values ('key_0000000000000000000000000a', 'usr_0000000000000000000000000v', 'ci', 'hwk_ab', 'hash-4', 'assets:read', 1790000000000,
    1900000000000, null, null);
insert into tickets (hash, user_id, purpose, data, created_at, expires_at)
values ('hash-5', 'usr_0000000000000000000000000v', 'verify', '', 1790000000000, 1900000000000);
insert into signing_keys (id, purpose, secret, created_at) values ('sig-1', 'session', 'secret', 1790000000000);
insert into asset_shares (asset_id, user_id, standing, created_at)
values ('ast_0000000000000000000000000a', 'usr_0000000000000000000000000v', 'viewer', 1790000000000);
