use http::HeaderValue;

use super::*;

/// Sunday, 6 November 1994, 08:49:37 GMT.
const NOW_S: u64 = 784_111_777;
const NOW: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix_ms(i64::try_from((NOW_S + seconds) * 1000).unwrap())
}

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn terms(status: u16, lines: &[(&'static str, &str)], is_authorized: bool) -> Option<Terms> {
    let asked = Asked { is_authorized, sent: at(0), received: at(0), ends: None };
    Terms::of(StatusCode::from_u16(status).unwrap(), &headers(lines), asked)
}

/// The standing after so many seconds, of an answer that may be kept.
#[track_caller]
fn check(lines: &[(&'static str, &str)], expected: &[(u64, Standing)]) {
    let terms = terms(200, lines, false).expect("may be kept");
    for (seconds, standing) in expected {
        assert_eq!(terms.standing(at(*seconds)), *standing, "{lines:?} after {seconds} s");
    }
}

const STALE: Standing = Standing::Stale { is_better_than_nothing: false };
const BETTER_THAN_NOTHING: Standing = Standing::Stale { is_better_than_nothing: true };

#[test]
fn an_answer_is_fresh_for_as_long_as_it_says_to_this_cache() {
    check(&[("cache-control", "max-age=10")], &[(0, Standing::Fresh), (9, Standing::Fresh), (10, STALE)]);
    check(&[("cache-control", "max-age=10, s-maxage=20")], &[(19, Standing::Fresh), (20, STALE)]);
    check(
        &[("cache-control", "max-age=10"), ("cdn-cache-control", "max-age=30")],
        &[(29, Standing::Fresh), (30, STALE)],
    );
    let expires = "Sun, 06 Nov 1994 08:50:07 GMT";
    check(&[("date", NOW), ("expires", expires)], &[(29, Standing::Fresh), (30, STALE)]);
    check(&[("expires", "0"), ("etag", "\"x\"")], &[(0, STALE)]);
    check(&[("cache-control", "max-age=5"), ("expires", expires)], &[(4, Standing::Fresh), (5, STALE)]);
    check(&[("cache-control", "max-age=x"), ("etag", "\"x\"")], &[(0, STALE)]);
}

#[test]
fn the_age_that_it_had_counts() {
    check(&[("cache-control", "max-age=10"), ("age", "8")], &[(1, Standing::Fresh), (2, STALE)]);
    check(&[("cache-control", "max-age=10"), ("age", "8, 1")], &[(1, Standing::Fresh), (2, STALE)]);
    check(&[("cache-control", "max-age=10"), ("age", "old")], &[(9, Standing::Fresh)]);
    let earlier = "Sun, 06 Nov 1994 08:49:31 GMT";
    check(&[("cache-control", "max-age=10"), ("date", earlier)], &[(3, Standing::Fresh), (4, STALE)]);
    let terms = terms(200, &[("cache-control", "max-age=10"), ("age", "3")], false).unwrap();
    assert_eq!((terms.age(at(4)).as_secs(), terms.ttl_s(at(4)), terms.ttl_s(at(9))), (7, 3, -2));
}

#[test]
fn stale_answers_are_given_as_far_as_the_origin_allows() {
    check(
        &[("cache-control", "max-age=10, stale-while-revalidate=5, stale-if-error=20")],
        &[(10, Standing::Refreshable), (14, Standing::Refreshable), (15, BETTER_THAN_NOTHING), (30, STALE)],
    );
    for strict in ["must-revalidate", "proxy-revalidate", "no-cache", "s-maxage=10"] {
        let value = format!("max-age=10, stale-while-revalidate=5, stale-if-error=20, {strict}");
        check(&[("cache-control", &value), ("etag", "\"x\"")], &[(10, STALE), (16, STALE)]);
    }
    check(&[("cache-control", "no-cache, max-age=10"), ("etag", "\"x\"")], &[(0, STALE)]);
}

#[test]
fn what_must_not_be_kept_is_not() {
    for (status, value, is_kept) in [
        (200, "max-age=10", true),
        (200, "max-age=10, no-store", false),
        (200, "max-age=10, private", false),
        (200, "max-age=10, private=\"x\"", false),
        (200, "max-age=0", false),
        (200, "no-store, must-understand, max-age=10", true),
        (299, "no-store, must-understand, max-age=10", false),
        (299, "max-age=10", true),
        (206, "max-age=10", false),
        (304, "max-age=10", false),
        (404, "max-age=10", true),
        (404, "public", false),
        (302, "max-age=10", true),
        (500, "max-age=10", false),
        (503, "public, max-age=10", false),
    ] {
        assert_eq!(terms(status, &[("cache-control", value)], false).is_some(), is_kept, "{status} {value}");
    }
    assert!(terms(404, &[("last-modified", "Sun, 06 Nov 1993 08:49:37 GMT")], false).is_none());
}

#[test]
fn an_answer_to_somebody_who_is_known_is_kept_only_if_it_is_for_all() {
    for (value, is_kept) in [
        ("max-age=10", false),
        ("max-age=10, public", true),
        ("max-age=10, must-revalidate", true),
        ("s-maxage=10", true),
    ] {
        assert_eq!(terms(200, &[("cache-control", value)], true).is_some(), is_kept, "{value}");
    }
    for (value, is_kept) in [("max-age=10", false), ("max-age=10, public", true)] {
        let lines = [("cache-control", value), ("set-cookie", "a=b")];
        assert_eq!(terms(200, &lines, false).is_some(), is_kept, "{value}");
    }
}

#[test]
fn without_a_word_about_time_a_guess_is_made_from_the_last_change() {
    // Ten hours old: an hour.
    check(
        &[("date", NOW), ("last-modified", "Sat, 05 Nov 1994 22:49:37 GMT")],
        &[(3599, Standing::Fresh), (3600, STALE)],
    );
    check(&[("last-modified", "Sun, 06 Nov 1994 08:47:57 GMT")], &[(9, Standing::Fresh), (10, STALE)]);
    check(&[("etag", "\"x\"")], &[(0, STALE)]);
    assert!(terms(200, &[], false).is_none());
}

#[test]
fn nothing_outlives_the_permission_under_which_it_was_asked() {
    let asked = Asked { is_authorized: false, sent: at(0), received: at(0), ends: Some(at(5)) };
    let lines = headers(&[("cache-control", "max-age=100, stale-if-error=100")]);
    let terms = Terms::of(StatusCode::OK, &lines, asked).unwrap();
    assert_eq!([4, 5].map(|seconds| terms.standing(at(seconds))), [Standing::Fresh, Standing::Over]);
    assert!(!terms.covers_errors(at(5)));
    assert_eq!(Terms::of_once(at(0)).standing(at(0)), Standing::Over);
}
