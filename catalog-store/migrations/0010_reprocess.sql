-- An asset that plays may be made anew beside what is played. Common to both engines.

-- The output that is being made while another one is in force.
alter table assets add column next_generation bigint;
-- The highest number that was handed out: an output that failed never shares its number with another one.
alter table assets add column generation_taken bigint not null default 0;
update assets set generation_taken = coalesce(generation, 0);
-- Why the last output that was to take the place of the one in force was given up, as JSON.
alter table assets add column reprocess_failure text;
-- Id of the job that will remove whichever of the two is not in force in the end.
alter table assets add column spare_job text;

-- What was found in the source for this output; null where it is what the asset tells.
alter table generations add column probe text;
-- When another output took its place.
alter table generations add column replaced_at bigint;

alter table jobs add column generation bigint;
