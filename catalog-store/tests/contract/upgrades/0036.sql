-- What is said of subtitle files, and what they are shown instead of.

update texts set is_sdh = 1, version = 3, replaces = 'text-0-fr', replaces_version = 1
    where id = 'txt_0000000000000000000000000a';
