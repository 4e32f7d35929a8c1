-- Documents of assets.

insert into documents (id, asset_id, upload_id, position, name, description, state, media_type, sha256, size_bytes,
    failure, version, created_at, updated_at)
values ('doc_0000000000000000000000000a', 'ast_0000000000000000000000000a', 'upl_0000000000000000000000000z', 1,
    'Scénario.pdf', 'The script.', 'ready', 'application/pdf',
    'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', 5, null, 2, 1790000060000, 1790000061000);
