//! Titles of problems, in the languages that people read them in. What programs match on is the code.

use axum::http::{HeaderMap, header};

/// The languages of titles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tongue {
    English,
    French,
}

impl Tongue {
    /// Its tag (BCP 47).
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::French => "fr",
        }
    }

    /// The one that whoever asks likes best (RFC 9110 §12.5.4); English if neither.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let lines = headers.get_all(header::ACCEPT_LANGUAGE).iter().filter_map(|line| line.to_str().ok());
        let (mut best, mut most) = (Self::English, 0);
        for range in lines.flat_map(|line| line.split(',')).take(RANGES_MAX) {
            let (range, weight) = range.split_once(';').unwrap_or((range, "q=1"));
            let tongue = match range.trim().get(..2).map(str::to_ascii_lowercase).as_deref() {
                Some("fr") => Self::French,
                Some("en") => Self::English,
                _ => continue,
            };
            let weight = weight.trim().strip_prefix("q=").map_or(0, thousandths);
            // Of two that are liked alike, the one that was named first.
            if weight > most {
                (best, most) = (tongue, weight);
            }
        }
        best
    }
}

/// Ranges of languages that are looked at.
const RANGES_MAX: usize = 32;

/// A weight such as `0.8`, in thousandths; nothing if it is none.
fn thousandths(text: &str) -> u16 {
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let digits = format!("{fraction:0<3}");
    match (whole, digits.get(..3).and_then(|digits| digits.parse::<u16>().ok())) {
        ("1", Some(_)) => 1000,
        ("0", Some(fraction)) => fraction,
        _ => 0,
    }
}

