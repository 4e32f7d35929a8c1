-- Assets belong to somebody, and may be shared. Common to both engines.

-- The principal that uploaded it: the id of an account, or the name behind a token of the configuration.
alter table assets add column owner text;
update assets set owner = (select max(u.owner) from uploads u where u.asset_id = assets.id);
create index assets_of_owner on assets (owner, id);
