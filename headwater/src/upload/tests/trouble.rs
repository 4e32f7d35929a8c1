//! What the client does when the server, or something before it, does not do what was asked.

use super::double::{Double, fault, foreign};
use super::*;

/// A double, a file, and everything that is needed to send one to the other.
struct Case {
    double: Double,
    url: Url,
    dir: tempfile::TempDir,
    source: Source,
    _tasks: JoinSet<()>,
}

impl Case {
    async fn new(bytes: usize) -> Self {
        let mut tasks = JoinSet::new();
        let (double, url) = Double::start(&mut tasks).await;
        let dir = tempfile::tempdir().expect("a folder");
        let source = film(dir.path(), bytes);
        Self { double, url, dir, source, _tasks: tasks }
    }

    fn memory(&self) -> Memory {
        Memory::of(self.dir.path(), &self.url, &self.source)
    }

    async fn send(&self, manner: Manner) -> anyhow::Result<Url> {
        let wire = Wire::new(&self.url, None)?;
        let display = Transfer::start(&self.source.name, self.source.bytes);
        let memory = self.memory();
        Send { wire: &wire, source: &self.source, memory: &memory, manner, display: &display }.run().await
    }

    async fn refused(&self, manner: Manner) -> String {
        self.send(manner).await.expect_err("is refused").to_string()
    }

    /// How many uploads were created.
    fn created(&self) -> usize {
        self.double.requests("POST").len()
    }

    fn check_arrived(&self) {
        assert!(self.double.arrived().0 == std::fs::read(&self.source.path).expect("reads"), "the upload is the file");
        assert_eq!(self.memory().recall(), None, "what is complete is forgotten");
        assert_eq!(self.double.count(), (1, 0), "no part is left");
    }
}

/// Lengths of all requests with octets.
fn lengths(double: &Double) -> Vec<u64> {
    let length = |request: &String| request.rsplit(' ').next().and_then(|length| length.parse().ok());
    double.requests("PATCH").iter().filter_map(length).collect()
}

#[tokio::test]
async fn requests_carry_checksums_and_grow() {
    let case = Case::new(9 << 20).await;
    case.send(manner(1, 10)).await.expect("sends");
    case.check_arrived();
    assert_eq!(lengths(&case.double), [1 << 20, 2 << 20, 4 << 20, 2 << 20]);
}

#[tokio::test]
async fn what_arrives_damaged_is_sent_again_from_the_same_place() {
    let case = Case::new(3 << 20).await;
    case.double.fail(fault("PATCH", 460, "checksum_mismatch").after(1).times(2));
    case.send(manner(1, 10)).await.expect("sends");
    case.check_arrived();
    assert_eq!(case.double.requests("refused PATCH").len(), 2);
    assert!(case.double.requests("HEAD").is_empty(), "the offset is known: nothing was kept");
}

#[tokio::test]
async fn damage_without_end_is_told() {
    let case = Case::new(1000).await;
    case.double.fail(fault("PATCH", 460, "checksum_mismatch").times(usize::MAX));
    let told = case.refused(manner(1, 60)).await;
    assert!(told.starts_with("octets arrive damaged again and again: told to say 460 (460)"), "{told}");
    assert_eq!(case.double.requests("refused PATCH").len(), 5);
}

#[tokio::test]
async fn a_proxy_that_takes_no_large_bodies_gets_small_ones() {
    for is_checked in [true, false] {
        let case = Case::new(3 << 20).await;
        case.double.fail(foreign("PATCH", 413).above(700_000));
        case.send(Manner { is_checked, ..manner(1, 10) }).await.expect("sends");
        case.check_arrived();
        assert!(lengths(&case.double).iter().all(|length| *length <= 700_000), "{:?}", lengths(&case.double));
    }
}

#[tokio::test]
async fn a_proxy_that_takes_hardly_anything_is_named() {
    let case = Case::new(1 << 20).await;
    case.double.fail(foreign("PATCH", 413).above(1000));
    let told = case.refused(manner(1, 10)).await;
    assert!(told.contains("no request of 65536 octets") && told.contains("client_max_body_size"), "{told}");
}

