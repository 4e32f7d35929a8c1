//! What letters say, in the languages that they are written in.

use catalog_store::{Notification, NotificationKind};

use super::notifier::security_action;

/// Longest name of a video in a letter.
const TITLE_CHARS_MAX: usize = 200;

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

/// Of a notification: subject and text. `about` is the name of the video or the webhook that it is about.
pub(crate) fn news(words: Words, news: &Notification, about: Option<&str>, link: &str) -> (&'static str, String) {
    let what = sentence(words, news, about);
    match words {
        Words::English => (subject(words, news.kind), format!("Hello,\n\n{what}\n\n{link}\n\n{}", ending(words))),
        Words::French => (subject(words, news.kind), format!("Bonjour,\n\n{what}\n\n{link}\n\n{}", ending(words))),
    }
}

/// What was not read in a week, each with the name of what it is about: subject and text.
pub(crate) fn digest(words: Words, news: &[(Notification, Option<String>)], link: &str) -> (&'static str, String) {
    let lines = news.iter().map(|(one, about)| format!("- {}", sentence(words, one, about.as_deref())));
    let lines: Vec<String> = lines.collect();
    let lines = lines.join("\n");
    match words {
        Words::English => (
            "Your week",
            format!("Hello,\n\nthis happened, and you did not read it yet:\n\n{lines}\n\n{link}\n\n{}", ending(words)),
        ),
        Words::French => (
            "Votre semaine",
            format!(
                "Bonjour,\n\nvoici ce qui s'est pass\u{e9} et que vous n'avez pas encore lu :\n\n{lines}\n\n{link}\n\n{}",
                ending(words)
            ),
        ),
    }
}

fn subject(words: Words, kind: NotificationKind) -> &'static str {
    match (words, kind) {
        (Words::English, NotificationKind::AssetReady) => "Your video is ready",
        (Words::English, NotificationKind::AssetFailed) => "Your video cannot be processed",
        (Words::English, NotificationKind::AssetShared) => "A video is shared with you",
        (Words::English, NotificationKind::AccountSecurity) => "Your account was changed",
        (Words::English, NotificationKind::WebhookDisabled) => "A webhook was disabled",
        (Words::English, NotificationKind::Digest) => "Your week",
        (Words::French, NotificationKind::AssetReady) => "Votre vid\u{e9}o est pr\u{ea}te",
        (Words::French, NotificationKind::AssetFailed) => "Votre vid\u{e9}o n'a pas pu \u{ea}tre trait\u{e9}e",
        (Words::French, NotificationKind::AssetShared) => "Une vid\u{e9}o est partag\u{e9}e avec vous",
        (Words::French, NotificationKind::AccountSecurity) => "Votre compte a \u{e9}t\u{e9} modifi\u{e9}",
        (Words::French, NotificationKind::WebhookDisabled) => "Un webhook a \u{e9}t\u{e9} d\u{e9}sactiv\u{e9}",
        (Words::French, NotificationKind::Digest) => "Votre semaine",
    }
}

/// One sentence on what happened.
fn sentence(words: Words, news: &Notification, about: Option<&str>) -> String {
    // On one line, whatever somebody calls their video.
    let plain = |text: &str| text.chars().filter(|c| !c.is_control()).take(TITLE_CHARS_MAX).collect::<String>();
    let title = plain(about.unwrap_or_default());
    let field = |name: &str| plain(news.data.get(name).and_then(|value| value.as_str()).unwrap_or_default());
    let webhook = if title.is_empty() { field("webhook") } else { title.clone() };
    let named = |before: &str, after: &str| match (title.as_str(), news.asset) {
        ("", Some(asset)) => format!("{before} {asset} {after}"),
        (title, _) => format!("{before} \u{ab}\u{a0}{title}\u{a0}\u{bb} {after}"),
    };
    let action = || action(words, &security_action(&news.data));
    match (words, news.kind) {
        (Words::English, NotificationKind::AssetReady) => named("the video", "is ready."),
        (Words::English, NotificationKind::AssetFailed) => named("the video", "cannot be processed."),
        (Words::English, NotificationKind::AssetShared) => named("the video", "is shared with you."),
        (Words::English, NotificationKind::AccountSecurity) => {
            format!("{}. If that was not you, set a new password and end all sessions.", action())
        }
        (Words::English, NotificationKind::WebhookDisabled) => {
            format!("the webhook {webhook} is sent nothing any more: {}.", disabled(words, &field("reason")))
        }
        (Words::French, NotificationKind::AssetReady) => named("la vid\u{e9}o", "est pr\u{ea}te."),
        (Words::French, NotificationKind::AssetFailed) => named("la vid\u{e9}o", "n'a pas pu \u{ea}tre trait\u{e9}e."),
        (Words::French, NotificationKind::AssetShared) => named("la vid\u{e9}o", "est partag\u{e9}e avec vous."),
        (Words::French, NotificationKind::AccountSecurity) => format!(
            "{}. Si ce n'\u{e9}tait pas vous, choisissez un nouveau mot de passe et fermez toutes les sessions.",
            action()
        ),
        (Words::French, NotificationKind::WebhookDisabled) => {
            format!("le webhook {webhook} ne re\u{e7}oit plus rien\u{a0}: {}.", disabled(words, &field("reason")))
        }
        // It is made of others.
        (_, NotificationKind::Digest) => String::new(),
    }
}

