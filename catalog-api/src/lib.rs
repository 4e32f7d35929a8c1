//! The JSON API over the catalogue: assets with their subtitles and chapters, accounts, and the stream of events.
//!
//! | module | what it answers |
//! |---|---|
//! | [`router`](router()) | which path does what, and what that asks for: the whole surface on one page |
//! | `door` | who asks, and whether they may |
//! | `accounts` | how somebody proves who they are: passwords, sessions, tokens, keys, letters |
//! | `oidc` | logging in by the word of another server |
//! | `auth`, `second_factor`, `me`, `users` | becoming somebody; one's own account; those of others |
//! | `avatars`, `picture` | pictures of people; what becomes of any picture that is sent |
//! | `assets`, `shares` | one asset, pages of assets, deletion; with whom one is shared |
//! | `describe`, `filter` | what people say about an asset; which assets are meant |
//! | `characters` | what no text of a request may hold |
//! | `collections`, `channels` | series, seasons and playlists; where assets are published, and who follows it |
//! | `availability` | the bin, and from when and until when assets are shown |
//! | `publicity`, [`tickets`](Tickets), `preview` | who may play an asset, and what opens it for them and for reviewers |
//! | `search` | searching, and the second at which something is said |
//! | `versions` | the sources that an asset has had |
//! | `jobs` | the work on assets, job by job |
//! | `subtitles`, `cues` | subtitle files: added, shown, described, removed; edited cue by cue |
//! | `asset_documents` | documents of an asset: asked for, shown, named, put in order, removed |
//! | `places` | addresses that are good for one upload of an asset |
//! | `chapters` | chapters: set, replaced, given back to the file |
//! | `markers` | markers: set, replaced, removed |
//! | `poster` | which picture stands for an asset |
//! | [`webhooks`] | whom events are sent to, and what became of each message |
//! | `idempotency` | what is asked for under a name is done once |
//! | `notifications` | what one is told of what happened, and how |
//! | `erasure`, `belongings` | all that is kept of oneself, and to be erased; videos in the export |
//! | `events` | what changes, as server-sent events with replay |
//! | `audit` | what was done about accounts and rights |
//! | `body`, `documents`, `pages` | bodies of requests, of bounded size, number and time; versions; lists a page at a time |
//! | `view`, `person` | how an asset and an account look in JSON |
//! | `problem` | every error, as a problem document (RFC 9457) |
//!
//! What somebody may do is decided by [`domain::authorize`] alone. The crate knows nothing of uploads, media or
//! players: those URLs are only named here, not served, and subtitle files are stored unread, and read to be edited.
//! Pictures that people send are decoded here, and nothing else is.
//! Its surface is described by `openapi.json`, which a test compares with the router.

mod accounts;
pub mod aliases;
mod asset_documents;
mod assets;
mod audit;
mod auth;
mod availability;
mod avatars;
mod belongings;
mod body;
mod channels;
mod chapters;
mod characters;
mod collections;
mod cues;
mod describe;
mod documents;
mod door;
mod erasure;
mod events;
mod filter;
mod idempotency;
mod jobs;
mod markers;
mod me;
mod notifications;
mod oidc;
mod pages;
mod person;
mod picture;
mod places;
mod poster;
mod preview;
mod problem;
mod publicity;
pub mod rates;
mod reprocess;
mod router;
mod search;
mod second_factor;
mod shares;
mod subtitles;
mod tickets;
mod unchanged;
mod users;
mod versions;
mod view;
pub mod webhooks;

pub use accounts::{
    Accounts, AccountsError, Algorithm, Caller, DigestTime, KeyError, MailError, MailRoute, Notifier, Postman,
    ProviderSettings, RoleRule, Settings, Unproven, is_same_origin,
};
pub use avatars::keep as keep_avatars;
pub use door::{ClientAddress, Encrypted};
pub use problem::{Asked, entitled};
pub use publicity::HashPassword;
pub use router::{Access, ROUTES, State, router};
pub use tickets::{TicketKind, Tickets};