/// Every code with its titles, in English and French.
pub(crate) const TITLES: [(&str, &str, &str); 87] = [
    ("account_suspended", "Account suspended", "Compte suspendu"),
    ("accounts_off", "No accounts here", "Pas de comptes ici"),
    ("accounts_unavailable", "Accounts cannot be reached", "Comptes injoignables"),
    ("already_in_collection", "Already in the collection", "Déjà dans la collection"),
    ("asset_failed", "Asset has failed", "Le média a échoué"),
    ("asset_not_ready", "Asset not ready", "Le média n'est pas prêt"),
    ("body_too_large", "Body too large", "Contenu trop volumineux"),
    ("body_too_slow", "Body too slow", "Contenu trop lent"),
    ("busy", "Too busy", "Trop de demandes en cours"),
    ("catalog_unavailable", "Catalogue cannot be reached", "Catalogue injoignable"),
    ("changed", "Changed since", "Modifié entre-temps"),
    ("code_required", "Second factor required", "Second facteur requis"),
    ("cross_origin", "Request from another site", "Requête d'un autre site"),
    ("email_not_verified", "Mail address not confirmed", "Adresse non confirmée"),
    ("email_taken", "Mail address taken", "Adresse déjà utilisée"),
    ("external_id_taken", "External id taken", "Identifiant externe déjà pris"),
    ("forbidden", "Not allowed", "Non autorisé"),
    ("generation_replaced", "Generation replaced", "Génération remplacée"),
    ("handle_taken", "Handle taken", "Nom de chaîne déjà pris"),
    ("idempotency_answer_lost", "Done, but the answer is lost", "Effectué, mais la réponse est perdue"),
    ("idempotency_key_in_use", "Still being done", "Encore en cours"),
    ("idempotency_key_reused", "Key used for something else", "Clé déjà utilisée pour autre chose"),
    ("internal", "Error of the server", "Erreur du serveur"),
    ("identity_taken", "Identity taken", "Identité déjà prise"),
    ("invalid_body", "Document not understood", "Document non compris"),
    ("invalid_code", "Wrong code", "Code erroné"),
    ("invalid_cursor", "Not a place in this list", "Position inconnue dans cette liste"),
    ("invalid_credentials", "Wrong mail address or password", "Adresse ou mot de passe erroné"),
    ("invalid_fields", "Fields that cannot be meant", "Champs non valables"),
    ("invalid_header", "Header not readable", "En-tête illisible"),
    ("invalid_id", "No such kind of id", "Identifiant non valide"),
    ("invalid_idempotency_key", "Idempotency-Key not valid", "Idempotency-Key non valide"),
    ("invalid_link", "Link not valid any more", "Lien expiré ou déjà utilisé"),
    ("invalid_parameter", "Parameter that cannot be meant", "Paramètre non valable"),
    ("invalid_path", "Path not understood", "Chemin non compris"),
    ("invalid_query", "Query not understood", "Paramètres non compris"),
    ("invalid_refresh_token", "Refresh token not valid", "Jeton de renouvellement non valide"),
    ("invalid_token", "Token not valid", "Jeton non valide"),
    ("invalid_transition", "No way to this stage", "Étape impossible"),
    ("item_unfit", "Not taken by this collection", "Non accepté par cette collection"),
    ("last_admin", "Last administrator", "Dernier administrateur"),
    ("last_way_in", "Last way in", "Dernier moyen de connexion"),
    ("malformed_body", "Body not readable", "Contenu illisible"),
    ("method_not_allowed", "Method not allowed", "Méthode non autorisée"),
    ("not_binned", "Not in the bin", "Absent de la corbeille"),
    ("not_found", "Not found", "Introuvable"),
    ("not_json", "Not JSON", "Pas du JSON"),
    ("not_shown", "Not shown", "Pas montré"),
    ("other_version", "Another file is in force", "Un autre fichier est en vigueur"),
    ("not_text", "Not text", "Pas du texte"),
    ("passwords_off", "No passwords here", "Pas de mots de passe ici"),
    ("picture_animated", "Picture that moves", "Image animée"),
    ("picture_damaged", "Picture damaged", "Image endommagée"),
    ("picture_too_large", "Picture too large", "Image trop grande"),
    ("picture_too_small", "Picture too small", "Image trop petite"),
    ("picture_unknown", "Not a picture that is read", "Format d'image non pris en charge"),
    ("precondition_required", "If-Match required", "If-Match requis"),
    ("previews_off", "No tickets here", "Pas de tickets ici"),
    ("provider_away", "Provider does not answer", "Fournisseur injoignable"),
    ("registration_closed", "Registration closed", "Inscriptions fermées"),
    ("source_missing", "Source not stored", "Source absente"),
    ("storage_unavailable", "Storage cannot be reached", "Stockage injoignable"),
    ("subtitle_lost", "Subtitle file lost", "Fichier de sous-titres perdu"),
    ("subtitle_replaced", "Subtitle replaced", "Sous-titres remplacés"),
    ("too_many_attempts", "Too many attempts", "Trop de tentatives"),
    ("too_many_bodies", "Too many bodies at once", "Trop de contenus à la fois"),
    ("too_many_channels", "Too many channels", "Trop de chaînes"),
    ("too_many_documents", "Too many documents", "Trop de documents"),
    ("too_many_generations", "Too many generations", "Trop de générations"),
    ("too_many_identities", "Too many identities", "Trop d'identités"),
    ("too_many_items", "Too many items", "Trop d'éléments"),
    ("too_many_keys", "Too many API keys", "Trop de clés API"),
    ("too_many_messages", "Too many messages wait", "Trop de messages en attente"),
    ("too_many_own_streams", "Too many streams of yours", "Trop de flux ouverts par vous"),
    ("too_many_requests", "Too many requests", "Trop de requêtes"),
    ("too_many_shares", "Too many shares", "Trop de partages"),
    ("too_many_streams", "Too many streams", "Trop de flux ouverts"),
    ("too_many_subscriptions", "Too many subscriptions", "Trop d'abonnements"),
    ("too_many_subtitles", "Too many subtitle files", "Trop de fichiers de sous-titres"),
    ("too_many_versions", "Too many versions", "Trop de versions"),
    ("too_many_webhooks", "Too many webhooks", "Trop de webhooks"),
    ("unauthorized", "Not logged in", "Non connecté"),
    ("unknown_language", "Unknown language", "Langue inconnue"),
    ("version_in_force", "Version in force already", "Version déjà en vigueur"),
    ("version_not_kept", "Version not kept", "Version non conservée"),
    ("version_under_way", "Another version on its way", "Une autre version est en cours"),
    ("weak_password", "Password too weak", "Mot de passe trop faible"),
];

