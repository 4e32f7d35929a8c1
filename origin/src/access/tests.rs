//! Tokens of others, made by OpenSSL, and what a gate does with them.

use domain::{Availability, ManualClock, Timestamp};
use http::HeaderValue;
use http::header::{COOKIE, HOST};

use super::*;

const PATH: &str = "/v/plb_00000000000000000000000007/master.m3u8";
const PEM: &str = "-----BEGIN PUBLIC KEY-----\n\
             MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAoDXWfHA9bnRdk6Cxmk4W\n\
             YVxVIFFwkF/DX26qDVXAIXuNreINtYMeDfSqZk+JZlNGEdpRO8LeP0ymlFqdfkkV\n\
             sfnAgD0soZL/fflJvGtVON+blMxfdux8OcXiYoQpa9SS7l01fJ72HxWO6CGJpLon\n\
             9yXaFctjBBfQeRh54U2nOOxX45geOgypV5+Je5xRWMVRG0Bk8CxprscW/oUvngDG\n\
             uRiVBZCrIB70+CUzAqXTtP3RPcLJTza2+p754zirp3PbaeMySiqPt4RsChBdLSJH\n\
             ZkvFjR4cdkEujKOW44Dy36ikIqtjNlw8Qe1PjVG6FHhT+Br6+UrmMlPQwMDZHa71\n\
             NwIDAQAB\n\
             -----END PUBLIC KEY-----";
const AKAMAI_KEY: &str = "00112233445566778899aabbccddeeff";
const AKAMAI: &str = "st=1000~exp=2000~acl=/v/plb_00000000000000000000000007/*!/v/x/*~hmac=5e5d063457f7991d09f7a53374af7628f4bac27fa22553816c6342149a03dc6f";
const AKAMAI_URL: &str = "exp=2000~hmac=c1e271ee56ba89ae60d2b7ffd69459bcb7529fcb9ca77a269ee69aacca16298f";
const CANNED: &str = "GpO03~Y-C6iHcXd7UnXp6WbmI1-TqDdC40LbjXMzRpgO0esonYFiLIMooUVSx2-MeJvWPsbpoHeEMifWgYV~xz0ZcxLydOu56aFJKHkt8HHvIaGdrNg9ZK1uAgfMJU69dZQaJoFADlE7FPpnLZ3HZ73FIQqDBJnJJ77QntfbQOxGhSLhsiGUVse7UdFEVhlF8KDTBDqP4PBBtejnx3m5BmYkigouR~RANpkCgzCDJEfAAQVc-wfHfURe3aDSkWUKEKjxRXvnAkFPPG39DrA8ao2-LWeZePgLpCJhgJEiP62ICHUnTF86bON72WfZHpGOg0DmTTTIS~uXne~~hrS4Xw__";
const POLICY: &str = "eyJTdGF0ZW1lbnQiOlt7IlJlc291cmNlIjoiaHR0cCo6Ly9tZWRpYS5leGFtcGxlL3YvcGxiXzAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA3LyoiLCJDb25kaXRpb24iOnsiRGF0ZUxlc3NUaGFuIjp7IkFXUzpFcG9jaFRpbWUiOjIwMDB9LCJEYXRlR3JlYXRlclRoYW4iOnsiQVdTOkVwb2NoVGltZSI6MTAwMH0sIklwQWRkcmVzcyI6eyJBV1M6U291cmNlSXAiOiIxOTIuMC4yLjAvMjQifX19XX0_";
const CUSTOM: &str = "oDKPlaxvOZm0a8x5NfPE9aAiqu4Zz3lAkzjgSx~EBd58H5UBIrZ8ZiDDDQUfRmnz5nuyn~IzVqhKEFu0~ohC9QfRLlm8i4VNZrB9SYp5cDzQcidcHShihMJYyopVFVzPCL~fZNJ0ucBsHUxew4hhAiJmu2Ix3~8qLRrjrn-CtQyDZrOtfdJeeM9r4qzPgV1oP5fAjLDCjBsduqYP~MlhrJC2VOeBX~IFJG0TiGf7sOFy0~RHorAENcfVLZcfKBtZv90HknfSl9jVQZYH5rnLlagQ5Bo4xs2igbSY0yDwRVG38w80AM3k8T74l3dthDI-7Hn8IYYc0A5AhHhY0cHM2g__";
const JWT: &str = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImtleS0xIn0.eyJzdWIiOiJwbGJfMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDciLCJhdWQiOiJ2IiwiZXhwIjoyMDAwLCJraWQiOiJrZXktMSJ9.fzDBaLJ2UqZiXm_JBQctkoCruvZg-8LiVVXSRSJNQHqvq1vhwqqYCKkNloqmleFhpFwZ8dRlPgq66-vNY-7w8POihl10AFGnI-gRtOuT45AyKaDJhBCKspdUelIJErnjomtz29C1oDxUrfHhKimLREgH8xSVgN9R3h2oh60S0xwvMdnHa75DwqT2aWZnAlnzC3Mai0F74QH1mEOxF4Ltj7rAw0UgU1qLIEa_Wyp6_9qQ2pT5sWs63qE4DBfXAEfCKwqL_PaqPkvkUCWYIfApSY27A6enXSD2PUuf2toFpCrbv8W8Yi3MkH9f7UrGlgFi34v3VOFuxc2fvk-HftIfzA";
const JWT_WITHOUT_SIGNATURE: &str = "eyJhbGciOiJub25lIiwia2lkIjoia2V5LTEifQ.eyJzdWIiOiJwbGJfMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDciLCJhdWQiOiJ2IiwiZXhwIjoyMDAwLCJraWQiOiJrZXktMSJ9.";