#[tokio::test]
async fn a_proxy_that_takes_only_post_gets_the_method_in_a_header() {
    let case = Case::new(2 << 20).await;
    case.double.fail(foreign("PATCH", 405).times(usize::MAX));
    case.double.fail(foreign("HEAD", 501).times(usize::MAX));
    case.send(manner(2, 10)).await.expect("sends");
    case.check_arrived();
}

#[tokio::test]
async fn a_pause_that_the_server_asks_for_is_kept() {
    let case = Case::new(1000).await;
    case.double.fail(fault("POST", 503, "too_many_uploads").header("retry-after", "2"));
    let begun = tokio::time::Instant::now();
    case.send(manner(1, 10)).await.expect("sends");
    case.check_arrived();
    assert!((2..6).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_full_server_is_waited_for_and_then_told_with_advice() {
    let case = Case::new(1000).await;
    case.double.fail(fault("PATCH", 507, "out_of_space").header("retry-after", "0").times(usize::MAX));
    let told = case.refused(manner(1, 1)).await;
    assert!(told.starts_with("no progress for 1 s: the server refuses it: told to say 507"), "{told}");
    assert!(told.contains("room must be made"), "{told}");
    assert!(case.memory().recall().is_some(), "it can be gone on with once there is room");
}

#[tokio::test]
async fn a_file_that_the_server_turns_down_is_taken_back() {
    for (status, code, advice) in
        [(415, "upload_refused", ""), (413, "upload_too_large", "smaller file"), (410, "upload_refused", "")]
    {
        let case = Case::new(3 << 20).await;
        case.double.fail(fault("PATCH", status, code).after(1).times(usize::MAX));
        let told = case.refused(manner(1, 60)).await;
        assert!(told.starts_with(&format!("the server refuses it: told to say {status} ({status})")), "{told}");
        assert!(told.contains(advice), "{told}");
        assert_eq!(case.double.count(), (0, 0), "nothing is left on the server");
        assert_eq!(case.memory().recall(), None);
    }
}

#[tokio::test]
async fn one_refused_part_ends_all_of_them() {
    let case = Case::new(8 << 20).await;
    case.double.fail(fault("PATCH", 415, "upload_refused").after(3));
    let told = case.refused(manner(4, 60)).await;
    assert!(told.contains("415"), "{told}");
    assert_eq!(case.double.count(), (0, 0), "nothing is left on the server");
    assert_eq!(case.memory().recall(), None);
}

#[tokio::test]
async fn a_missing_token_is_asked_for_and_what_was_sent_is_kept() {
    let case = Case::new(3 << 20).await;
    case.double.fail(fault("PATCH", 401, "unauthorized").after(1));
    let told = case.refused(manner(1, 60)).await;
    assert!(told.contains("--token"), "{told}");
    case.send(manner(1, 10)).await.expect("goes on");
    case.check_arrived();
}

#[tokio::test]
async fn a_file_above_the_limit_of_the_server_is_not_begun() {
    let case = Case::new(1000).await;
    case.double.say("tus-max-size", "999");
    let told = case.refused(manner(1, 10)).await;
    assert!(told.contains("uploads of up to 999, this file has 1000"), "{told}");
    assert!(case.double.requests("POST").is_empty());
}

#[tokio::test]
async fn a_redirection_is_told_not_followed() {
    let case = Case::new(1000).await;
    case.double.fail(foreign("POST", 301).header("location", "https://media.example.org/uploads"));
    let told = case.refused(manner(1, 10)).await;
    assert!(told.contains("sends uploads to https://media.example.org/uploads"), "{told}");
}

#[tokio::test]
async fn parts_arrive_in_their_order() {
    let case = Case::new(10 << 20).await;
    case.send(manner(4, 10)).await.expect("sends");
    case.check_arrived();
    assert_eq!(case.created(), 5);
}

#[tokio::test]
async fn a_small_file_goes_in_fewer_parts_and_a_plain_server_gets_one() {
    let case = Case::new(3 << 20).await;
    case.send(manner(16, 10)).await.expect("sends");
    case.check_arrived();
    assert_eq!(case.created(), 4);
    let case = Case::new(3 << 20).await;
    case.double.say("tus-extension", "creation");
    case.send(manner(16, 10)).await.expect("sends");
    case.check_arrived();
    assert_eq!(case.created(), 1);
}

#[tokio::test]
async fn a_stopped_run_in_parts_goes_on_with_each_of_them() {
    let case = Case::new(24 << 20).await;
    case.double.fail(fault("PATCH", 401, "unauthorized").after(8));
    case.refused(manner(4, 10)).await;
    let progress = case.memory().recall().expect("is remembered");
    assert_eq!(progress.uploads().len(), 4);
    let before: u64 = lengths(&case.double).iter().sum();
    // The next one keeps to the parts of the first, whatever it is told.
    case.send(manner(1, 10)).await.expect("sends");
    let again: u64 = lengths(&case.double).iter().sum();
    case.check_arrived();
    assert!(before >= 8 << 20 && again == 24 << 20, "{before} octets in the first run, {again} in all");
    assert_eq!(case.created(), 5);
}

#[tokio::test]
async fn a_part_that_the_server_lost_is_sent_again_alone() {
    let case = Case::new(8 << 20).await;
    case.double.fail(fault("POST", 401, "unauthorized").after(2));
    case.refused(manner(2, 10)).await;
    let progress = case.memory().recall().expect("is remembered");
    let lost = progress.parts[1].upload.clone().expect("was created");
    case.double.lose(lost.path().rsplit('/').next().expect("a name"));
    let before: u64 = lengths(&case.double).iter().sum();
    case.send(manner(2, 10)).await.expect("sends");
    case.check_arrived();
    let again = lengths(&case.double).iter().sum::<u64>() - before;
    assert_eq!(again, 4 << 20);
}

#[tokio::test]
async fn parts_that_are_gone_when_they_are_put_together_are_all_sent_again() {
    let case = Case::new(4 << 20).await;
    case.double.fail(fault("POST", 404, "upload_not_found").after(2));
    case.send(manner(2, 10)).await.expect("sends");
    case.check_arrived();
    assert_eq!(case.created(), 5, "two parts twice, and the whole");
}

#[tokio::test]
async fn an_upload_that_is_always_lost_is_given_up() {
    let case = Case::new(1000).await;
    case.double.fail(fault("PATCH", 410, "upload_gone").times(usize::MAX));
    let told = case.refused(manner(1, 10)).await;
    assert!(told.starts_with("the server loses this upload again and again"), "{told}");
    assert_eq!(case.double.requests("refused PATCH").len(), 4);
}

#[tokio::test]
async fn the_digest_of_the_whole_is_given_where_it_is_wanted() {
    for parallel in [1, 2] {
        let case = Case::new(4 << 20).await;
        case.double.say("want-repr-digest", "sha-256=10, sha-512=5");
        case.send(manner(parallel, 10)).await.expect("sends");
        case.check_arrived();
        let (octets, digest) = case.double.arrived();
        let mut hasher = ingest::digest::Hasher::new(ingest::digest::Algorithm::Sha256);
        hasher.update(&octets);
        assert_eq!(digest, wire::repr_digest(ingest::digest::Algorithm::Sha256, &hasher.value()));
    }
}

#[tokio::test]
async fn what_an_older_version_of_the_file_left_is_ended() {
    let mut case = Case::new(4 << 20).await;
    case.double.fail(fault("PATCH", 401, "unauthorized").after(1));
    case.refused(manner(2, 10)).await;
    assert!(case.double.count().1 > 0);
    case.source = film(case.dir.path(), 2000);
    case.send(manner(1, 10)).await.expect("sends");
    case.check_arrived();
}
