//! Languages of assets and tracks, as BCP 47 tags.

use std::fmt;

use icu_locale_core::subtags::{Region, Script, Variant};
use serde::{Deserialize, Serialize};

/// Longest tag that is taken, in octets (RFC 5646 §4.4.1).
const TAG_BYTES_MAX: usize = 35;

/// A language as a BCP 47 (RFC 5646) tag in canonical case: the shortest primary subtag (`en`, `de`, `gsw`), and script,
/// region and variants where they are said (`pt-BR`, `zh-Hant`).
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
    /// `None` for unknown, undetermined (`und`, `mul`, `zxx`) and empty codes. It is the language alone, for files name
    /// regions and scripts by chance; see [`from_tag`](Self::from_tag).
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

    /// The language that people name by a BCP 47 tag or an ISO 639 code, with its script, region and variants.
    ///
    /// `None` as for [`from_code`](Self::from_code), and for what a tag cannot be kept as: extensions, subtags for
    /// private use and extended languages (`zh-yue`, which is written `yue`).
    pub fn from_tag(tag: &str) -> Option<Self> {
        let tag = tag.trim().replace('_', "-");
        let mut subtags = tag.split('-').peekable();
        let Self(mut written) = Self::from_code(subtags.next()?)?;
        let mut variants: Vec<Variant> = Vec::new();
        let mut keep = |subtag: &str| {
            written.push('-');
            written.push_str(subtag);
        };
        // RFC 5646 §2.1: a script, a region and variants, in this order.
        if let Some(script) = subtags.peek().and_then(|subtag| Script::try_from_str(subtag).ok()) {
            keep(script.as_str());
            subtags.next();
        }
        if let Some(region) = subtags.peek().and_then(|subtag| Region::try_from_str(subtag).ok()) {
            keep(region.as_str());
            subtags.next();
        }
        for subtag in subtags {
            let variant = Variant::try_from_str(subtag).ok().filter(|variant| !variants.contains(variant))?;
            keep(variant.as_str());
            variants.push(variant);
        }
        Some(Self(written)).filter(|known| known.0.len() <= TAG_BYTES_MAX)
    }

    /// The language alone, without script and region.
    pub fn primary(&self) -> &str {
        self.0.split('-').next().unwrap_or(&self.0)
    }

    /// The tag and all that it is a case of, the widest first: `zh`, `zh-Hant`, `zh-Hant-TW` (RFC 4647 §3.3.1).
    pub fn ranges(&self) -> impl Iterator<Item = &str> {
        let ends = self.0.match_indices('-').map(|(at, _)| at).chain([self.0.len()]);
        ends.filter_map(|end| self.0.get(..end))
    }

    /// The tag itself.
    pub fn tag(&self) -> &str {
        &self.0
    }

    /// The language's name for itself (`Deutsch`), else its English name, else the tag.
    pub fn name(&self) -> &str {
        let known = match self.primary().len() {
            2 => isolang::Language::from_639_1(self.primary()),
            _ => isolang::Language::from_639_3(self.primary()),
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
    fn a_tag_that_people_write_keeps_script_region_and_variants() {
        let check = |written: &str, tag: Option<&str>| {
            assert_eq!(Language::from_tag(written).as_ref().map(Language::tag), tag, "{written}");
            if let Some(tag) = tag {
                assert_eq!(Language::from_tag(tag).as_ref().map(Language::tag), Some(tag), "it stays as it is");
            }
        };
        check("pt-BR", Some("pt-BR"));
        check("PT_br", Some("pt-BR"));
        check(" zh-hant ", Some("zh-Hant"));
        check("chi-HANT-tw", Some("zh-Hant-TW"));
        check("es-419", Some("es-419"));
        check("ca-Valencia", Some("ca-valencia"));
        check("eng", Some("en"));
        check("yue", Some("yue"));
        for none in [
            "",
            "-",
            "pt-",
            "und",
            "und-BR",
            "xx",
            "xx-BR",
            "zh-yue",
            "en-u-ca-buddhist",
            "en-x-own",
            "x-own",
            "pt-BR-PT",
        ] {
            check(none, None);
        }
        check(&format!("en{}", "-variant1".repeat(8)), None);
    }

    #[test]
    fn a_language_is_a_case_of_wider_ones() {
        let ranges = |tag: &str| Language::from_tag(tag).unwrap().ranges().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(ranges("zh-Hant-TW"), ["zh", "zh-Hant", "zh-Hant-TW"]);
        assert_eq!(ranges("en"), ["en"]);
        assert_eq!(Language::from_tag("pt-BR").unwrap().name(), "portugu\u{ea}s");
    }

    #[test]
    fn a_language_knows_its_own_name() {
        assert_eq!(Language::from_code("deu").expect("known").name(), "Deutsch");
        assert_eq!(Language::from_code("eng").expect("known").name(), "English");
    }
}