fn headers(lines: &[(HeaderName, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static("media.example"))]);
    headers.extend(lines.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())));
    headers
}

fn claim<'a>(path: &'a str, query: Option<&'a str>, headers: &'a HeaderMap, now_s: u64) -> Claim<'a> {
    let address = Some("192.0.2.7".parse().unwrap());
    Claim { path, query, headers, authority: None, playback: PlaybackId::from_u128(7), address, now_s }
}

fn verdict(verifier: &impl Verifier, path: &str, query: &str, now_s: u64) -> Verdict {
    let headers = headers(&[]);
    verifier.verify(&claim(path, Some(query), &headers, now_s))
}

fn keys(id: &str) -> PublicKeys {
    let mut keys = PublicKeys::default();
    keys.add(id, PEM).unwrap();
    keys
}

#[test]
fn akamai_tokens_open_what_their_acl_or_their_address_says() {
    let akamai = Akamai::new(&["ffeeddccbbaa99887766554433221100", AKAMAI_KEY], "").unwrap();
    let check = |path: &str, token: &str, now_s: u64, expected| {
        assert_eq!(verdict(&akamai, path, &format!("x=1&hdnts={token}"), now_s), expected, "{path} {now_s}");
        let headers = headers(&[(COOKIE, &format!("a=b; hdnts={token}"))]);
        assert_eq!(akamai.verify(&claim(path, None, &headers, now_s)), expected, "{path} {now_s}");
    };
    check(PATH, AKAMAI, 1500, Verdict::Granted);
    check(PATH, AKAMAI, 2000, Verdict::Refused);
    check(PATH, AKAMAI, 900, Verdict::Refused);
    check("/v/plb_00000000000000000000000008/master.m3u8", AKAMAI, 1500, Verdict::Refused);
    check(PATH, &AKAMAI.replace("exp=2000", "exp=3000"), 1500, Verdict::Refused);
    check(PATH, AKAMAI_URL, 1500, Verdict::Granted);
    check("/v/plb_00000000000000000000000007/chapters.vtt", AKAMAI_URL, 1500, Verdict::Refused);
    assert_eq!(verdict(&akamai, PATH, "x=1", 1500), Verdict::Absent);
    let salted = Akamai::new(&[AKAMAI_KEY], "salt").unwrap();
    assert_eq!(verdict(&salted, PATH, &format!("hdnts={AKAMAI}"), 1500), Verdict::Refused);
    assert!(Akamai::new(&["xyz"], "").is_none());
}

