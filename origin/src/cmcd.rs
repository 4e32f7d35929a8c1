//! What players tell about themselves with each request: Common Media Client Data (CTA-5004, versions 1 and 2).
//!
//! It comes in four headers or in one parameter of the query. It never changes an answer, nor under which name a
//! cache keeps it; it is counted, logged, and taken as a hint of what is asked for next.

use std::borrow::Cow;
use std::ops::Range;

use http::{HeaderMap, HeaderName, Uri};
use sfv::{BareItem, Dictionary, ListEntry, Parser};

/// The headers, by how often their values change.
static HEADERS: [HeaderName; 4] = [
    HeaderName::from_static("cmcd-request"),
    HeaderName::from_static("cmcd-object"),
    HeaderName::from_static("cmcd-status"),
    HeaderName::from_static("cmcd-session"),
];
/// The parameter of a query.
const PARAMETER: &str = "CMCD=";
/// Longest text of one header or parameter that is read, in octets.
const TEXT_BYTES_MAX: usize = 4 << 10;
/// Longest session id and path that is taken over.
const WORD_BYTES_MAX: usize = 1024;

/// What one request tells. Everything is the player's word and may be false.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cmcd {
    /// `sid`: the playback session.
    pub(crate) session: Option<String>,
    /// `bl`: what the buffer held, in milliseconds.
    pub(crate) buffer_ms: Option<u64>,
    /// `br`: the bit rate of what is asked for, in kilobits per second.
    pub(crate) bitrate_kbps: Option<u64>,
    /// `mtp`: the throughput as the player measured it, in kilobits per second.
    pub(crate) throughput_kbps: Option<u64>,
    /// `bs`: the buffer ran empty since the last request.
    pub(crate) has_starved: bool,
    /// `su`: the player needs it urgently, to start or to go on.
    pub(crate) is_startup: bool,
    /// `nor`: what it will ask for next, relative to this request.
    pub(crate) next: Option<String>,
    /// `nrr`: and which octets of it.
    pub(crate) next_range: Option<Range<u64>>,
}

/// Whether a query holds nothing but what a player tells about itself.
pub(crate) fn is_all_of(query: &str) -> bool {
    query.starts_with(PARAMETER) && !query.contains('&')
}

/// What the request tells; `None` when it tells nothing, or nothing that can be understood.
pub(crate) fn read(uri: &Uri, headers: &HeaderMap) -> Option<Cmcd> {
    let mut told = None;
    for line in HEADERS.iter().filter_map(|name| headers.get(name)) {
        take(line.as_bytes(), told.get_or_insert_default());
    }
    let parameter = uri.query().and_then(|query| query.split('&').find_map(|part| part.strip_prefix(PARAMETER)));
    if let Some(text) = parameter.and_then(unescaped) {
        take(&text, told.get_or_insert_default());
    }
    told.filter(|told| *told != Cmcd::default())
}

/// Takes over what one dictionary says.
fn take(text: &[u8], told: &mut Cmcd) {
    if text.len() > TEXT_BYTES_MAX {
        return;
    }
    let Ok(dictionary) = Parser::new(text).parse_dictionary::<Dictionary>() else { return };
    for (key, entry) in &dictionary {
        // Version 2 gives several values where version 1 gives one; the first is that of this object.
        let item = match entry {
            ListEntry::Item(item) => &item.bare_item,
            ListEntry::InnerList(list) => match list.items.first() {
                Some(item) => &item.bare_item,
                None => continue,
            },
        };
        match key.as_str() {
            "sid" => told.session = word(item),
            "bl" => told.buffer_ms = number(item),
            "br" => told.bitrate_kbps = number(item),
            "mtp" => told.throughput_kbps = number(item),
            "bs" => told.has_starved = item.as_boolean() == Some(true),
            "su" => told.is_startup = item.as_boolean() == Some(true),
            "nor" => told.next = word(item).and_then(|path| String::from_utf8(unescaped(&path)?.into_owned()).ok()),
            "nrr" => told.next_range = word(item).and_then(|range| octets(&range)),
            _ => {}
        }
    }
}

fn word(item: &BareItem) -> Option<String> {
    let text = item.as_string()?.as_str();
    (text.len() <= WORD_BYTES_MAX).then(|| text.to_owned())
}

fn number(item: &BareItem) -> Option<u64> {
    u64::try_from(i64::from(item.as_integer()?)).ok()
}

