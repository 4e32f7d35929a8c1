//! The cage holds.

use libtest_mimic::Trial;

use crate::setup::{engine, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("the_child_can_open_neither_a_path_nor_a_socket", the_child_can_open_neither_a_path_nor_a_socket),
        trial("the_child_says_what_it_may_use", the_child_says_what_it_may_use),
        trial("a_child_steps_back_as_far_as_it_is_told", a_child_steps_back_as_far_as_it_is_told),
    ]
}

async fn the_child_can_open_neither_a_path_nor_a_socket() {
    let report = engine().self_test().await.expect("a report");
    for name in [
        "open a file",
        "make an internet socket",
        "make a local socket",
        "run a program",
        "fork",
        "signal another process",
        "signal a thread of another process",
        "become root",
    ] {
        assert!(report.trials.iter().any(|trial| trial.name == name), "{name} was not tried");
    }
    assert!(report.is_tight(), "{report:#?}");
}

async fn the_child_says_what_it_may_use() {
    let report = engine().self_test().await.expect("a report");
    let limit = |name: &str| report.limits.iter().find(|limit| limit.name == name).map(|limit| limit.max);
    assert_eq!(limit("address space"), Some(1 << 30));
    assert_eq!(limit("open files"), Some(16));
    assert_eq!((limit("written file"), limit("core dump")), (Some(0), Some(0)));
    assert!(limit("CPU seconds").is_some_and(|seconds| seconds > 0));
    // Threads are counted by user: the limit is set only where the child has its users to itself.
    assert_eq!(limit("threads").is_some(), report.namespaces.iter().any(|name| name == "user"), "{report:#?}");
}

async fn a_child_steps_back_as_far_as_it_is_told() {
    let usual = engine().self_test().await.expect("a report").niceness;
    let back = engine().with_niceness(7).self_test().await.expect("a report").niceness;
    assert_eq!(back, (usual + 7).min(19));
}
