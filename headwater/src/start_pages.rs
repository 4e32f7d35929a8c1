//! Memory that only the start of a server needed.
//!
//! Reading settings, opening the database and putting all parts together runs through code that is never run again, and
//! the system maps 16 pages around each that is touched: over 12 MiB of the program. They are given back when the server
//! begins to serve. What is run again is mapped again from the system's page cache.
#![expect(unsafe_code, reason = "dl_iterate_phdr and madvise exist as C functions only")]

use std::ffi::{c_int, c_void};

/// Unmaps the pages of this program that nobody writes to: code and constants. How many octets that is at most.
///
/// They are pages of a file that were never changed, so the next access reads the same (madvise(2), `MADV_DONTNEED`).
/// A break point that a debugger has set in them is gone.
pub(crate) fn give_back() -> usize {
    let mut octets = 0_usize;
    // SAFETY: `take` is called before this returns, with the pointer to `octets`, which nothing else uses meanwhile.
    unsafe { libc::dl_iterate_phdr(Some(take), (&raw mut octets).cast()) };
    octets
}

/// Gives back those of the first object, which is the program itself, and ends the iteration.
unsafe extern "C" fn take(object: *mut libc::dl_phdr_info, _: usize, octets: *mut c_void) -> c_int {
    // SAFETY: the linker tells of an object and its `dlpi_phnum` headers; `octets` is what `give_back` handed over.
    let (object, octets) = unsafe { (&*object, &mut *octets.cast::<usize>()) };
    // SAFETY: as above.
    let headers = unsafe { std::slice::from_raw_parts(object.dlpi_phdr, object.dlpi_phnum.into()) };
    for header in headers {
        // What is relocated lies in segments that are writable, also where it is protected afterwards.
        if header.p_type != libc::PT_LOAD || header.p_flags & libc::PF_W != 0 {
            continue;
        }
        let Some((start, length)) = whole_pages(object.dlpi_addr + header.p_vaddr, header.p_memsz) else { continue };
        // SAFETY: these are pages of a loaded segment of the program, mapped from its file and never written to.
        if unsafe { libc::madvise(start as *mut c_void, length, libc::MADV_DONTNEED) } == 0 {
            *octets += length;
        }
    }
    1
}

/// The pages that lie in a range of addresses, without those at its ends that it shares with others.
fn whole_pages(start: u64, length: u64) -> Option<(usize, usize)> {
    let page = u64::try_from(rustix::param::page_size()).ok()?;
    let (first, end) = (start.next_multiple_of(page), (start + length) / page * page);
    Some((usize::try_from(first).ok()?, usize::try_from(end.checked_sub(first)?).ok().filter(|length| *length > 0)?))
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
        let page = u64::try_from(rustix::param::page_size()).unwrap();
        let bytes = rustix::param::page_size();
        assert_eq!(whole_pages(0, 2 * page), Some((0, 2 * bytes)));
        assert_eq!(whole_pages(1, 2 * page), Some((bytes, bytes)));
        assert_eq!(whole_pages(page - 1, page + 2), Some((bytes, bytes)));
        assert_eq!(whole_pages(1, page), None);
        assert_eq!(whole_pages(1, 5), None);
    }
}
