//! A system call of the resolver that the standard library does not offer.

#![allow(unsafe_code)]

use std::ffi::CStr;
use std::io;

/// The index and the name of each interface of the thread's network namespace.
pub(super) fn interfaces() -> io::Result<Vec<(u32, String)>> {
    // SAFETY: takes no arguments.
    let list = unsafe { libc::if_nameindex() };
    if list.is_null() {
        return Err(io::Error::last_os_error());
    }
    let mut found = Vec::new();
    let mut at = list;
    loop {
        // SAFETY: `at` starts at the first entry and moves by one entry. The list ends with an entry whose name is null, and the loop ends there.
        let entry = unsafe { *at };
        if entry.if_name.is_null() {
            break;
        }
        // SAFETY: the name of an entry is a string that ends with 0. It lives until the list is freed below.
        let name = unsafe { CStr::from_ptr(entry.if_name) };
        found.push((entry.if_index, name.to_string_lossy().into_owned()));
        // SAFETY: this entry was not the last one, so another entry follows in the same list.
        at = unsafe { at.add(1) };
    }
    // SAFETY: `list` came from `if_nameindex` and is freed once. Nothing points into it any more.
    unsafe { libc::if_freenameindex(list) };
    Ok(found)
}