/// What only operations on uploads answer, in the same way.
const OF_UPLOADS: [(&str, &str, &str); 32] = [
    ("address_refused", "Address not imported from", "Adresse non autorisée pour l'import"),
    ("asset_not_found", "No such asset", "Média introuvable"),
    ("beyond_length", "More than was announced", "Plus que la longueur annoncée"),
    ("broken_off", "Body broke off", "Contenu interrompu"),
    ("checksum_mismatch", "Checksum does not match", "Somme de contrôle erronée"),
    ("completing", "Still being stored", "Enregistrement en cours"),
    ("final_upload", "Takes no octets of its own", "N'accepte pas d'octets"),
    ("grant_invalid", "Upload link not valid", "Lien d'envoi non valide"),
    ("inconsistent_length", "Lengths that differ", "Longueurs incohérentes"),
    ("invalid_content_type", "Not a piece of an upload", "Type de contenu inattendu"),
    ("invalid_part", "Parts cannot be joined", "Parties impossibles à assembler"),
    ("metadata_too_long", "Metadata too long", "Métadonnées trop longues"),
    ("offset_mismatch", "Upload stands elsewhere", "Position d'envoi différente"),
    ("out_of_space", "No room left", "Plus de place"),
    ("quota_exceeded", "Quota used up", "Quota dépassé"),
    ("stalled", "Nothing came for too long", "Envoi interrompu trop longtemps"),
    ("stopping", "Server is restarting", "Redémarrage du serveur"),
    ("taken_over", "Taken over by a newer request", "Repris par une requête plus récente"),
    ("too_many_open_uploads", "Too many unfinished uploads", "Trop d'envois inachevés"),
    ("too_many_uploads", "Too many uploads", "Trop d'envois"),
    ("too_slow", "Too slow", "Trop lent"),
    ("type_not_accepted", "Type not accepted", "Type non accepté"),
    ("unsupported_content_coding", "Content coding not taken", "Codage du contenu non accepté"),
    ("unsupported_version", "Protocol version not spoken", "Version du protocole non prise en charge"),
    ("upload_busy", "Upload in use", "Envoi en cours d'utilisation"),
    ("upload_complete", "Upload is complete", "Envoi déjà terminé"),
    ("upload_expired", "Upload expired", "Envoi expiré"),
    ("upload_gone", "Upload gone", "Envoi supprimé"),
    ("upload_lost", "Upload lost", "Envoi perdu"),
    ("upload_not_found", "No such upload", "Envoi introuvable"),
    ("upload_refused", "Upload refused", "Envoi refusé"),
    ("upload_too_large", "Upload too large", "Envoi trop volumineux"),
];

/// What is told of a request below `/api` before it is there: by the server that stands around it.
const OF_THE_DOOR: [(&str, &str, &str); 6] = [
    ("bad_host", "Host not valid", "Hôte non valide"),
    ("head_too_large", "Head too large", "En-têtes trop volumineux"),
    ("role_not_played", "Not done by this server", "Non assuré par ce serveur"),
    ("target_too_long", "Address too long", "Adresse trop longue"),
    ("unknown_host", "Not known by this name", "Nom d'hôte inconnu"),
    ("unknown_transfer_coding", "Transfer coding not understood", "Codage de transfert non compris"),
];

