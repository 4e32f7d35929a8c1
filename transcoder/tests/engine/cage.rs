//! The cage holds.

use libtest_mimic::Trial;

use crate::setup::{engine, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial("the_child_can_open_neither_a_path_nor_a_socket", the_child_can_open_neither_a_path_nor_a_socket)]
}

async fn the_child_can_open_neither_a_path_nor_a_socket() {
    let report = engine().self_test().await.expect("a report");
    for name in ["open a file", "make an internet socket", "make a local socket", "run a program", "fork"] {
        assert!(report.trials.iter().any(|trial| trial.name == name), "{name} was not tried");
    }
    assert!(report.is_tight(), "{report:#?}");
}
