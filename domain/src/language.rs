//! Languages of tracks, as BCP 47 tags.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A language as the shortest BCP 47 (RFC 5646) primary subtag: `en`, `de`, `gsw`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Language(String);

/// ISO 639-2/B codes that differ from their ISO 639-2/T (and 639-3) form.
const BIBLIOGRAPHIC: [(&str, &str); 20] = [
    ("alb", "sqi"),
    ("arm", "hye"),
    ("baq", "eus"),
    ("bur", "mya"),
    ("chi", "zho"),
    ("cze", "ces"),
    ("dut", "nld"),
    ("fre", "fra"),
    ("geo", "kat"),
    ("ger", "deu"),
    ("gre", "ell"),
    ("ice", "isl"),
    ("mac", "mkd"),
    ("mao", "mri"),
    ("may", "msa"),
    ("per", "fas"),
    ("rum", "ron"),
    ("slo", "slk"),
    ("tib", "bod"),
    ("wel", "cym"),
];

impl Language {
    /// The language a container names by an ISO 639 code or a BCP 47 tag (`eng`, `ger`, `pt-BR`).
    ///
    /// `None` for unknown, undetermined (`und`, `mul`, `zxx`) and empty codes. Region and script
    /// subtags are dropped.
    pub fn from_code(code: &str) -> Option<Self> {
        let primary = code.split(['-', '_']).next()?.trim().to_ascii_lowercase();
        let terminological = BIBLIOGRAPHIC.iter().find(|(b, _)| *b == primary).map_or(primary.as_str(), |(_, t)| t);
        if matches!(terminological, "und" | "mul" | "zxx" | "mis") {
            return None;
        }
        let known = match terminological.len() {
            2 => isolang::Language::from_639_1(terminological),
            3 => isolang::Language::from_639_3(terminological),
            _ => None,
        }?;
        Some(Self(known.to_639_1().unwrap_or(known.to_639_3()).to_owned()))
    }

    /// The tag itself.
    pub fn tag(&self) -> &str {
        &self.0
    }

    /// The language's name for itself (`Deutsch`), else its English name, else the tag.
    pub fn name(&self) -> &str {
        let known = match self.0.len() {
            2 => isolang::Language::from_639_1(&self.0),
            _ => isolang::Language::from_639_3(&self.0),
        };
        known.map_or(self.0.as_str(), |language| language.to_autonym().unwrap_or(language.to_name()))
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_language_gives_one_tag() {
        let check = |code: &str, tag: Option<&str>| {
            assert_eq!(Language::from_code(code).as_ref().map(Language::tag), tag, "{code}");
        };
        check("eng", Some("en"));
        check("ger", Some("de"));
        check("deu", Some("de"));
        check("pt-BR", Some("pt"));
        check("fil", Some("fil"));
        check("und", None);
        check("", None);
        check("x", None);
        check("\"\n", None);
    }

    #[test]
    fn a_language_knows_its_own_name() {
        assert_eq!(Language::from_code("deu").expect("known").name(), "Deutsch");
        assert_eq!(Language::from_code("eng").expect("known").name(), "English");
    }
}
