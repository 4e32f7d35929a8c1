-- Markers that are set on assets. Common to both engines.

-- Null as long as there are none.
alter table assets add column markers text;
