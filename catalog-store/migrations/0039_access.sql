-- Who may play an asset, as its owner said last; null while nobody did. Common to both engines.

alter table assets add column access text;
