//! `Content-Disposition` of what people keep (RFC 6266 §4, RFC 8187): the name, and something plain for those that cannot
//! read it.

use http::HeaderValue;

/// Longest name, in characters.
const NAME_CHARS_MAX: usize = 120;

/// `name` as files can be called on any system, without characters that hide how it ends; `fallback` if nothing is left.
pub(crate) fn plain(name: &str, fallback: &str) -> String {
    let is_plain = |c: char| {
        let is_turning = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        !c.is_control() && !is_turning && !matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|')
    };
    let words = name.split(char::is_whitespace).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    let name: String = words.chars().filter(|c| is_plain(*c)).take(NAME_CHARS_MAX).collect();
    if name.trim_matches('.').is_empty() { fallback.to_owned() } else { name }
}

/// Has a browser keep it under this name, which is [`plain`].
pub(crate) fn attachment(file_name: &str) -> HeaderValue {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || " -_.()".contains(c);
    let ascii: String = file_name.chars().map(|c| if is_safe(c) { c } else { '_' }).collect();
    let escaped = |byte: u8| match byte {
        byte if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    let extended: String = file_name.bytes().map(escaped).collect();
    let value = format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{extended}");
    HeaderValue::from_str(&value).unwrap_or(HeaderValue::from_static("attachment"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_place_nor_hide_its_ending() {
        for (name, expected) in [
            ("../../etc/passwd", "....etcpasswd"),
            ("a\r\nSet-Cookie: x", "a Set-Cookie x"),
            ("fdp.\u{202e}exe", "fdp.exe"),
            ("..", "document"),
            ("a \"b\" c", "a b c"),
        ] {
            assert_eq!(plain(name, "document"), expected);
        }
        assert_eq!(plain(&"x".repeat(500), "").len(), NAME_CHARS_MAX);
        let header = attachment("Système D; (2).pdf");
        assert_eq!(
            header,
            "attachment; filename=\"Syst_me D_ (2).pdf\"; filename*=UTF-8''Syst%C3%A8me%20D%3B%20%282%29.pdf"
        );
    }
}