/// Why a webhook is sent nothing any more.
fn disabled(words: Words, reason: &str) -> String {
    match (words, reason) {
        (Words::French, "it answered 410 Gone") => "il a r\u{e9}pondu 410 Gone".to_owned(),
        (Words::French, "a message was not taken for so long") => {
            "un message n'a pas \u{e9}t\u{e9} accept\u{e9} pendant trop longtemps".to_owned()
        }
        (Words::French, "too much waits for it") => "trop de messages l'attendent".to_owned(),
        (_, other) => other.to_owned(),
    }
}

/// What was done about an account.
fn action(words: Words, action: &str) -> &'static str {
    match (words, action) {
        (Words::English, "key.created") => "an API key was made for your account",
        (Words::English, "session.refresh_reused") => {
            "a token of one of your sessions was used twice, so the session was ended"
        }
        (Words::English, "session.all_ended") => "your other sessions were ended",
        (Words::English, "user.password_changed") => "your password was changed",
        (Words::English, "user.recovery_code_used") => "a recovery code was used to log in",
        (Words::English, "user.registered_again") => "somebody wanted to make an account with your mail address",
        (Words::English, "user.second_factor_removed") => "your second factor was removed",
        (Words::English, "user.second_factor_set") => "a second factor was set",
        (Words::English, _) => "your account was changed",
        (Words::French, "key.created") => "une cl\u{e9} API a \u{e9}t\u{e9} cr\u{e9}\u{e9}e pour votre compte",
        (Words::French, "session.refresh_reused") => {
            "un jeton de l'une de vos sessions a servi deux fois, elle a donc \u{e9}t\u{e9} ferm\u{e9}e"
        }
        (Words::French, "session.all_ended") => "vos autres sessions ont \u{e9}t\u{e9} ferm\u{e9}es",
        (Words::French, "user.password_changed") => "votre mot de passe a \u{e9}t\u{e9} modifi\u{e9}",
        (Words::French, "user.recovery_code_used") => "un code de secours a servi \u{e0} une connexion",
        (Words::French, "user.registered_again") => "quelqu'un a voulu cr\u{e9}er un compte avec votre adresse",
        (Words::French, "user.second_factor_removed") => "votre second facteur a \u{e9}t\u{e9} retir\u{e9}",
        (Words::French, "user.second_factor_set") => "un second facteur a \u{e9}t\u{e9} activ\u{e9}",
        (Words::French, _) => "votre compte a \u{e9}t\u{e9} modifi\u{e9}",
    }
}

fn ending(words: Words) -> &'static str {
    match words {
        Words::English => "You choose in your account which letters you get.\n",
        Words::French => "Vous choisissez dans votre compte les messages que vous recevez.\n",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_news_has_words_in_both_languages_and_stays_on_its_line() {
        for words in [Words::English, Words::French] {
            for kind in NotificationKind::ALL {
                let one = Notification {
                    id: domain::NotificationId::from_u128(1),
                    user: domain::UserId::from_u128(1),
                    kind,
                    asset: Some(domain::AssetId::from_u128(1)),
                    data: serde_json::json!({ "action": "user.password_changed", "reason": "it answered 410 Gone" }),
                    is_mail_due: true,
                    created_at: domain::Timestamp::from_unix_ms(0),
                    read_at: None,
                };
                let (subject, text) = news(words, &one, Some("A\r\nBcc: everybody"), "LINK");
                assert!(!subject.is_empty() && text.contains("\n\nLINK\n\n") && !text.contains('\r'), "{text}");
                if kind == NotificationKind::WebhookDisabled {
                    assert!(text.contains("A") && text.contains("410 Gone"), "{text}");
                }
                let (subject, text) = digest(words, &[(one.clone(), None), (one, Some("clip.mp4".into()))], "LINK");
                assert!(!subject.is_empty() && text.contains("\n\nLINK\n\n"), "{text}");
                assert_eq!(
                    text.contains("clip.mp4"),
                    kind != NotificationKind::AccountSecurity && kind != NotificationKind::Digest
                );
            }
        }
    }

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
