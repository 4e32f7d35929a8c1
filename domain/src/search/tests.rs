use proptest::prelude::*;

use super::*;

fn term(words: &[&str], is_prefix: bool) -> Term {
    Term { words: words.iter().map(|word| (*word).to_owned()).collect(), is_prefix }
}

#[test]
fn words_are_compared_without_accents_case_and_looks() {
    for (text, folded) in [
        ("Système D'Une crêpe", "systeme d une crepe"),
        ("Straße ŒUVRE Ærø Łódź", "strasse oeuvre aero lodz"),
        ("İstanbul ISTANBUL ıstanbul", "istanbul istanbul istanbul"),
        ("ﬁne ① Ｆｕｌｌ", "fine 1 full"),
        ("e\u{301}te\u{301}", "ete"),
        ("ΌΣΟΣ όσος", "οσοσ οσοσ"),
        ("Ёлка йод", "елка иод"),
        ("don't C++ 3.14", "don t c 3 14"),
        ("映画が好き", "映 画 か 好 き"),
        ("한국어", "한국어"),
        ("हिन्दी", "हिन्दी"),
        ("🎬 -- \u{0}", ""),
    ] {
        let expected: String = folded.nfkd().collect();
        let found: String = fold(text).nfkd().collect();
        assert_eq!(found, expected, "{text}");
    }
    assert_eq!(fold(&"x".repeat(500)).len(), WORD_CHARS_MAX);
}

#[test]
fn words_know_where_they_stand() {
    let text = "«Élan» vital";
    let found: Vec<&str> = words(text).iter().map(|word| &text[word.start..word.end]).collect();
    assert_eq!(found, ["Élan", "vital"]);
}

#[test]
fn a_query_has_words_phrases_beginnings_and_what_must_not_be_there() {
    let query = Query::parse("Crème \"to be or\" dev* -not -\"so what\" \"be gin\"* d'une 映画");
    let wanted = [
        term(&["creme"], false),
        term(&["to", "be", "or"], false),
        term(&["dev"], true),
        term(&["be", "gin"], true),
        term(&["d", "une"], false),
        term(&["映", "画"], false),
    ];
    assert_eq!(
        query,
        Query { wanted: wanted.into(), unwanted: vec![term(&["not"], false), term(&["so", "what"], false)] }
    );
}

#[test]
fn what_means_nothing_is_left_out() {
    for text in ["", " ", "- -- \"\" * -* \"", "+-&|!(){}[]^~:\\/", "\u{0}"] {
        assert_eq!(Query::parse(text), Query::default(), "{text}");
    }
    assert_eq!(Query::parse("c++ AND (").wanted, [term(&["c"], false), term(&["and"], false)]);
    assert_eq!(Query::parse("a A á").wanted.len(), 1);
    let many: Vec<String> = (0..50).map(|at| format!("w{at}")).collect();
    assert_eq!(Query::parse(&many.join(" ")).wanted.len(), TERMS_MAX);
    assert_eq!(Query::parse(&format!("\"{}\"*", many.join(" "))).wanted[0], {
        let words: Vec<&str> = many.iter().take(PHRASE_WORDS_MAX).map(String::as_str).collect();
        term(&words, false)
    });
}

#[test]
fn what_is_found_is_marked_in_the_text_as_it_stands() {
    let shown = |text: &str, query: &str| {
        let parts = snippet(text, &Query::parse(query).wanted, 8)?;
        let mark = |part: Part| if part.is_match { format!("[{}]", part.text) } else { part.text };
        Some(parts.into_iter().map(mark).collect::<String>())
    };
    assert_eq!(shown("<b>Le Système</b> D", "systeme").as_deref(), Some("<b>Le [Système]</b> D"));
    assert_eq!(shown("To be, or not to be", "\"to be\"").as_deref(), Some("[To be], or not [to be]"));
    assert_eq!(shown("developing developers", "develop*").as_deref(), Some("[developing developers]"));
    assert_eq!(shown("a b c d e f g h i j k l m n o", "j").as_deref(), Some("… d e f g h i [j] k …"),);
    assert_eq!(shown("nothing", "else"), None);
    assert_eq!(shown("", "else"), None);
}

#[test]
fn slips_of_the_hand_are_near_and_other_words_are_not() {
    for (typed, word) in [
        ("dragn", "dragon"),
        ("dargon", "dragon"),
        ("draggon", "dragon"),
        ("documentry", "documentary"),
        ("documentery", "documentary"),
    ] {
        assert!(is_near(typed, word), "{typed} {word}");
        let (typed, word) = (trigrams(typed), trigrams(word));
        assert!(typed.iter().any(|trigram| word.contains(trigram)), "{typed:?} {word:?}");
    }
    for (typed, word) in [("dragon", "dragon"), ("cat", "car"), ("dragon", "wagon"), ("house", "mountain")] {
        assert!(!is_near(typed, word), "{typed} {word}");
    }
    assert_eq!(trigrams("abc"), Vec::<String>::new());
    assert_eq!(trigrams("abcd"), [" ab", "abc", "bcd", "cd "]);
}

#[test]
fn short_words_are_known_by_all_that_one_slip_makes_of_them() {
    let from = |typed: &str| one_slip_from(typed);
    for (typed, word) in [("nior", "noir"), ("noar", "noir"), ("noirs", "noir"), ("nor1", "nor"), ("noi", "noir")] {
        let is_taken = typed.chars().count() >= 4;
        assert_eq!(from(typed).contains(&word.to_owned()), is_taken, "{typed} {word}");
    }
    assert_eq!(from("dargon"), ["adrgon", "dagron", "dargno", "darogn", "dragon"], "of longer ones only neighbours");
    assert!(!from("aabb").contains(&"aabb".to_owned()));
    assert!(from("abcde").len() < 450 && from(&"ab".repeat(17)).is_empty());
}

proptest! {
    #[test]
    fn any_text_is_a_query_of_folded_words(text in "\\PC{0,80}|[\"*a-c é-]{0,40}") {
        let query = Query::parse(&text);
        for term in query.wanted.iter().chain(&query.unwanted) {
            for word in &term.words {
                prop_assert!(!word.is_empty() && !word.contains(|c: char| c.is_whitespace() || c.is_ascii_punctuation()));
                prop_assert_eq!(&fold(word), word);
            }
        }
    }

    #[test]
    fn a_snippet_is_what_stands_in_the_text(text in "[a-cé ,.\n]{0,60}", query in "[a-cé \"*]{0,8}") {
        if let Some(parts) = snippet(&text, &Query::parse(&query).wanted, 1000) {
            let shown: String = parts.iter().map(|part| part.text.as_str()).filter(|part| *part != "… ").collect();
            prop_assert!(text.ends_with(&shown), "{}", shown);
            prop_assert!(parts.iter().any(|part| part.is_match));
        }
    }

    #[test]
    fn the_distance_is_the_same_from_either_side(one in "[a-c]{0,9}", other in "[a-c]{0,9}") {
        prop_assert_eq!(distance(&one, &other), distance(&other, &one));
        prop_assert_eq!(distance(&one, &one), Some(0));
    }
}