/// `a-b`, or `a-` for all from there on.
fn octets(range: &str) -> Option<Range<u64>> {
    let (first, last) = range.split_once('-')?;
    let start = first.parse().ok()?;
    let end = if last.is_empty() { u64::MAX } else { last.parse::<u64>().ok()?.saturating_add(1) };
    (start < end).then_some(start..end)
}

/// Undoes percent-encoding; `None` for bad escapes.
fn unescaped(text: &str) -> Option<Cow<'_, [u8]>> {
    if !text.contains('%') {
        return Some(text.as_bytes().into());
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    let hex = |byte: Option<u8>| char::from(byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    while let Some(byte) = bytes.next() {
        plain.push(if byte == b'%' { hex(bytes.next())? << 4 | hex(bytes.next())? } else { byte });
    }
    Some(plain.into())
}

/// The path that `next` names, seen from `path`; `None` when it leaves the server.
pub(crate) fn resolve(path: &str, next: &str) -> Option<String> {
    if next.contains("://") || next.starts_with("//") || next.len() > WORD_BYTES_MAX {
        return None;
    }
    let next = next.split(['?', '#']).next().unwrap_or_default();
    if next.starts_with('/') {
        return Some(next.to_owned());
    }
    let mut folders: Vec<&str> = path.split('/').skip(1).collect();
    folders.pop();
    for step in next.split('/') {
        match step {
            ".." => drop(folders.pop()?),
            "." => {}
            step => folders.push(step),
        }
    }
    Some(format!("/{}", folders.join("/")))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn headers_and_query_tell_the_same() {
        let expected = Cmcd {
            session: Some("6e2fb550-c457-11e9-bb97-0800200c9a66".into()),
            buffer_ms: Some(21_300),
            bitrate_kbps: Some(3200),
            throughput_kbps: Some(25_400),
            has_starved: true,
            is_startup: true,
            next: Some("../300kbps/track.m4v".into()),
            next_range: Some(12_323..48_764),
        };
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("cmcd-object", "br=3200,d=4004,ot=v,tb=6000"),
            ("cmcd-request", "bl=21300,mtp=25400,nor=\"..%2F300kbps%2Ftrack.m4v\",nrr=\"12323-48763\",su"),
            ("cmcd-status", "bs,rtp=15000"),
            ("cmcd-session", "sid=\"6e2fb550-c457-11e9-bb97-0800200c9a66\",sf=h,v=1,com.example-mine=5"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        assert_eq!(read(&Uri::from_static("/v/a"), &headers), Some(expected.clone()));
        let query = "/v/a?x=1&CMCD=bl%3D21300%2Cbr%3D%283200%29%2Cbs%2Cmtp%3D25400%2Cnor%3D%22..%252F300kbps%252Ftrack.m4v%22\
                     %2Cnrr%3D%2212323-48763%22%2Csid%3D%226e2fb550-c457-11e9-bb97-0800200c9a66%22%2Csu%2Cv%3D2";
        assert_eq!(read(&Uri::from_static(query), &HeaderMap::new()), Some(expected));
    }

    #[test]
    fn nonsense_tells_nothing() {
        for query in ["/v/a", "/v/a?CMCD=", "/v/a?CMCD=%zz", "/v/a?CMCD=bl%3D%22x%22", "/v/a?cmcd=bl%3D1"] {
            assert_eq!(read(&query.parse().unwrap(), &HeaderMap::new()), None, "{query}");
        }
        let long = format!("/v/a?CMCD=bl=1,sid=%22{}%22", "a".repeat(TEXT_BYTES_MAX));
        assert_eq!(read(&long.parse().unwrap(), &HeaderMap::new()), None);
    }

    #[test]
    fn what_comes_next_is_a_path_of_this_server() {
        let check = |next: &str, expected: Option<&str>| {
            assert_eq!(resolve("/v/plb_x/g1/720p/3.m4s", next).as_deref(), expected, "{next}");
        };
        check("4.m4s", Some("/v/plb_x/g1/720p/4.m4s"));
        check("../1080p/./4.m4s?CMCD=x", Some("/v/plb_x/g1/1080p/4.m4s"));
        check("/v/plb_y/master.m3u8", Some("/v/plb_y/master.m3u8"));
        check("https://elsewhere.example/4.m4s", None);
        check("//elsewhere.example/4.m4s", None);
        check("../../../../../../4.m4s", None);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,200}", next in "\\PC{0,80}") {
            let mut told = Cmcd::default();
            take(text.as_bytes(), &mut told);
            let _ = resolve("/v/a/b", &next);
            let _ = unescaped(&text);
        }
    }
}
