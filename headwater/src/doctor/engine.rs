//! What the engine says of itself: how tight its cage is, on which kernel, and with which FFmpeg.

use domain::plan::Limits;
use domain::{ByteSize, Codec};
use transcoder::CageReport;
use transcoder::release::{self, Standing};

use super::Finding;
use crate::{cli, wiring};

/// The kernel from which on Landlock takes away every path (ABI 1).
const LANDLOCK_KERNEL: &str = "5.13";

/// Starts an engine in its cage and lets it try to get out.
pub(super) async fn all(limits: &Limits, codecs: &[Codec]) -> Vec<Finding> {
    let report = match wiring::engine(limits) {
        Ok(engine) => engine.self_test().await.map_err(|error| cli::with_causes(&error.into())),
        Err(error) => Err(cli::with_causes(&error)),
    };
    match report {
        Ok(report) => {
            let needed = needed(&report);
            vec![kernel(&report), cage(&report), confines(&report), needed, encoders(&report, codecs), ffmpeg(&report)]
        }
        Err(error) => vec![Finding::fail(
            "cage",
            format!("the engine cannot be caged: {error}; a kernel from {LANDLOCK_KERNEL} is needed"),
        )],
    }
}

fn kernel(report: &CageReport) -> Finding {
    let name = "kernel";
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    match report.landlock_abi {
        0 => Finding::warn(
            name,
            format!(
                "Linux {release}, seccomp, but no Landlock: seccomp alone keeps the engine from files; \
                 use a kernel from {LANDLOCK_KERNEL} with landlock among its security modules"
            ),
        ),
        abi => Finding::ok(name, format!("Linux {release}, seccomp, Landlock ABI {abi}")),
    }
}

fn cage(report: &CageReport) -> Finding {
    let name = "cage";
    let open: Vec<&str> =
        report.trials.iter().filter(|trial| !trial.is_denied).map(|trial| trial.name.as_str()).collect();
    if !report.is_tight() {
        return Finding::fail(name, format!("the decoder could {}; use a kernel with seccomp", open.join(", ")));
    }
    let namespaces = match report.namespaces.as_slice() {
        [] => "no namespace of its own, which this machine does not allow".to_owned(),
        names => format!("its own {} namespace", names.join(", ")),
    };
    let (tried, landlock) = (report.trials.len(), &report.landlock);
    Finding::ok(name, format!("all {tried} escapes denied, Landlock {landlock} enforced, {namespaces}"))
}

fn confines(report: &CageReport) -> Finding {
    let shown = |limit: &transcoder::CageLimit| {
        let max = if limit.name == "address space" { ByteSize(limit.max).to_string() } else { limit.max.to_string() };
        format!("{} {max}", limit.name)
    };
    let limits: Vec<String> = report.limits.iter().map(shown).collect();
    Finding::ok("rlimits", limits.join(", "))
}

fn needed(report: &CageReport) -> Finding {
    let name = "codecs";
    let missing = report.codecs_missing.join(", ");
    if missing.is_empty() {
        return Finding::ok(name, "every codec that is needed is there");
    }
    Finding::fail(name, format!("FFmpeg lacks {missing}; install Debian's build of its libraries"))
}

/// Which codecs this machine can encode in, and whether all that are configured are among them.
fn encoders(report: &CageReport, wanted: &[Codec]) -> Finding {
    let name = "encoders";
    let there = |codec: &Codec| report.encoders.iter().any(|(found, _)| found == codec);
    let missing: Vec<&str> = wanted.iter().filter(|codec| !there(codec)).map(|codec| codec.as_str()).collect();
    let shown: Vec<String> = report.encoders.iter().map(|(codec, by)| format!("{codec} by {by}")).collect();
    let shown = if shown.is_empty() { "none".to_owned() } else { shown.join(", ") };
    if missing.is_empty() {
        return Finding::ok(name, shown);
    }
    Finding::fail(
        name,
        format!("{shown}; codecs also names {}: take it out or install its encoder", missing.join(", ")),
    )
}

fn ffmpeg(report: &CageReport) -> Finding {
    let (name, libav, fixed) = ("ffmpeg", &report.libav, release::fixed());
    match release::standing(libav) {
        Standing::Fixed => Finding::ok(name, format!("{libav} holds the fixes known to this program")),
        Standing::Old => {
            Finding::warn(name, format!("{libav} lacks fixes of memory errors; update to {fixed} or newer"))
        }
        Standing::Unknown => {
            Finding::warn(name, format!("{libav} is no release; {fixed} or newer are known to hold the fixes"))
        }
    }
}

#[cfg(test)]
mod tests {
    use transcoder::{CageLimit, CageTrial};

    use super::*;
    use crate::doctor::Verdict;

    fn report() -> CageReport {
        let trial = CageTrial { name: "open a file".into(), is_denied: true, answer: String::new() };
        CageReport {
            namespaces: vec!["network".into(), "user".into()],
            limits: vec![CageLimit { name: "address space".into(), max: 1 << 30 }],
            landlock_abi: 6,
            niceness: 0,
            landlock: "fully".into(),
            trials: vec![trial],
            libav: "5.1.9-0+deb12u1".into(),
            codecs_missing: vec![],
            encoders: vec![(Codec::H264, "libx264".into()), (Codec::Hevc, "libx265".into())],
        }
    }

    #[test]
    fn a_tight_cage_on_a_mended_release_is_well() {
        let report = report();
        let encoders = encoders(&report, &[Codec::H264, Codec::Hevc]);
        let findings = [kernel(&report), cage(&report), confines(&report), needed(&report), encoders, ffmpeg(&report)];
        assert!(findings.iter().all(|finding| finding.verdict == Verdict::Ok), "{findings:?}");
        assert_eq!(findings[2].text, "address space 1.0G");
        assert!(findings[1].text.contains("network, user"), "{}", findings[1].text);
    }

    #[test]
    fn a_leak_fails_and_what_is_old_or_missing_warns() {
        let mut report = report();
        report.trials[0].is_denied = false;
        report.landlock_abi = 0;
        report.libav = "5.1.4-0+deb12u1".into();
        report.codecs_missing = vec!["libx264".into()];
        assert_eq!(cage(&report).verdict, Verdict::Fail);
        assert!(cage(&report).text.contains("open a file"));
        assert_eq!(kernel(&report).verdict, Verdict::Warn);
        assert_eq!(needed(&report).verdict, Verdict::Fail);
        let encoders = encoders(&report, &[Codec::H264, Codec::Av1]);
        assert_eq!(encoders.verdict, Verdict::Fail);
        assert!(encoders.text.contains("hevc by libx265; codecs also names av1"), "{}", encoders.text);
        let ffmpeg = ffmpeg(&report);
        assert_eq!(ffmpeg.verdict, Verdict::Warn);
        assert!(ffmpeg.text.contains("5.1.9"), "{}", ffmpeg.text);
    }
}
