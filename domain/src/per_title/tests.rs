use proptest::prelude::*;

use super::*;

fn looks(hundredths: [i64; 3]) -> Vec<Look> {
    TRIED.into_iter().zip(hundredths).map(|(crf, ssim)| Look { crf, ssim: Ssim(ssim) }).collect()
}

fn check(target_db: u8, hundredths: [i64; 3], expected: u8) {
    assert_eq!(choose(Ssim::from_db(target_db), &looks(hundredths)), Some(expected), "{hundredths:?}");
}

#[test]
fn similarity_is_told_in_decibels() {
    let hundredths = |millionths| Ssim::from_millionths(millionths).hundredths();
    assert_eq!(hundredths(990_000), 2000);
    assert_eq!(hundredths(900_000), 1000);
    assert_eq!(hundredths(0), 0);
    assert_eq!(hundredths(980_000), 1699);
    assert_eq!([hundredths(1_000_000), hundredths(2_000_000)], [6000; 2], "equal is as good as it gets");
}

#[test]
fn the_largest_factor_that_reaches_the_target_is_taken() {
    // Half a decibel for each step: 16 dB at 22.
    check(16, [1800, 1500, 1200], 22);
    check(15, [1800, 1500, 1200], 24);
    // Between two factors the one that is good enough.
    check(16, [1800, 1490, 1200], 21);
    // Beyond what was tried, as between the last two.
    check(11, [1800, 1500, 1200], 32);
    check(18, [1800, 1500, 1200], 18);
}

#[test]
fn a_target_out_of_reach_gets_the_best_there_is() {
    check(20, [1800, 1500, 1200], 17);
    // Capped: no factor up to 24 changes anything, so none is spent.
    check(20, [1200, 1200, 1100], 24);
    check(20, [1000, 1000, 1000], 32);
    // Capped so that smaller factors empty the buffer before its time.
    check(20, [1052, 1050, 1155], 32);
    check(10, [906, 840, 881], 19);
}

#[test]
fn an_easy_picture_stops_at_the_largest_factor() {
    check(14, [2600, 2400, 2200], 32);
    check(14, [6000, 6000, 6000], 32);
}

#[test]
fn nothing_follows_from_nothing() {
    assert_eq!(choose(Ssim::from_db(16), &[]), None);
    let one = [Look { crf: 24, ssim: Ssim(1500) }];
    assert_eq!(choose(Ssim::from_db(14), &one), Some(32));
}

fn curve() -> impl Strategy<Value = [i64; 3]> {
    (600i64..2600, 0i64..500, 0i64..500).prop_map(|(best, first, second)| [best, best - first, best - first - second])
}

proptest! {
    #[test]
    fn a_factor_lies_within_its_bounds(target in 0u8..40, any in prop::array::uniform3(0i64..6001)) {
        let chosen = choose(Ssim::from_db(target), &looks(any)).expect("something was tried");
        prop_assert!(CHOICE.contains(&chosen));
    }

    #[test]
    fn a_higher_target_never_gives_a_larger_factor(curve in curve(), target in 8u8..25) {
        let chosen = |db| choose(Ssim::from_db(db), &looks(curve));
        prop_assert!(chosen(target + 1) <= chosen(target));
    }

    #[test]
    fn a_picture_that_looks_better_never_gets_a_smaller_factor(curve in curve(), target in 8u8..25, by in 0i64..500) {
        let chosen = |curve| choose(Ssim::from_db(target), &looks(curve));
        // Where the target is out of reach, the shape of the curve decides and not its height.
        prop_assume!(at(&looks(curve), *CHOICE.start()).is_some_and(|best| best - LOSS_MAX >= Ssim::from_db(target).0));
        prop_assert!(chosen(curve.map(|ssim| ssim + by)) >= chosen(curve));
    }

    #[test]
    fn the_target_is_met_if_it_can_be_and_just_so(curve in curve(), target in 8u8..25) {
        let (looks, goal) = (looks(curve), Ssim::from_db(target).0);
        let chosen = choose(Ssim::from_db(target), &looks).expect("something was tried");
        let quality = |crf| at(&looks, crf).expect("something was tried");
        let is_in_reach = quality(*CHOICE.start()) - LOSS_MAX >= goal;
        prop_assert!(!is_in_reach || quality(chosen) >= goal);
        prop_assert!(chosen == *CHOICE.end() || quality(chosen + 1) < goal);
    }

    #[test]
    fn no_rung_has_a_larger_factor_than_the_next_larger_one(curves in prop::collection::vec(curve(), 5), target in 8u8..25) {
        let mut plan = complexity::tests::plan_1080p();
        plan.recipe.per_title_db = Some(target);
        let rungs = plan.video.as_ref().expect("a picture").rungs.clone();
        let tried = rungs.iter().zip(&curves).map(|(rung, curve)| Looks { rung: rung.id.clone(), looks: looks(*curve) });
        let tried: Vec<Looks> = tried.collect();
        let own: Vec<Option<u8>> = tried.iter().map(|tried| choose(Ssim::from_db(target), &tried.looks)).collect();
        let video = plan.clone().with_looks(tried.clone()).video.expect("a picture");
        let factors: Vec<Option<u8>> = video.rungs.iter().map(|rung| rung.crf).collect();
        prop_assert!(factors.is_sorted(), "{factors:?}");
        prop_assert!(factors.iter().zip(&own).all(|(factor, own)| factor <= own), "no rung looks worse than asked for");
        prop_assert_eq!(factors.last(), own.last());
        prop_assert_eq!(video.looks, tried);
    }
}

#[test]
fn what_is_tried_is_bounded_and_only_tried_when_asked() {
    let mut plan = complexity::tests::plan_1080p();
    assert_eq!(samples(&plan), []);
    plan.recipe.per_title_db = Some(16);
    let tried = samples(&plan);
    assert_eq!(tried.len(), complexity::SAMPLES_MAX);
    assert!(tried.iter().all(|span| span.count == 25), "a second each: {tried:?}");
    let video = plan.video.as_mut().expect("a picture");
    video.rungs.truncate(1);
    video.copied = Some("avc1.640028".into());
    assert_eq!(samples(&plan), [], "what is copied is not judged");
}

#[test]
fn other_codecs_keep_the_factor_of_the_recipe() {
    let mut plan = complexity::tests::plan_1080p();
    plan.recipe.per_title_db = Some(16);
    plan.recipe.extra_codecs = vec![crate::ExtraCodec { codec: crate::Codec::Hevc, preset: "fast".into(), crf: 26 }];
    let rung = plan.video.as_ref().expect("a picture").rungs[0].id.clone();
    let video = plan.with_looks(vec![Looks { rung, looks: looks([1800, 1500, 1200]) }]).video.expect("a picture");
    assert_eq!(video.rungs[0].crf, Some(22));
    assert_eq!(video.rungs[1].crf, None, "of which nothing is known");
    assert!(video.extra[0].iter().all(|rung| rung.crf.is_none()));
}
