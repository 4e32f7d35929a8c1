-- What everybody with an account sees, in the order of birth. Common to both engines.
create index assets_in_channels on assets (id) where channel_id is not null and stage = 'published';
