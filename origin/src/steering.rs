//! Content steering (RFC 8216bis §7): which of several hosts a player takes its segments from, told while it plays.
//!
//! Every host serves the same paths, so the other ones are clones of the one that the playlist names: a player puts
//! another host into the addresses that it has. A token in the path stays where it is.

use http::Uri;
use http::uri::Authority;
use packager::hls::PATHWAY;
use serde_json::json;

/// Shortest and longest time after which players ask again, in seconds.
const TTL_S: std::ops::RangeInclusive<u32> = 10..=86_400;
/// Most pathways.
const PATHWAYS_MAX: usize = 16;
/// Longest name of one.
const NAME_CHARS_MAX: usize = 32;

/// Why hosts cannot be steered between.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SteeringError {
    /// Neither `id:https://host` nor the name of the origin itself.
    #[error("pathway {at} is neither id:https://host nor {PATHWAY}")]
    Form {
        /// Its place in the list, from 1.
        at: usize,
    },
    /// The name has other characters than small letters, digits, `-`, `.` and `_`, or is too long.
    #[error("the id of pathway {at} must be up to {NAME_CHARS_MAX} small letters, digits, -, . and _")]
    Name {
        /// Its place in the list, from 1.
        at: usize,
    },
    /// An address with a port or a path: players replace the name of the host in addresses, and nothing else.
    #[error("the address of pathway {at} must be https://host or http://host, without a port and a path")]
    Address {
        /// Its place in the list, from 1.
        at: usize,
    },
    /// Two have one name.
    #[error("pathway {id} is there twice")]
    Twice {
        /// The name.
        id: String,
    },
    /// More than anybody needs.
    #[error("there are more than {PATHWAYS_MAX} pathways")]
    Many,
    /// Players would ask too often, or hardly ever.
    #[error("players must ask again after {} to {} seconds", TTL_S.start(), TTL_S.end())]
    Ttl,
}

/// The hosts, the one to be preferred first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steering {
    pathways: Vec<Pathway>,
    ttl_s: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pathway {
    id: String,
    /// `None` for wherever the playlist came from.
    host: Option<String>,
}

/// What a player says of where it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pathway: Option<String>,
    throughput: Option<u64>,
}

impl Told {
    /// Reads `_HLS_pathway` and `_HLS_throughput`.
    pub(crate) fn read(query: Option<&str>) -> Self {
        let find = |name: &str| query?.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name);
        // A quoted string, of which some players leave the quotes out.
        let pathway = find("_HLS_pathway").map(|(_, value)| value.replace("%22", "").replace('"', ""));
        Self { pathway, throughput: find("_HLS_throughput").and_then(|(_, value)| value.parse().ok()) }
    }

    /// Whether the answer is for one player alone.
    pub(crate) fn is_any(&self) -> bool {
        *self != Self::default()
    }
}

impl Steering {
    /// Steers between `id:https://host` each, the one to be preferred first; `origin` stands for wherever the playlist
    /// came from, and comes last unless it is named. `None` if there is nothing to choose.
    ///
    /// # Errors
    /// [`SteeringError`] for the first that cannot be used.
    pub fn new<T: AsRef<str>>(pathways: &[T], ttl_s: u32) -> Result<Option<Self>, SteeringError> {
        if pathways.is_empty() {
            return Ok(None);
        }
        if pathways.len() > PATHWAYS_MAX {
            return Err(SteeringError::Many);
        }
        if !TTL_S.contains(&ttl_s) {
            return Err(SteeringError::Ttl);
        }
        let mut known: Vec<Pathway> = Vec::with_capacity(pathways.len() + 1);
        for (at, text) in (1..).zip(pathways) {
            let pathway = parse(at, text.as_ref().trim())?;
            if known.iter().any(|other| other.id == pathway.id) {
                return Err(SteeringError::Twice { id: pathway.id });
            }
            known.push(pathway);
        }
        if known.iter().all(|pathway| pathway.host.is_some()) {
            known.push(Pathway { id: PATHWAY.into(), host: None });
        }
        Ok(Some(Self { pathways: known, ttl_s }))
    }

    /// The names of all hosts but the one that a playlist came from.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.pathways.iter().filter_map(|pathway| pathway.host.as_deref())
    }

    /// How long the answer to everybody may be kept, in seconds: half the time after which players ask again.
    pub(crate) fn fresh_s(&self) -> u32 {
        self.ttl_s / 2
    }

    /// The steering manifest for a player that says this. One that gets less than `bandwidth_min`, in bits a second,
    /// out of a pathway cannot play there, and is sent to the others first.
    pub(crate) fn manifest(&self, told: &Told, bandwidth_min: u64) -> String {
        let is_starved = told.throughput.is_some_and(|throughput| throughput < bandwidth_min);
        let is_slow = |pathway: &&Pathway| is_starved && told.pathway.as_ref() == Some(&pathway.id);
        let (slow, good): (Vec<&Pathway>, Vec<&Pathway>) = self.pathways.iter().partition(|pathway| is_slow(pathway));
        let order: Vec<&str> = good.into_iter().chain(slow).map(|pathway| pathway.id.as_str()).collect();
        let clone = |pathway: &Pathway| {
            let host = pathway.host.as_ref()?;
            Some(json!({ "BASE-ID": PATHWAY, "ID": pathway.id, "URI-REPLACEMENT": { "HOST": host } }))
        };
        let clones: Vec<serde_json::Value> = self.pathways.iter().filter_map(clone).collect();
        json!({
            "VERSION": 1,
            "TTL": self.ttl_s,
            "RELOAD-URI": "steering.json",
            "PATHWAY-PRIORITY": order,
            "PATHWAY-CLONES": clones,
        })
        .to_string()
    }
}