/// The title of a code; `None` for one that has none.
pub(crate) fn title(code: &str, tongue: Tongue) -> Option<&'static str> {
    let (_, english, french) =
        TITLES.iter().chain(&OF_UPLOADS).chain(&OF_THE_DOOR).find(|(known, _, _)| *known == code)?;
    Some(match tongue {
        Tongue::English => english,
        Tongue::French => french,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_language_that_is_liked_best_is_taken() {
        let of = |value: &'static str| {
            let field = (header::ACCEPT_LANGUAGE, header::HeaderValue::from_static(value));
            Tongue::of(&HeaderMap::from_iter([field]))
        };
        assert_eq!(Tongue::of(&HeaderMap::new()), Tongue::English);
        for french in ["fr", "fr-CA", "FR-fr;q=0.5", "de, fr;q=0.9, en;q=0.8", "en;q=0.1, fr;q=0.12", "fr, en"] {
            assert_eq!(of(french), Tongue::French, "{french}");
        }
        for english in ["", "en", "de", "en, fr", "fr;q=0, en;q=0.1", "fr;q=x", "*", "\u{a0}", "fr;q=2"] {
            let Ok(value) = header::HeaderValue::from_str(english) else { continue };
            let headers = HeaderMap::from_iter([(header::ACCEPT_LANGUAGE, value)]);
            assert_eq!(Tongue::of(&headers), Tongue::English, "{english}");
        }
    }

    /// Every code that stands anywhere in this crate.
    fn codes() -> BTreeSet<String> {
        let mut folders = vec![std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src")];
        let mut codes = BTreeSet::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let text = std::fs::read_to_string(&path).expect("a source");
                let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
                for piece in text.split("StatusCode::").skip(1) {
                    let Some((_, rest)) = piece.split_once(", \"") else { continue };
                    let (before, _) = piece.split_once(", \"").expect("it is there");
                    if before.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') {
                        codes.insert(rest.split('"').next().unwrap_or_default().to_owned());
                    }
                }
            }
        }
        codes
    }

    #[test]
    fn whatever_is_denied_to_uploads_has_a_title_and_none_is_double() {
        let source = |file: &str| {
            let path = format!("{}/../ingest/src/{file}", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(path).expect("a source");
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        let mut told = BTreeSet::from(["checksum_mismatch".to_owned()]);
        for text in [source("denial.rs"), source("error.rs")] {
            for piece in text.split("(S::").skip(1) {
                let Some((_, code)) = piece.split(')').next().and_then(|pair| pair.split_once(", \"")) else {
                    continue;
                };
                told.insert(code.trim_end_matches('"').to_owned());
            }
        }
        assert!(told.len() > 45, "only {} codes were found", told.len());
        for code in &told {
            assert!(title(code, Tongue::French).is_some(), "{code}");
        }
        for (code, english, french) in OF_UPLOADS {
            assert!(!english.is_empty() && !french.is_empty() && english != french, "{code}");
            assert!(TITLES.iter().all(|(known, ..)| *known != code), "{code}");
            assert!(told.contains(code), "nobody is told {code}");
        }
    }

    #[test]
    fn the_description_names_every_code_and_no_other() {
        let document: serde_json::Value = serde_json::from_str(include_str!("../../openapi.json")).expect("JSON");
        let described = document["components"]["schemas"]["Problem"]["properties"]["code"]["examples"].as_array();
        let described: BTreeSet<_> = described.expect("a list").iter().filter_map(|code| code.as_str()).collect();
        let known = TITLES.iter().chain(&OF_UPLOADS).chain(&OF_THE_DOOR).map(|(code, ..)| *code).collect();
        assert_eq!(described, known);
    }

    #[test]
    fn every_code_has_a_title_in_both_languages_and_no_other_has() {
        let known: BTreeSet<String> = TITLES.iter().map(|(code, _, _)| (*code).to_owned()).collect();
        assert_eq!(known.len(), TITLES.len(), "none stands there twice");
        assert_eq!(codes(), known);
        for (code, english, french) in TITLES {
            assert!(!english.is_empty() && !french.is_empty() && english != french, "{code}");
        }
    }
}