#[test]
fn cloudfront_signatures_with_a_canned_policy_are_for_one_address() {
    let cloudfront = CloudFront::new(keys("K1"));
    let query = format!("size=large&Expires=2000&Signature={CANNED}&Key-Pair-Id=K1");
    assert_eq!(verdict(&cloudfront, PATH, &query, 1500), Verdict::Granted);
    assert_eq!(verdict(&cloudfront, PATH, &query, 2000), Verdict::Refused);
    assert_eq!(verdict(&cloudfront, PATH, &query.replace("large", "small"), 1500), Verdict::Refused);
    assert_eq!(verdict(&cloudfront, PATH, &query.replace("K1", "K2"), 1500), Verdict::Refused);
    assert_eq!(verdict(&cloudfront, PATH, &query.replace("=2000", "=3000"), 1500), Verdict::Refused);
    assert_eq!(verdict(&cloudfront, PATH, "size=large", 1500), Verdict::Absent);
    // Over HTTP/2 the target names the host.
    let (none, other) = (HeaderMap::new(), headers(&[]));
    for (headers, authority, expected) in [
        (&none, Some("media.example"), Verdict::Granted),
        (&none, None, Verdict::Refused),
        (&other, Some("other.example"), Verdict::Refused),
    ] {
        let claim = Claim { authority, ..claim(PATH, Some(&query), headers, 1500) };
        assert_eq!(cloudfront.verify(&claim), expected, "{authority:?}");
    }
}

#[test]
fn cloudfront_policies_come_in_the_query_and_in_cookies() {
    let cloudfront = CloudFront::new(keys("K1"));
    let segment = "/v/plb_00000000000000000000000007/g1/720p/0.m4s";
    let query = format!("Policy={POLICY}&Signature={CUSTOM}&Key-Pair-Id=K1");
    for (path, now_s, expected) in [
        (PATH, 1500, Verdict::Granted),
        (segment, 1500, Verdict::Granted),
        (segment, 2000, Verdict::Refused),
        (segment, 900, Verdict::Refused),
        ("/v/plb_00000000000000000000000008/master.m3u8", 1500, Verdict::Refused),
    ] {
        assert_eq!(verdict(&cloudfront, path, &query, now_s), expected, "{path} {now_s}");
        let cookies = format!("CloudFront-Policy={POLICY}; CloudFront-Signature={CUSTOM}; CloudFront-Key-Pair-Id=K1");
        let headers = headers(&[(COOKIE, &cookies)]);
        assert_eq!(cloudfront.verify(&claim(path, None, &headers, now_s)), expected, "{path} {now_s}");
        let elsewhere = Claim { address: Some("198.51.100.1".parse().unwrap()), ..claim(path, None, &headers, now_s) };
        assert_eq!(cloudfront.verify(&elsewhere), Verdict::Refused);
    }
    let other = query.replace(&POLICY[..20], "eyJTdGF0ZW1lbnQiOlt8"); // typos: ignore
    assert_eq!(verdict(&cloudfront, PATH, &other, 1500), Verdict::Refused);
}

