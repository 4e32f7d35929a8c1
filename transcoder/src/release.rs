//! Which releases of FFmpeg are known to hold the fixes of memory errors.

/// The first fixed patch of each release branch that distributions still mend, oldest branch first, as
/// of November 2026. 5.1 is Debian 12's; everything before 8.1 lacks the fix of CVE-2026-40962 unless
/// somebody has carried it back.
const FIXED: [(u32, u32, u32); 2] = [(5, 1, 9), (8, 1, 0)];

/// What is known of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It holds every fix that was known when this program was built.
    Fixed,
    /// It lacks fixes.
    Old,
    /// Its version says nothing: a build from a repository, for instance.
    Unknown,
}

/// What is known of a release by its version, such as `5.1.9-0+deb12u1` or `n8.1`.
///
/// A branch of which no fix is known counts as old, unless it is newer than all that are.
pub fn standing(version: &str) -> Standing {
    let Some((major, minor, patch)) = parsed(version) else { return Standing::Unknown };
    let newest = FIXED.last().is_some_and(|&(fixed_major, fixed_minor, _)| (major, minor) > (fixed_major, fixed_minor));
    let same_branch = FIXED.iter().find(|&&(fixed_major, fixed_minor, _)| (major, minor) == (fixed_major, fixed_minor));
    match same_branch {
        _ if newest => Standing::Fixed,
        Some(&(.., fixed)) if patch >= fixed => Standing::Fixed,
        _ => Standing::Old,
    }
}

/// The releases that hold the fixes, for people: `5.1.9 or 8.1.0`.
pub fn fixed() -> String {
    FIXED.map(|(major, minor, patch)| format!("{major}.{minor}.{patch}")).join(" or ")
}

/// Major, minor and patch; missing ones are zero, what follows the numbers is left out.
fn parsed(version: &str) -> Option<(u32, u32, u32)> {
    let numbers = version.strip_prefix('n').unwrap_or(version);
    let numbers = numbers.split(|char: char| !char.is_ascii_digit() && char != '.').next()?;
    let mut parts = numbers.split('.').map(|part| part.parse::<u32>().ok());
    let (major, minor) = (parts.next()??, parts.next()??);
    Some((major, minor, parts.next().unwrap_or(Some(0))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_judged_by_its_own_branch() {
        let check = |version, expected| assert_eq!(standing(version), expected, "{version}");
        check("5.1.9-0+deb12u1", Standing::Fixed);
        check("5.1.8-0+deb12u1", Standing::Old);
        check("5.1", Standing::Old);
        check("4.4.6", Standing::Old);
        check("6.1.9", Standing::Old);
        check("8.0.3", Standing::Old);
        check("n8.1", Standing::Fixed);
        check("8.1.2", Standing::Fixed);
        check("9.0.2", Standing::Fixed);
        check("N-117063-gabcdef", Standing::Unknown);
        check("git-2026-11-01", Standing::Unknown);
        check("", Standing::Unknown);
    }
}
