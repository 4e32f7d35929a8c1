-- How loud each sound track is, as JSON; null until it is measured. Common to both engines.

alter table generations add column loudness text;