#[test]
fn mux_tokens_are_for_one_playback_id_and_kind() {
    let mux = Mux::new(keys("key-1"));
    let check = |path: &str, token: &str, now_s: u64, expected| {
        assert_eq!(verdict(&mux, path, &format!("token={token}"), now_s), expected, "{path} {token} {now_s}");
    };
    check(PATH, JWT, 1500, Verdict::Granted);
    check(PATH, JWT, 2000, Verdict::Refused);
    check("/v/plb_00000000000000000000000007/g1/images/poster.jpg", JWT, 1500, Verdict::Refused);
    check(PATH, JWT_WITHOUT_SIGNATURE, 1500, Verdict::Refused);
    check(PATH, &JWT[..JWT.len() - 8], 1500, Verdict::Refused);
    check(PATH, "a.b.c", 1500, Verdict::Refused);
    assert_eq!(verdict(&Mux::new(keys("key-2")), PATH, &format!("token={JWT}"), 1500), Verdict::Refused);
    let headers = headers(&[]);
    let other = Claim { playback: PlaybackId::from_u128(8), ..claim(PATH, Some("token=x"), &headers, 1500) };
    assert_eq!(mux.verify(&Claim { query: Some(&format!("token={JWT}")), ..other }), Verdict::Refused);
}

#[test]
fn a_gate_takes_only_what_comes_from_its_cdn() {
    let secrets = vec!["the secret in force".to_owned(), "the one before".to_owned()];
    let name = HeaderName::from_static("x-origin-secret");
    let gate = Gate::without_keys().behind(name.clone(), secrets);
    let uri = Uri::from_static(PATH);
    let check = |lines: &[(HeaderName, &str)], expected: Result<(&str, Ticket), Denied>| {
        assert_eq!(gate.enter(&uri, &headers(lines), None), expected, "{lines:?}");
    };
    check(&[(name.clone(), "the secret in force")], Ok((PATH, Ticket::None)));
    check(&[(name.clone(), "the one before")], Ok((PATH, Ticket::None)));
    check(&[(name, "guess")], Err(Denied::NotByCdn));
    check(&[], Err(Denied::NotByCdn));
}

#[test]
fn a_gate_takes_what_a_server_of_akamai_signed_beside_the_secret() {
    let name = HeaderName::from_static("x-origin-secret");
    let uri = Uri::from_static("/v/plb_x/0.m4s?a=b");
    let signed = [
        (HeaderName::from_static("x-akamai-g2o-auth-data"), "5, 1.2.3.4, 3.4.5.6, 1471524574, 2805760.691583751, v"),
        (HeaderName::from_static("x-akamai-g2o-auth-sign"), "vDxWM6WH1rRUuifumx65TrhYEfxZCUD5m1+DCZ/5O6o="),
    ];
    let secret = [(name.clone(), "the secret in force")];
    for secrets in [vec![], vec!["the secret in force".to_owned()]] {
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_ms(1_471_524_574_000)));
        let gate =
            Gate::new(Arc::clone(&clock) as Arc<dyn Clock>, KeyRing::default()).behind(name.clone(), secrets.clone());
        let gate = gate.signed_by(G2o::new(&["v:s3cr3tk3y0123456"]).unwrap());
        assert_eq!(gate.enter(&uri, &headers(&signed), None), Ok(("/v/plb_x/0.m4s", Ticket::None)));
        assert_eq!(gate.enter(&uri, &headers(&secret), None).is_ok(), !secrets.is_empty());
        assert_eq!(gate.enter(&uri, &headers(&[]), None), Err(Denied::NotByCdn));
        clock.advance(Duration::from_secs(31));
        assert_eq!(gate.enter(&uri, &headers(&signed), None), Err(Denied::NotByCdn), "too late");
    }
}

