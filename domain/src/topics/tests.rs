use super::*;

fn check_match(pattern: &str, topics: &[&str], others: &[&str]) {
    let wanted: Topics = pattern.parse().expect("a list of patterns");
    for topic in topics {
        assert!(wanted.has(topic), "{pattern} has {topic}");
    }
    for topic in others {
        assert!(!wanted.has(topic), "{pattern} has not {topic}");
    }
}

#[test]
fn a_star_is_one_word_and_a_hash_any_number() {
    check_match("asset.ready", &["asset.ready"], &["asset", "asset.ready.now", "asset.read", "job.ready"]);
    check_match("asset.*", &["asset.ready"], &["asset", "asset.a.b"]);
    check_match("asset.#", &["asset", "asset.ready", "asset.a.b"], &["assets", "job.asset"]);
    check_match("#", &["asset", "asset.ready", "a.b.c.d"], &[]);
    check_match("#.failed", &["failed", "job.failed", "a.b.failed"], &["failed.job", "job.faile"]);
    check_match("*.failed", &["job.failed"], &["failed", "a.b.failed"]);
    check_match("#.a.*.b.#", &["a.x.b", "q.a.a.b", "a.b.a.c.b", "q.a.x.b.c.d"], &["a.b", "a.x.y.b"]);
    check_match("a.#.#.b", &["a.b", "a.x.b", "a.x.y.b"], &["a", "b", "a.x"]);
    check_match("asset.*,job.#", &["asset.ready", "job", "job.a.b"], &["asset.a.b", "user"]);
    check_match("", &["asset.ready", "anything"], &[]);
}

#[test]
fn what_is_no_pattern_is_refused() {
    for wrong in ["asset.", ".", "a..b", "Asset", "a.**", "a b", "a.#b", "a,,b", "\u{e9}"] {
        assert_eq!(wrong.parse::<Topics>(), Err(TopicsError::Malformed), "{wrong}");
    }
    assert_eq!("x".repeat(65).parse::<Topics>(), Err(TopicsError::TooLong));
    assert_eq!(["a"; 17].join(",").parse::<Topics>(), Err(TopicsError::TooMany));
    assert_eq!("a.*, job.# ".parse::<Topics>().expect("two").to_string(), "a.*,job.#");
}

#[test]
fn many_hashes_cost_no_time() {
    let pattern = ["#"; 32].join(".");
    let topic = vec!["a"; 2000].join(".");
    assert!(Topics::new([pattern.as_str()]).expect("a pattern").has(&topic));
    let wanted = Topics::new([["#.a"; 16].join(".").as_str(), "#.b"]).expect("patterns");
    assert!(wanted.has(&topic) && !Topics::new(["#.b"]).expect("a pattern").has(&topic));
}

proptest::proptest! {
    /// By the definition, word by word.
    #[test]
    fn matching_is_what_is_defined(
        pattern in proptest::collection::vec("[ab*#]", 1..6),
        topic in proptest::collection::vec("[ab]", 1..6),
    ) {
        fn defined(pattern: &[String], words: &[String]) -> bool {
            match pattern.split_first() {
                None => words.is_empty(),
                Some((first, rest)) if first == "#" => (0..=words.len()).any(|n| defined(rest, &words[n..])),
                Some((first, rest)) => words.first().is_some_and(|w| (first == "*" || first == w) && defined(rest, &words[1..])),
            }
        }
        let wanted = Topics::new([pattern.join(".").as_str()]).expect("a pattern");
        proptest::prop_assert_eq!(wanted.has(&topic.join(".")), defined(&pattern, &topic));
    }
}
