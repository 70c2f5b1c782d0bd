//! How much of the heap this thread holds: what grows is seen to the byte.

#![expect(unsafe_code, reason = "an allocator cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    /// Taken less given back by this thread; what another one gives back is not missed here.
    static HELD: Cell<i64> = const { Cell::new(0) };
}

fn add(bytes: i64) {
    // While a thread ends its locals are gone already; nothing is measured then.
    let _ = HELD.try_with(|held| held.set(held.get() + bytes));
}

fn size(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(size(layout.size()));
        // SAFETY: the caller's contract is the same as ours.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, new: usize) -> *mut u8 {
        add(size(new) - size(layout.size()));
        // SAFETY: the caller's contract is the same as ours.
        unsafe { System.realloc(place, layout, new) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        add(-size(layout.size()));
        // SAFETY: the caller's contract is the same as ours.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes that this thread holds.
pub(crate) fn held_bytes() -> i64 {
    HELD.with(Cell::get)
}

#[test]
fn what_is_held_is_counted_and_what_is_given_back_is_not() {
    let before = held_bytes();
    let held = vec![0_u8; 1_000];
    assert_eq!(held_bytes() - before, 1_000);
    drop(held);
    assert_eq!(held_bytes(), before);
}
