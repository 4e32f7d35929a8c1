//! XML that is well-formed whatever its texts contain.

use std::fmt::Display;

/// Longest text of an element or attribute, in characters; longer ones are cut.
const TEXT_CHARS_MAX: usize = 500;

/// An element with everything in it.
pub(super) struct Element {
    name: &'static str,
    attributes: String,
    inside: Inside,
}

enum Inside {
    Elements(Vec<Element>),
    Text(String),
}

impl Element {
    pub(super) fn of(name: &'static str) -> Self {
        Self { name, attributes: String::new(), inside: Inside::Elements(Vec::new()) }
    }

    /// Adds an attribute.
    pub(super) fn with(mut self, name: &str, value: impl Display) -> Self {
        self.attributes.push_str(&format!(" {name}=\"{}\"", escape(&value.to_string())));
        self
    }

    /// Adds an attribute, if it has a value.
    pub(super) fn with_some(self, name: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    pub(super) fn child(self, child: Self) -> Self {
        self.children([child])
    }

    pub(super) fn children(mut self, children: impl IntoIterator<Item = Self>) -> Self {
        if let Inside::Elements(elements) = &mut self.inside {
            elements.extend(children);
        }
        self
    }

    /// An element with this text alone.
    pub(super) fn text(mut self, text: &str) -> Self {
        self.inside = Inside::Text(escape(text));
        self
    }

    /// The whole document.
    pub(super) fn document(&self) -> String {
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        self.render(&mut out, 0);
        out
    }

    fn render(&self, out: &mut String, depth: usize) {
        let (indent, name, attributes) = ("  ".repeat(depth), self.name, &self.attributes);
        match &self.inside {
            Inside::Text(text) => out.push_str(&format!("{indent}<{name}{attributes}>{text}</{name}>\n")),
            Inside::Elements(elements) if elements.is_empty() => {
                out.push_str(&format!("{indent}<{name}{attributes}/>\n"))
            }
            Inside::Elements(elements) => {
                out.push_str(&format!("{indent}<{name}{attributes}>\n"));
                elements.iter().for_each(|element| element.render(out, depth + 1));
                out.push_str(&format!("{indent}</{name}>\n"));
            }
        }
    }
}

/// Characters that mean something are escaped, those that XML has no place for become spaces (XML 1.0 §2.2).
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().take(TEXT_CHARS_MAX) {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
