//! What letters say, in the languages that they are written in.

/// The languages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Words {
    English,
    French,
}

impl Words {
    /// Those of somebody who reads this language.
    pub(crate) fn of(language: Option<&str>) -> Self {
        match language.and_then(|tag| tag.get(..2)) {
            Some(two) if two.eq_ignore_ascii_case("fr") => Self::French,
            _ => Self::English,
        }
    }
}

/// To show that an address is one's own: subject and text.
pub(crate) fn verify(words: Words, link: &str) -> (&'static str, String) {
    match words {
        Words::English => (
            "Confirm your mail address",
            format!(
                "Hello,\n\nfollow this link within three days to confirm that this mail address is yours:\n\n{link}\n\n\
                 If you did not make an account, ignore this letter.\n"
            ),
        ),
        Words::French => (
            "Confirmez votre adresse",
            format!(
                "Bonjour,\n\nsuivez ce lien dans les trois jours pour confirmer que cette adresse est la v\u{f4}tre :\n\n\
                 {link}\n\nSi vous n'avez pas cr\u{e9}\u{e9} de compte, ignorez ce message.\n"
            ),
        ),
    }
}

/// Somebody registers again: subject and text.
pub(crate) fn known(words: Words, link: &str) -> (&'static str, String) {
    match words {
        Words::English => (
            "You have an account already",
            format!(
                "Hello,\n\nsomebody wanted to make an account with this mail address, which has one already.\n\
                 If it was you and you forgot the password, set a new one:\n\n{link}\n\nElse there is nothing to do.\n"
            ),
        ),
        Words::French => (
            "Vous avez d\u{e9}j\u{e0} un compte",
            format!(
                "Bonjour,\n\nquelqu'un a voulu cr\u{e9}er un compte avec cette adresse, qui en a d\u{e9}j\u{e0} un.\n\
                 Si c'\u{e9}tait vous et que vous avez oubli\u{e9} le mot de passe, choisissez-en un nouveau :\n\n{link}\n\n\
                 Sinon, il n'y a rien \u{e0} faire.\n"
            ),
        ),
    }
}

/// To set a new password: subject and text.
pub(crate) fn reset(words: Words, link: &str) -> (&'static str, String) {
    match words {
        Words::English => (
            "Set a new password",
            format!(
                "Hello,\n\nfollow this link within an hour to set a new password:\n\n{link}\n\n\
                 If you did not ask for it, ignore this letter: your password stays as it is.\n"
            ),
        ),
        Words::French => (
            "Choisissez un nouveau mot de passe",
            format!(
                "Bonjour,\n\nsuivez ce lien dans l'heure pour choisir un nouveau mot de passe :\n\n{link}\n\n\
                 Si vous n'avez rien demand\u{e9}, ignorez ce message : votre mot de passe ne change pas.\n"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_hold_their_link_in_the_language_of_who_reads_them() {
        for words in [Words::English, Words::French] {
            for (subject, text) in [verify(words, "LINK"), known(words, "LINK"), reset(words, "LINK")] {
                assert!(!subject.is_empty() && text.contains("\n\nLINK\n\n"), "{text}");
            }
        }
        assert_eq!(Words::of(Some("fr-CA")), Words::French);
        for other in [None, Some(""), Some("f"), Some("de"), Some("\u{e9}")] {
            assert_eq!(Words::of(other), Words::English);
        }
    }
}
