//! Objects of the media pipeline: sources, segments, images, presentations and the one pointer per asset.
//!
//! One store, two places to keep it: a local folder (`file:///abs/path`) or a bucket of an S3 server
//! (`s3://bucket/prefix?endpoint=http://host:port&region=name`). Both behave alike; one contract suite
//! runs on both. Everything but the pointer is written once and never changed; conditional writes are
//! not relied on, since some S3 servers accept and ignore them.
//!
//! The crate does not know what an object contains, who may read it, or why it was written.
//!
//! Read [`MediaStore`] first, then [`layout`], the only place where keys are formatted, and [`staging`],
//! the local files that unfinished uploads grow in.
//!
//! ```no_run
//! # async fn example() -> Result<(), media_store::StoreError> {
//! use media_store::{MediaStore, StoreConfig, layout};
//! # let (asset, generation) = (domain::AssetId::from_u128(1), domain::Generation(1));
//! let store = MediaStore::open(StoreConfig {
//!     url: "file:///var/lib/headwater/media".into(),
//!     access_key: None,
//!     secret_key: None,
//!     scratch: "/var/lib/headwater/scratch".into(),
//! })
//! .await?;
//! let rendition = domain::RenditionId::new("720p").expect("a rendition name");
//! store.put_once(&layout::segment(asset, generation, &rendition, 0), vec![0u8; 4].into()).await?;
//! # Ok(()) }
//! ```

mod changes;
mod config;
pub mod disk;
mod error;
mod folder;
mod gathered;
mod lane;
pub mod layout;
mod multipart;
mod reading;
mod scratch;
mod source;
pub mod staging;
mod store;

pub use changes::{Change, Listener};
pub use config::StoreConfig;
pub use disk::Disk;
pub use error::{Retry, StoreError};
pub use gathered::{Gathered, WRITE_BYTES};
pub use layout::{Key, Prefix};
pub use reading::{ObjectFile, RemoteRead};
pub use staging::{Staging, StagingError};
pub use store::{MediaStore, OBJECT_BYTES_MAX, Object, PAGE_OBJECTS, Page, Put};
