use super::*;

fn faults(about: About) -> Vec<(String, &'static str)> {
    about.tidied().unwrap_err().into_iter().map(|fault| (fault.pointer, fault.code)).collect()
}

fn texts(count: usize) -> Vec<String> {
    (0..count).map(|at| format!("label {at}")).collect()
}

#[test]
fn what_is_said_is_kept_evenly_and_once() {
    let credit = |name: &str, role: &str| Credit { name: name.into(), role: role.into() };
    let about = About {
        title: Some("  Le \n film\u{7}  ".into()),
        description: Some("one\r\ntwo\tthree\rfour\u{b}five\u{0}\n".into()),
        tags: vec!["Été".into(), "ete".into(), "Sci-Fi".into(), "sci fi".into()],
        languages: ["fra", "fr"].map(|code| Language::from_code(code).unwrap()).into(),
        people: vec![credit(" Ada  L. ", "director"), credit("Ada L.", "writer")],
        ..About::default()
    };
    let kept = about.tidied().unwrap();
    assert_eq!(kept.title.as_deref(), Some("Le film"));
    assert_eq!(kept.description.as_deref(), Some("one\ntwo three\nfour five"));
    assert_eq!(kept.tags, ["Été", "Sci-Fi"]);
    assert_eq!(kept.languages.len(), 1);
    assert_eq!(kept.people[0], credit("Ada L.", "director"));
    assert_eq!(kept.clone().tidied().unwrap(), kept, "it stays as it is");
    let blank = About { title: Some(" ".into()), description: Some("\n".into()), ..About::default() };
    assert_eq!(blank.tidied().unwrap(), About::default());
}

#[test]
fn every_fault_names_its_place() {
    let long = |chars: usize| "é".repeat(chars);
    let about = About {
        title: Some(long(TITLE_CHARS_MAX + 1)),
        description: Some(long(DESCRIPTION_CHARS_MAX + 1)),
        tags: vec!["fine".into(), "?!".into(), long(LABEL_CHARS_MAX + 1)],
        genres: texts(GENRES_MAX + 1),
        external_ids: [("IM/DB", "tt1"), ("tmdb", "6 03")].map(|(scheme, id)| (scheme.into(), id.into())).into(),
        people: vec![Credit { name: String::new(), role: long(ROLE_CHARS_MAX + 1) }],
        ..About::default()
    };
    let expected = [
        ("/title", "too_long"),
        ("/description", "too_long"),
        ("/tags/1", "empty"),
        ("/tags/2", "too_long"),
        ("/genres", "too_many"),
        ("/external_ids/IM~1DB", "invalid_scheme"),
        ("/external_ids/tmdb", "invalid_id"),
        ("/people/0/name", "empty"),
        ("/people/0/role", "too_long"),
    ];
    assert_eq!(faults(about), expected.map(|(pointer, code)| (pointer.to_owned(), code)));
}

#[test]
fn a_text_is_counted_as_it_was_sent() {
    let padded = |chars: usize| format!("\u{84} a{}", " ".repeat(chars - 2));
    let about = About {
        title: Some(padded(TITLE_CHARS_MAX)),
        description: Some(padded(DESCRIPTION_CHARS_MAX)),
        tags: vec![padded(LABEL_CHARS_MAX)],
        people: vec![Credit { name: padded(NAME_CHARS_MAX), role: padded(ROLE_CHARS_MAX) }],
        ..About::default()
    };
    let expected = ["/title", "/description", "/tags/0", "/people/0/name", "/people/0/role"];
    assert_eq!(faults(about), expected.map(|pointer| (pointer.to_owned(), "too_long")));
}

#[test]
fn as_much_as_is_allowed_is_allowed() {
    let credit = Credit { name: "é".repeat(NAME_CHARS_MAX), role: "é".repeat(ROLE_CHARS_MAX) };
    let about = About {
        title: Some("é".repeat(TITLE_CHARS_MAX)),
        description: Some("é".repeat(DESCRIPTION_CHARS_MAX)),
        tags: texts(TAGS_MAX),
        genres: texts(GENRES_MAX),
        people: vec![credit; PEOPLE_MAX],
        external_ids: [("a".repeat(SCHEME_CHARS_MAX), "é".repeat(EXTERNAL_ID_CHARS_MAX))].into(),
        ..About::default()
    };
    assert!(about.tidied().is_ok());
    assert_eq!(faults(About { tags: texts(TAGS_MAX + 1), ..About::default() }), [("/tags".to_owned(), "too_many")]);
}

#[test]
fn days_are_those_of_the_calendar() {
    for text in ["1999-03-31", "2000-02-29", "0001-01-01", "9999-12-31"] {
        assert_eq!(text.parse::<Date>().unwrap().to_string(), text);
    }
    for text in
        ["1900-02-29", "2023-13-01", "2023-00-10", "2023-04-31", "2023-1-1", "2023-01-01T00:00", "+023-01-01", ""]
    {
        assert_eq!(text.parse::<Date>(), Err(NoDate), "{text}");
    }
}

#[test]
fn it_is_written_in_few_words() {
    assert_eq!(serde_json::to_string(&About::default()).unwrap(), "{}");
    let about = About { released_on: "1999-03-31".parse().ok(), ..About::default() };
    let text = serde_json::to_string(&about).unwrap();
    assert_eq!(text, r#"{"released_on":"1999-03-31"}"#);
    assert_eq!(serde_json::from_str::<About>(&text).unwrap(), about);
}
