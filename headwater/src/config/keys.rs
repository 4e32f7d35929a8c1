//! The table of keys: the one place that knows which settings there are.

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// A whole number.
    Number,
    /// `true` or `false`.
    Switch,
    /// A list of words; in the environment and in flags separated by commas.
    List,
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name in the file; in capitals after `HEADWATER_` it is the environment variable.
    pub name: &'static str,
    /// How its value is written.
    pub kind: Kind,
    /// The default, as TOML.
    pub default: &'static str,
    /// What it means, in sentences.
    pub doc: &'static str,
    /// Never printed.
    pub is_secret: bool,
}

/// x264's presets from fast to slow, without the two extremes that no server should run.
pub(super) const PRESETS: [&str; 8] =
    ["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower"];

const fn key(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    Key { name, kind, default, doc, is_secret: false }
}

impl Key {
    /// The same, never printed.
    const fn hidden(self) -> Self {
        Self { is_secret: true, ..self }
    }
}

const fn secret(name: &'static str, doc: &'static str) -> Key {
    Key { name, kind: Kind::Text, default: "\"\"", doc, is_secret: true }
}

/// All settings, in the order in which they are explained.
pub const KEYS: [Key; 106] = [
    key(
        "data_dir",
        Kind::Text,
        "\"./headwater-data\"",
        "Folder of this server: SQLite database, objects, unfinished uploads, scratch space. One server per folder. It is made for its owner alone (mode 0700); one that is there keeps its mode, what the server makes in it is closed to others (docs/accounts.md).",
    ),
    key("listen", Kind::Text, "\"127.0.0.1:8080\"", "Address and port to listen on. Port 0 takes any free one."),
    key(
        "listen_reuse_port",
        Kind::Switch,
        "false",
        "Whether other servers of this user may listen on `listen` and `tls_listen` as well (`SO_REUSEPORT`): the kernel shares connections out among them. Start a new one, stop the old one, and nobody is refused (docs/scaling.md).",
    ),
    key(
        "roles",
        Kind::List,
        "[\"ingest\", \"worker\", \"origin\", \"api\"]",
        "What this process does: `ingest` takes uploads, `worker` turns them into segments, `origin` serves players, `api` answers the catalogue and shows the web pages.",
    ),
    key(
        "database_url",
        Kind::Text,
        "\"\"",
        "`sqlite:///path/catalog.db` or `postgres://user:password@host/database`. Empty means SQLite in the data folder. Printed without its password.",
    ),
    key(
        "storage_url",
        Kind::Text,
        "\"\"",
        "`file:///path` or `s3://bucket/prefix?endpoint=https://host&region=name`. Empty means `media` in the data folder.",
    ),
    secret("storage_access_key", "Access key of the S3 bucket."),
    secret("storage_secret_key", "Secret key of the S3 bucket."),
    secret(
        "secret_key",
        "What secrets in the database are sealed with (docs/accounts.md): at least 32 random characters, the same for every process on one database. Empty means the file of `secret_key_file`.",
    ),
    key(
        "secret_key_file",
        Kind::Text,
        "\"\"",
        "File with that key in it. Empty means `secrets.key` in the data folder, which the first start makes.",
    ),
    key(
        "previous_secret_keys",
        Kind::List,
        "[]",
        "Keys that secrets are opened with besides. At a start they are sealed anew with the present one; then the others can be taken out.",
    )
    .hidden(),
    key(
        "log",
        Kind::Text,
        "\"info\"",
        "Which log lines are written: a level, or a filter such as `info,pipeline=debug` (docs/logging.md).",
    ),
    key("log_format", Kind::Text, "\"text\"", "`text` for people, `json` for collectors."),
    key(
        "shutdown_deadline_s",
        Kind::Number,
        "10",
        "Seconds that requests and jobs in flight get to finish after SIGTERM or SIGINT; then they are cut off. A second signal cuts them off at once.",
    ),
    key("connections_max", Kind::Number, "1024", "Connections served at once; more wait to be accepted."),
    key(
        "origin_cache_bytes",
        Kind::Number,
        "268435456",
        "Memory in which the origin keeps what is asked for more than once, in octets. What is in the system's page cache is served from there without it.",
    ),
    key("header_timeout_s", Kind::Number, "10", "Seconds a client may take to send the head of a request."),
    key(
        "idle_timeout_s",
        Kind::Number,
        "75",
        "Seconds for which a connection is kept open between two requests. CDNs keep theirs for up to a minute.",
    ),
    key(
        "connections_per_address_max",
        Kind::Number,
        "512",
        "Connections that one address (of IPv6, one /64 network) may have at once; further ones are closed. Those of this machine itself, such as a proxy's on it, are not counted. 0 means no bound.",
    ),
    key(
        "drain_rate_min",
        Kind::Number,
        "4096",
        "Octets per second that a client has to take of an answer, judged over 120 s in which there was something to take; a slower one is cut off. 0 means no bound.",
    ),
    key(
        "tls_listen",
        Kind::Text,
        "\"\"",
        "Address and port to listen on for TLS, with HTTP/2 and HTTP/1.1, beside `listen`. Empty means none.",
    ),
    key(
        "tls_cert",
        Kind::Text,
        "\"\"",
        "File with the certificate for `tls_listen` and those that vouch for it, in PEM's form. Taken up anew within seconds when it changes, as is `tls_key`.",
    ),
    key("tls_key", Kind::Text, "\"\"", "File with the private key of `tls_cert`, in PEM's form."),
    key(
        "tls_client_ca",
        Kind::Text,
        "\"\"",
        "File with the certificates of authorities, in PEM's form: whoever connects to `tls_listen` has to show a certificate that one of them vouches for, as CDNs do that pull with authentication. Taken up anew when it changes. Empty means that clients show none.",
    ),
    key(
        "token_keys",
        Kind::List,
        "[]",
        "Keys of the tokens that open signed assets (docs/access.md), each as `name:secret` with a secret of at least 32 characters. The first signs; all open.",
    )
    .hidden(),
    key(
        "token_keys_file",
        Kind::Text,
        "\"\"",
        "File with such keys, one a line, instead of `token_keys`. Taken up anew within seconds when it changes.",
    ),
    key(
        "akamai_keys",
        Kind::List,
        "[]",
        "Keys of Akamai's EdgeAuth 2.0 tokens that open signed assets as well, in hexadecimal digits.",
    )
    .hidden(),
    key("akamai_salt", Kind::Text, "\"\"", "Salt of those tokens, if they have one.").hidden(),
    key(
        "cloudfront_keys",
        Kind::List,
        "[]",
        "Public keys of CloudFront's signed addresses and cookies that open signed assets as well, each as `id:file` with a file in PEM's form.",
    ),
    key(
        "mux_keys",
        Kind::List,
        "[]",
        "Public keys of Mux's tokens that open signed assets as well, each as `id:file` with a file in PEM's form.",
    ),
    key(
        "content_key_secrets",
        Kind::List,
        "[]",
        "Secrets that the keys of encrypted assets are derived from (docs/access.md), of at least 32 characters each and the same on every origin. The first encrypts; the others keep playing what began before a change.",
    )
    .hidden(),
    key(
        "steering_pathways",
        Kind::List,
        "[]",
        "Hosts that players of HLS are steered between (docs/cdn.md), each as `id:https://host`, the one to be preferred first; `origin` stands for the host that the playlist came from, which is last unless it is named. All serve the same paths. Empty means no steering.",
    ),
    key(
        "steering_ttl_s",
        Kind::Number,
        "300",
        "Seconds after which players ask again which host to take.",
    ),
    key(
        "origin_secrets",
        Kind::List,
        "[]",
        "Secrets of which a CDN sends one with each request to the origin, in the header `origin_secret_header`; requests without one are refused. Two, while they change. Empty lets everybody ask.",
    )
    .hidden(),
    key("origin_secret_header", Kind::Text, "\"X-Origin-Secret\"", "Header that carries such a secret."),
    key(
        "g2o_keys",
        Kind::List,
        "[]",
        "Keys with which Akamai's edge servers sign their requests to the origin (G2O, versions 3 to 5), each as `name:secret` with a secret of at least 16 characters; the name is what Akamai calls nonce. Requests without such a signature are refused, unless they carry one of `origin_secrets`.",
    )
    .hidden(),
    key(
        "upstream",
        Kind::Text,
        "\"\"",
        "Address of another origin, such as `https://origin.example.org`, that this server is a cache in front of (docs/cdn.md): then it has no database, storage or data folder of its own, keeps answers in `origin_cache_bytes` of memory, and plays no role but `origin`. Empty means that it serves what it stores.",
    ),
    secret(
        "upstream_secret",
        "Secret that is sent with each request to `upstream`, in the header `origin_secret_header`: one of those in its `origin_secrets`.",
    ),
    key(
        "purge_targets",
        Kind::List,
        "[]",
        "Caches in front that a worker tells of what changed (docs/cdn.md), the nearest to the origin first: `fastly:SERVICE`, `cloudflare:ZONE`, `akamai:HOST`, `edge:https://edge.example.org` for a server with `upstream`, `http:PURGE:http://varnish:6081/` or `http:POST:https://...` for anything else. The first three take another address of their API behind an `@`.",
    ),
    key(
        "purge_soft",
        Kind::Switch,
        "true",
        "Whether caches that can are told to look whether what they have still is so, rather than to forget it: of what is published anew. What was deleted, or is not for everybody any more, they forget.",
    ),
    secret(
        "purge_secret",
        "Secret of 16 characters or more with which an edge is told to purge, `Authorization: Bearer secret`: on the edge, what is wanted; elsewhere, what `edge:` and `http:` targets are sent. Empty on an edge means that nobody can purge it.",
    ),
    secret("purge_fastly_token", "Token of Fastly's API that may purge the service (`purge_select`)."),
    secret("purge_cloudflare_token", "Token of Cloudflare's API that may purge the zone (Zone, Cache Purge)."),
    secret("purge_akamai_credentials", "Credentials of Akamai's Fast Purge API, as `client_token:client_secret:access_token`."),
    key(
        "access",
        Kind::Text,
        "\"auto\"",
        "Who may use the API, uploads and the library: `open` asks nobody for a name; `accounts` asks for an account (docs/accounts.md), and on the first start prints a link that sets up the first one. `auto` is open while every listener is on this machine alone, and asks for accounts otherwise. Playback is decided by `headwater access`, not here.",
    ),
    key(
        "public_url",
        Kind::Text,
        "\"\"",
        "Where people reach the pages, such as `https://media.example.org`: for links in letters and to know pages of this server behind a proxy. Empty means the address that the server listens on, with TLS where there is `tls_listen`. A server that asks nobody for a name and that only this machine reaches answers no other host.",
    ),
    key(
        "api_origins",
        Kind::List,
        "[]",
        "Origins whose pages may use the API from a browser (CORS), such as `https://app.example.org`; `*` means any. They log in by tokens: cookies are for pages of this server alone. Empty means that only pages of this server may. A server that asks nobody for a name takes uploads from these pages alone, too.",
    ),
    key(
        "registration",
        Kind::Text,
        "\"open\"",
        "Whether people make accounts for themselves: `open` lets them, with the role `user`, which sees what is shared with it; `closed` leaves it to administrators.",
    ),
    key(
        "jwt_algorithm",
        Kind::Text,
        "\"EdDSA\"",
        "How access tokens are signed: `EdDSA`, or `RS256` for programs that know nothing else. The public keys are at `/.well-known/jwks.json`.",
    ),
    key(
        "smtp_url",
        Kind::Text,
        "\"\"",
        "Mail server that letters are sent through, such as `smtps://user:password@mail.example.org` or `smtp://127.0.0.1:25`; mail addresses have to be confirmed then. Empty means that letters are put into the folder `mail` of the data folder.",
    )
    .hidden(),
    key("mail_from", Kind::Text, "\"headwater@localhost\"", "Mail address that letters are from."),
    key(
        "digest_time",
        Kind::Text,
        "\"\"",
        "When in the week people are written what they did not read, such as `mon 09:00`, in UTC: those whose mail address is confirmed, and who did not turn it off. A server that was away at that time writes when it is back within a day. Empty means never.",
    ),
    key(
        "trusted_proxies",
        Kind::List,
        "[\"127.0.0.0/8\", \"::1/128\"]",
        "Networks of proxies that are believed when they say in `X-Forwarded-For` whom they speak for; logins, wrong passwords of assets, and requests of nobody that is known, are counted by that address.",
    ),
    key(
        "api_requests_per_minute",
        Kind::Number,
        "6000",
        "Requests below `/api/v1` that one account, key or token, or one address where nobody is known, may send in a minute, all at once or not; more are answered 429. The answers tell what is left (`RateLimit`). Each process counts by itself, and whoever asks from this machine has 600,000 in ten minutes. 0 means no bound.",
    ),
    key(
        "oidc_providers",
        Kind::List,
        "[]",
        "Providers of identities that people may log in by (OpenID Connect, docs/accounts.md), each as `name issuer client_id label`, with blanks between and in the label: `corp https://login.example.org headwater Corporate login`. The address that the provider sends people back to is `{public_url}/api/v1/auth/oidc/{name}/callback`.",
    ),
    key("oidc_secrets", Kind::List, "[]", "What proves this server to these providers, each as `name:secret`. One without a secret has PKCE alone.")
        .hidden(),
    key("oidc_scopes", Kind::Text, "\"openid email profile\"", "What these providers are asked for, with blanks between."),
    key(
        "oidc_registration",
        Kind::List,
        "[]",
        "Names of the providers by whose word people get an account if they have none, with the role `user`, whatever `registration` says. The provider has to say that their mail address is theirs.",
    ),
    key(
        "oidc_roles",
        Kind::List,
        "[]",
        "What these providers say that makes somebody what they are here, each as `name claim=value role`: `corp groups=media-team uploader`. The highest of those that fit counts at each login; where none does, nothing changes. Empty leaves roles to administrators.",
    ),
    key("upload_size_max", Kind::Number, "1099511627776", "Largest upload, in octets."),
    key(
        "upload_sync",
        Kind::Text,
        "\"interval\"",
        "When uploaded octets are flushed to disk. `interval`: every second or 16 MiB while they arrive, and at the end of each request; what is acknowledged survives a power cut. `end`: at the end of each request only; what is acknowledged survives, but a crash in the middle of a request loses all that it brought. `none`: never; what is acknowledged survives a crash of the server, not one of the machine.",
    ),
    key(
        "upload_expiry_s",
        Kind::Number,
        "604800",
        "Seconds after which an unfinished upload is given up when nothing more comes; each octet that is recorded begins them anew. 0 keeps it for ever.",
    ),
    key(
        "bin_retention_days",
        Kind::Number,
        "0",
        "Days for which an asset that is deleted lies in the bin, from which it can be taken out; until then it is neither shown nor played. 0 has no bin: what is deleted is gone at once.",
    ),
    key(
        "keep_versions",
        Kind::Number,
        "2",
        "Sources of one asset that are kept, each with its output: the one in force, and those before it that can be gone back to. 1 keeps none of these. At most 4.",
    ),
    key(
        "review",
        Kind::Switch,
        "false",
        "Whether somebody has to look at what is uploaded before it is shown: assets begin as drafts then, their owners submit them, and moderators approve or reject them; a new version of what was approved is looked at as well. `false` shows what is uploaded as soon as it plays.",
    ),
    key(
        "upload_types",
        Kind::List,
        "[\"video/*\", \"audio/*\"]",
        "Media types that may be uploaded, such as `video/mp4` or `audio/*`, told by the file's first octets and its tracks: what is no video or sound is refused after the first MiB. `*/*` takes anything without looking; whether it plays then shows when it is complete.",
    ),
    key(
        "document_types",
        Kind::List,
        "[\"application/pdf\", \"text/plain\", \"text/markdown\", \"text/csv\", \"image/png\", \"image/jpeg\", \"image/gif\", \"image/webp\", \"image/avif\", \"application/epub+zip\", \"application/vnd.openxmlformats-officedocument.wordprocessingml.document\", \"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet\", \"application/vnd.openxmlformats-officedocument.presentationml.presentation\", \"application/vnd.oasis.opendocument.text\", \"application/vnd.oasis.opendocument.spreadsheet\", \"application/vnd.oasis.opendocument.presentation\", \"application/zip\"]",
        "Media types of documents that may be added to assets, told by their content; texts are told from one another by the ending of their name. Whatever it is, it is handed out as a file to keep, and as `application/octet-stream` unless it is one of the defaults.",
    ),
    key(
        "document_size_max",
        Kind::Number,
        "67108864",
        "Octets of the largest document of an asset. At most 256 MiB.",
    ),
    key("documents_max", Kind::Number, "50", "Documents of one asset. At most 100; 0 takes none."),
    key(
        "upload_tokens",
        Kind::List,
        "[]",
        "Who may upload besides those with accounts, each as `name:token` with a token of at least 16 characters, sent as `Authorization: Bearer token`. Empty means nobody besides them where `access` asks for accounts, and everybody who reaches the server where it does not. The names are what quotas are kept for.",
    )
    .hidden(),
    key(
        "upload_quota_bytes",
        Kind::Number,
        "0",
        "Octets that the uploads of one name may take, unfinished and complete. Reserved when an upload is created. 0 means no bound.",
    ),
    key(
        "upload_open_max",
        Kind::Number,
        "0",
        "Unfinished uploads of one name at a time. 0 means no bound but that of the server.",
    ),
    key(
        "upload_rate_min",
        Kind::Number,
        "64",
        "Octets per second that a body must bring over each minute, or its connection is ended; what came is kept. 0 means no bound.",
    ),
    key(
        "disk_reserve_bytes",
        Kind::Number,
        "1073741824",
        "Octets of the disk that new uploads must leave free, besides what is promised to unfinished ones. Below it a new upload is told to come later; those that run can finish. 0 means not to look.",
    ),
    key(
        "webhook_networks",
        Kind::List,
        "[]",
        "Private networks that webhooks may lead into (docs/webhooks.md), such as `10.1.0.0/16`. All other private, local and special addresses are refused.",
    ),
    key(
        "webhook_ports",
        Kind::List,
        "[]",
        "Ports that webhooks may have besides 80 and 443.",
    ),
    key(
        "import_networks",
        Kind::List,
        "[]",
        "Private networks that files may be imported from, such as `10.1.0.0/16`. All other private, local and special addresses are refused.",
    ),
    key("imports_max", Kind::Number, "4", "Files imported from other addresses at the same time; more wait."),
    key(
        "imports_of_one_max",
        Kind::Number,
        "2",
        "Files imported for one name of `upload_tokens` at the same time; more wait.",
    ),
    key(
        "import_rate_min",
        Kind::Number,
        "16384",
        "Octets per second that an import must bring on average, judged after a quarter of an hour; a slower one is given up, so that it does not keep others waiting. 0 means no bound.",
    ),
    key(
        "import_time_s_max",
        Kind::Number,
        "86400",
        "Seconds that one import may take, waiting for its turn aside; a restart begins them anew. Then it is given up.",
    ),
    key("source_duration_s_max", Kind::Number, "43200", "Longest source that is processed, in seconds."),
    key(
        "source_pixels_max",
        Kind::Number,
        "35651584",
        "Most pixels of a source's picture, width times height. The default is that of 8192 by 4352, H.264's largest.",
    ),
    key(
        "audio_tracks_max",
        Kind::Number,
        "16",
        "Most audio tracks of one source that become renditions; further ones are left out.",
    ),
    key(
        "subtitle_tracks_max",
        Kind::Number,
        "32",
        "Most subtitle tracks of one source that become renditions; further ones are left out.",
    ),
    key(
        "urgent_lanes",
        Kind::Number,
        "2",
        "Jobs that somebody waits for (probing, publishing, segments that a viewer has gone to) run at once.",
    ),
    key(
        "heavy_lanes",
        Kind::Number,
        "0",
        "Most video chunks encoded at once. 0 means as many as there are processors. Fewer are encoded where they would need more than `encoding_memory_bytes` or `encoding_cores`.",
    ),
    key(
        "encoding_memory_bytes",
        Kind::Number,
        "0",
        "Memory that the video chunks which are encoded at once may take together, in octets, as estimated from their sizes: a 1080p source takes some 0.7 GiB, one of 2160p 1.0. One that needs more than all of it is encoded alone. 0 means three quarters of what is free when the server starts, on the machine or in its control group.",
    ),
    key(
        "encoding_cores",
        Kind::Number,
        "0",
        "Processors that the video chunks which are encoded at once may keep busy together: a chunk of a 1080p source keeps about two busy. 0 means all that the server may use.",
    ),
    key("light_lanes", Kind::Number, "2", "Other jobs (sound, subtitles, pictures, removals) run at once."),
    key(
        "lease_s",
        Kind::Number,
        "30",
        "Seconds after which the job of a worker that fell silent is given to another one.",
    ),
    key(
        "retire_after_s",
        Kind::Number,
        "86400",
        "Seconds for which the segments of an asset that was processed anew are kept beside the new ones, for players that began with them and for caches. Then they are removed.",
    ),
    key(
        "encode_ahead_s",
        Kind::Number,
        "3600",
        "Seconds of each unfinished upload that may be encoded while the rest still arrives, behind all other work: of MP4 and MOV files whose index comes first, in a process that has both roles, `ingest` and `worker`, unless `upload_sync` is `none`. What was encoded of an upload that comes to nothing is removed. 0 begins when an upload is complete.",
    ),
    key("x264_preset", Kind::Text, "\"veryfast\"", "Preset of the video encoder: slower ones give smaller files."),
    key("x264_crf", Kind::Number, "23", "Constant rate factor of the video encoder: lower is better and larger."),
    key(
        "passthrough",
        Kind::Switch,
        "true",
        "Show the pictures of a source as they are, as its largest rendition, where every player can play them: H.264 of 8 bits in closed GOPs of up to 6 s at an even frame rate, no larger than 1080p and no more bits than an encoded rendition. Smaller renditions are encoded on the same boundaries. Likewise play sound as it is where it is AAC-LC of 44.1 or 48 kHz without gaps and of at most 2.5 times the bits of an encoded track. `false` encodes everything.",
    ),
    key(
        "ladder_probe",
        Kind::Text,
        "\"auto\"",
        "Whether a few GOPs of a source are encoded at every size before its ladder is decided, so that sizes from which a player gains nothing (those of slides and screen recordings) are left out. `off`: never. `auto`: `headwater transcode` does, where the source itself spends so few bits on its pictures that this is likely; a server, where viewers wait, only leaves out what it can tell without encoding. `always`: always, which takes some seconds before an asset can be played.",
    ),
    key(
        "per_title_db",
        Kind::Number,
        "0",
        "Quality that every H.264 rendition is to have, as structural similarity (SSIM) to the source in decibels, from 8 to 25; `x264_crf = 23` gave a camera's 720p picture 18.5. Then each rendition of each source gets a constant rate factor of its own, from 17 to 32, and `x264_crf` only counts where that cannot be found out. Some seconds of every source are encoded at three rate factors before anything can be played. 0 means the same factor for all.",
    ),
    key(
        "loudness_target_lufs",
        Kind::Number,
        "0",
        "Integrated loudness (EBU R128) that every sound track is brought to, in LUFS from -31 to -10: broadcasters take -23, streaming services -14 to -18. One factor for the whole track; where its true peak would pass -1 dBTP, it stays softer. Sound is then always encoded, nothing is encoded ahead of an upload's end, and an asset can be played once all of its sound has been listened to. 0 leaves sound as it is.",
    ),
    key(
        "codecs",
        Kind::List,
        "[\"h264\"]",
        "Codecs in which every size is encoded: `h264`, which every player can show and which must be first, `hevc` (x265) and `av1` (SVT-AV1), which show the same in fewer bits to players that can. The others are made after everything else and shown once they are complete; each takes several times the processor time of H.264, and space of its own.",
    ),
    key("x265_preset", Kind::Text, "\"fast\"", "Preset of the HEVC encoder: slower ones give smaller files."),
    key("x265_crf", Kind::Number, "26", "Constant rate factor of the HEVC encoder, on a scale of its own."),
    key("svtav1_preset", Kind::Number, "8", "Preset of the AV1 encoder, from 4 (slow, smaller files) to 12 (fast)."),
    key("svtav1_crf", Kind::Number, "35", "Constant rate factor of the AV1 encoder, on a scale of its own."),
    key("audio_bitrate", Kind::Number, "128000", "Bit rate of a stereo track, in bits per second."),
    key("surround_bitrate", Kind::Number, "320000", "Bit rate of a 5.1 track, in bits per second."),
];

/// The key of this name.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The known key that looks most like `wrong`; `None` if none is near.
pub fn nearest(wrong: &str) -> Option<String> {
    let near = KEYS.iter().map(|key| (distance(wrong, key.name), key.name)).min()?;
    (near.0 <= (near.1.len() / 3).max(2)).then(|| near.1.to_owned())
}

/// Levenshtein's distance: single-letter changes from one word to the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (at, letter) in a.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, other) in b.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
