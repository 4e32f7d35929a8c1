-- What was asked for under a name.

insert into idempotency_keys (hash, principal, fingerprint, state, fence, locked_until, answer, created_at)
values ('hash-7', 'ci', 'hash-8', 'answered', 1, 1790000000100, 'sealed', 1790000000000);
