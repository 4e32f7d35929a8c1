//! Memory that only the start of a server needed.
//!
//! Reading settings, opening the database and putting all parts together runs through code that is never run again, and
//! the system maps 16 pages around each that is touched: over 12 MiB of the program. They are given back when the start
//! is over. What is run again is mapped again from the system's page cache. So is memory that was allocated and freed.
#![expect(unsafe_code, reason = "dl_iterate_phdr, madvise and malloc_trim exist as C functions only")]

use std::ffi::{c_int, c_void};

/// Unmaps the pages of this program and its libraries that nobody may write to: code and constants. How many octets
/// such pages can be, whether they were in memory or not.
///
/// They are read from their files again where they are used (madvise(2), `MADV_DONTNEED`). Break points that a debugger
/// has set in them are gone.
pub fn give_back() -> usize {
    let mut octets = 0_usize;
    // SAFETY: `take` is called before this returns, with the pointer to `octets`, which nothing else uses meanwhile.
    unsafe { libc::dl_iterate_phdr(Some(take), (&raw mut octets).cast()) };
    // SAFETY: a plain call, which locks the allocator's lists itself.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
    octets
}

/// Gives back those of one object. The C library holds the lock of its list meanwhile: none goes while it is looked at.
unsafe extern "C" fn take(object: *mut libc::dl_phdr_info, _: usize, octets: *mut c_void) -> c_int {
    // SAFETY: the linker tells of an object and its `dlpi_phnum` headers; `octets` is what `give_back` handed over.
    let (object, octets) = unsafe { (&*object, &mut *octets.cast::<usize>()) };
    // SAFETY: a plain call.
    let Ok(page) = u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }) else { return 1 };
    // SAFETY: as above.
    let headers = unsafe { std::slice::from_raw_parts(object.dlpi_phdr, object.dlpi_phnum.into()) };
    for header in headers {
        // What is relocated lies in segments that are writable, also where it is protected afterwards.
        if header.p_type != libc::PT_LOAD || header.p_flags & libc::PF_W != 0 {
            continue;
        }
        let Some((start, length)) = whole_pages(object.dlpi_addr + header.p_vaddr, header.p_memsz, page) else {
            continue;
        };
        // SAFETY: pages of a loaded segment that is mapped from its file and never written to, so that they are read
        // from there again.
        if unsafe { libc::madvise(start as *mut c_void, length, libc::MADV_DONTNEED) } == 0 {
            *octets += length;
        }
    }
    0
}

/// The pages that lie in a range of addresses, without those at its ends that it shares with others.
fn whole_pages(start: u64, length: u64, page: u64) -> Option<(usize, usize)> {
    let (first, end) = (start.next_multiple_of(page), (start + length) / page * page);
    let length = end.checked_sub(first).filter(|length| *length > 0)?;
    Some((usize::try_from(first).ok()?, usize::try_from(length).ok()?))
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
    fn only_whole_pages_are_given_back() {
        assert_eq!(whole_pages(0, 8192, 4096), Some((0, 8192)));
        assert_eq!(whole_pages(1, 8192, 4096), Some((4096, 4096)));
        assert_eq!(whole_pages(4095, 4098, 4096), Some((4096, 4096)));
        assert_eq!(whole_pages(1, 4096, 4096), None);
        assert_eq!(whole_pages(1, 5, 4096), None);
    }
}