#[tokio::test]
async fn a_gate_asks_what_the_asset_asks() {
    let gate = Gate::without_keys().with_verifier(Akamai::new(&[AKAMAI_KEY], "").unwrap());
    let hash = hash_password("open sesame", [7; 16]);
    assert!(is_password_hash(&hash) && !is_password_hash("open sesame"));
    let query = format!("hdnts={AKAMAI}");
    let (wrong, right) = ("Basic dTpvcGVuIGJhcmxleQ==", "Basic dTpvcGVuIHNlc2FtZQ==");
    let signed = Admission::Signed;
    let locked = Admission::Password { hash };
    for (admission, query, authorization, has_token, expected) in [
        (&Admission::Public, None, None, false, Ok(Passage::Open)),
        (&Admission::Unlisted, None, None, false, Ok(Passage::Open)),
        (&signed, None, None, false, Err(Denied::NotSigned)),
        (&signed, None, Some(right), false, Err(Denied::NotSigned)),
        (&signed, Some(query.as_str()), None, false, Ok(Passage::Private)),
        (&signed, None, None, true, Ok(Passage::Open)),
        (&locked, None, None, false, Err(Denied::NoPassword)),
        (&locked, None, Some(wrong), false, Err(Denied::NoPassword)),
        (&locked, None, Some(right), false, Ok(Passage::Private)),
        (&locked, None, Some(right), false, Ok(Passage::Private)),
        (&locked, None, None, true, Ok(Passage::Open)),
    ] {
        let access = Access { admission: admission.clone(), ..Access::default() };
        let lines: Vec<_> = authorization.map(|line| (http::header::AUTHORIZATION, line)).into_iter().collect();
        let headers = headers(&lines);
        let claim = claim(PATH, query, &headers, 1500);
        assert_eq!(
            gate.admit(&access, if has_token { Ticket::Viewer } else { Ticket::None }, &claim).await,
            expected,
            "{admission:?} {query:?} {authorization:?}"
        );
    }
}

#[tokio::test]
async fn an_asset_may_be_shown_on_some_pages_only() {
    let gate = Gate::without_keys();
    let pages = |pages: &[&str]| Access {
        admission: Admission::Public,
        pages: pages.iter().map(|page| (*page).to_owned()).collect(),
        ..Access::default()
    };
    let (shop, both) = (pages(&["https://shop.example"]), pages(&["https://shop.example", "none"]));
    for (access, lines, is_shown) in [
        (&shop, &[(ORIGIN, "https://shop.example")][..], true),
        (&shop, &[(REFERER, "https://shop.example/film?x=1")], true),
        (&shop, &[(ORIGIN, "https://shop.example.evil.example")], false),
        (&shop, &[(ORIGIN, "null")], false),
        (&shop, &[], false),
        (&both, &[], true),
        (&both, &[(ORIGIN, "https://evil.example")], false),
    ] {
        let headers = headers(lines);
        let claim = claim(PATH, None, &headers, 1500);
        assert_eq!(gate.admit(access, Ticket::None, &claim).await.is_ok(), is_shown, "{lines:?}");
    }
}

#[tokio::test]
async fn what_is_withheld_or_not_in_its_time_is_for_nobody_whatever_they_bring() {
    let clock = Arc::new(ManualClock::at(Timestamp::from_unix_ms(15_000)));
    let gate = Gate::new(clock, KeyRing::default());
    let headers = HeaderMap::new();
    let claim = Claim {
        path: "/v/x/master.m3u8",
        query: None,
        headers: &headers,
        authority: None,
        playback: PlaybackId::from_u128(1),
        address: None,
        now_s: 15,
    };
    let window = |from_s, until_s| Availability { is_withheld: false, from_s, until_s };
    let withheld = Availability { is_withheld: true, ..Availability::default() };
    for (availability, expected) in [
        (Availability::default(), Ok(Passage::Open)),
        (withheld, Err(Denied::Withheld)),
        (window(Some(15), None), Ok(Passage::Open)),
        (window(Some(16), None), Err(Denied::Withheld)),
        (window(None, Some(16)), Ok(Passage::Private)),
        (window(None, Some(15)), Err(Denied::Withheld)),
    ] {
        for admission in [Admission::Public, Admission::Signed] {
            let access = Access { admission, availability, ..Access::default() };
            assert_eq!(gate.admit(&access, Ticket::Viewer, &claim).await, expected, "{access:?}");
            assert!(availability.is_always() || !Gate::is_open(&access));
            // Whoever reviews it sees it all the same, and nobody else gets what they were given.
            assert_eq!(gate.admit(&access, Ticket::Reviewer, &claim).await, Ok(Passage::Private));
        }
    }
}