fn parse(at: usize, text: &str) -> Result<Pathway, SteeringError> {
    if text == PATHWAY {
        return Ok(Pathway { id: text.into(), host: None });
    }
    let (id, address) = text.split_once(':').ok_or(SteeringError::Form { at })?;
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b'_');
    if id.is_empty() || id.len() > NAME_CHARS_MAX || !id.bytes().all(is_plain) || id == PATHWAY {
        return Err(SteeringError::Name { at });
    }
    let wrong = SteeringError::Address { at };
    let address: Uri = address.parse().map_err(|_| wrong.clone())?;
    let is_web = matches!(address.scheme_str(), Some("http" | "https"));
    let is_bare = matches!(address.path(), "" | "/") && address.query().is_none();
    // Of a port nothing is said in the specification, and hls.js ignores a host that has one.
    let is_name = |authority: &&Authority| authority.host() == authority.as_str();
    match address.authority().filter(|authority| is_web && is_bare && is_name(authority)) {
        Some(authority) => Ok(Pathway { id: id.into(), host: Some(authority.as_str().into()) }),
        None => Err(wrong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steering(pathways: &[&str]) -> Steering {
        Steering::new(pathways, 300).unwrap().expect("some")
    }

    fn order(steering: &Steering, query: &str) -> Vec<String> {
        let manifest = steering.manifest(&Told::read(Some(query)), 1_000_000);
        let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
        manifest["PATHWAY-PRIORITY"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn other_hosts_are_clones_of_the_playlists_own() {
        let steering = steering(&["cdn-a:https://a.example.org", "origin", "cdn-b:https://b.example.org/"]);
        let manifest: serde_json::Value = serde_json::from_str(&steering.manifest(&Told::default(), 0)).unwrap();
        assert_eq!(
            manifest,
            json!({
                "VERSION": 1, "TTL": 300, "RELOAD-URI": "steering.json",
                "PATHWAY-PRIORITY": ["cdn-a", "origin", "cdn-b"],
                "PATHWAY-CLONES": [
                    { "BASE-ID": "origin", "ID": "cdn-a", "URI-REPLACEMENT": { "HOST": "a.example.org" } },
                    { "BASE-ID": "origin", "ID": "cdn-b", "URI-REPLACEMENT": { "HOST": "b.example.org" } },
                ],
            })
        );
    }

    #[test]
    fn a_player_that_starves_on_a_pathway_is_sent_elsewhere() {
        let steering = steering(&["cdn-a:https://a.example.org", "cdn-b:https://b.example.org"]);
        let usual = ["cdn-a", "cdn-b", "origin"];
        assert_eq!(order(&steering, ""), usual);
        assert_eq!(order(&steering, "_HLS_pathway=%22cdn-a%22&_HLS_throughput=1000000"), usual);
        assert_eq!(order(&steering, "_HLS_pathway=%22cdn-a%22&_HLS_throughput=999999"), ["cdn-b", "origin", "cdn-a"]);
        assert_eq!(order(&steering, "_HLS_pathway=cdn-b&x=1&_HLS_throughput=5"), ["cdn-a", "origin", "cdn-b"]);
        assert_eq!(order(&steering, "_HLS_pathway=nowhere&_HLS_throughput=5"), usual);
        assert_eq!(order(&steering, "_HLS_pathway=cdn-a&_HLS_throughput=-5"), usual);
    }

    #[test]
    fn unusable_pathways_are_told_apart() {
        let of = |pathways: &[&str]| Steering::new(pathways, 300).map(|steering| steering.is_some());
        assert_eq!(of(&[]), Ok(false));
        assert_eq!(of(&["a:http://127.0.0.1"]), Ok(true));
        assert_eq!(of(&["a"]), Err(SteeringError::Form { at: 1 }));
        for id in ["", "A", "a b", "origin"] {
            assert_eq!(of(&[&format!("{id}:https://a.example.org")]), Err(SteeringError::Name { at: 1 }), "{id}");
        }
        for address in [
            "a.example.org",
            "ftp://a.example.org",
            "https://a.example.org/path",
            "https://u@a.example.org",
            "https://a?b",
            "https://a.example.org:8443",
        ] {
            assert_eq!(of(&[&format!("a:{address}")]), Err(SteeringError::Address { at: 1 }), "{address}");
        }
        assert_eq!(of(&["a:https://a", "a:https://b"]), Err(SteeringError::Twice { id: "a".into() }));
        assert_eq!(Steering::new(&["a:https://a"], 9), Err(SteeringError::Ttl));
        assert_eq!(of(&["origin"; 17]), Err(SteeringError::Many));
    }
}
