//! Memory that only the start of a server needed.
//!
//! Reading settings, opening the database and putting all parts together runs through code that is never run again, and
//! the system maps 16 pages around each that is touched: over 12 MiB of the program. They are given back when the start
//! is over. What is run again is mapped again from the system's page cache. So is memory that was allocated and freed.
#![expect(unsafe_code, reason = "madvise and malloc_trim exist as C functions only")]

use std::ffi::c_void;
use std::fs;

/// Mappings of a process that are looked at, at most.
const MAPPINGS_MAX: usize = 10_000;

/// Unmaps the pages of this program and its libraries that nobody may write to and nobody changed: code and constants.
/// How many octets that were; 0 where the system does not tell.
///
/// The next access reads the same from the file (madvise(2), `MADV_DONTNEED`).
pub fn give_back() -> usize {
    let maps = fs::read_to_string("/proc/self/smaps").unwrap_or_default();
    let mut octets = 0;
    for mapping in unchanged(&maps) {
        // SAFETY: a private mapping of a file that is not writable and has no page of its own: all of it is read from
        // the file again.
        if unsafe { libc::madvise(mapping.start as *mut c_void, mapping.length, libc::MADV_DONTNEED) } == 0 {
            octets += mapping.resident_bytes;
        }
    }
    // SAFETY: a plain call, which locks the allocator's lists itself.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
    octets
}

/// A range of addresses, and how much of it is in memory.
#[derive(Debug, Default, PartialEq, Eq)]
struct Mapping {
    start: usize,
    length: usize,
    resident_bytes: usize,
}

/// The private mappings of files that cannot be written to and of which no page is another than in the file. What the
/// linker relocated has such pages, and so has code with a break point.
fn unchanged(maps: &str) -> Vec<Mapping> {
    let mut mappings: Vec<(Mapping, bool)> = Vec::new();
    for line in maps.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match (words.as_slice(), mappings.last_mut()) {
            ([range, access, _, _, _, path @ ..], _) if !range.ends_with(':') => {
                if mappings.len() == MAPPINGS_MAX {
                    break;
                }
                let is_of_file = path.first().is_some_and(|path| path.starts_with('/'));
                let mapping = addresses(range).unwrap_or_default();
                let is_constant = matches!(*access, "r-xp" | "r--p") && mapping.length > 0;
                mappings.push((mapping, is_of_file && is_constant));
            }
            (["Rss:", kib, "kB"], Some((mapping, _))) => {
                mapping.resident_bytes = kib.parse::<usize>().unwrap_or(0).saturating_mul(1024);
            }
            (["Anonymous:" | "Swap:", kib, "kB"], Some((_, is_unchanged))) => *is_unchanged &= *kib == "0",
            _ => {}
        }
    }
    mappings.into_iter().filter_map(|(mapping, is_unchanged)| is_unchanged.then_some(mapping)).collect()
}

/// `start-end`, in hexadecimal digits.
fn addresses(range: &str) -> Option<Mapping> {
    let (start, end) = range.split_once('-')?;
    let start = usize::from_str_radix(start, 16).ok()?;
    let length = usize::from_str_radix(end, 16).ok()?.checked_sub(start)?;
    Some(Mapping { start, length, resident_bytes: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_goes_on_without_the_pages_that_it_gave_back() {
        let text = "a constant of the program, read before and after";
        let before = text.to_owned();
        for _ in 0..3 {
            assert!(give_back() > 100_000, "code and constants of a program");
            assert_eq!(text, before);
            assert_eq!(vec![3, 1, 2].into_iter().max(), Some(3));
        }
    }

    #[test]
    fn only_what_is_as_in_its_file_is_given_back() {
        let maps = "\
            1000-3000 r-xp 00000000 fe:00 77   /usr/bin/program name (deleted)\nSize: 8 kB\nRss: 4 kB\n\
            Anonymous: 0 kB\nSwap: 0 kB\nVmFlags: rd ex mr mw me \n\
            3000-4000 r--p 00002000 fe:00 77   /usr/bin/program\nRss: 4 kB\nAnonymous: 4 kB\n\
            4000-5000 r--p 00002000 fe:00 77   /usr/bin/program\nRss: 0 kB\nAnonymous: 0 kB\nSwap: 4 kB\n\
            5000-6000 rw-p 00003000 fe:00 77   /usr/bin/program\nRss: 4 kB\nAnonymous: 0 kB\n\
            6000-7000 r--s 00000000 fe:00 78   /data/catalog.db\nRss: 4 kB\nAnonymous: 0 kB\n\
            7000-8000 r-xp 00000000 00:00 0    [vdso]\nRss: 4 kB\nAnonymous: 0 kB\n\
            8000-9000 r--p 00000000 00:00 0\nRss: 4 kB\nAnonymous: 0 kB\n\
            z-q r--p 00000000 fe:00 77 /lib\nRss: 4 kB\n\
            a000-b000 r--p 00000000 fe:00 79 /lib/c.so\nRss: 4 kB\nAnonymous: 0 kB\n";
        let mapping = |start, length| Mapping { start, length, resident_bytes: 4096 };
        assert_eq!(unchanged(maps), [mapping(0x1000, 0x2000), mapping(0xa000, 0x1000)]);
        assert_eq!(unchanged("nonsense"), []);
    }
}
