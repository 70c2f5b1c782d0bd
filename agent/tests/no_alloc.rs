//! From the first byte read to the outbox, nothing is taken from the heap.
//!
//! This test build counts what the allocator is asked for, and takes samples of this machine the
//! way the agent's loop does.

#![expect(unsafe_code, reason = "an allocator cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use mote::config::Settings;
use mote::device::Device;

struct Counting;

thread_local! {
    /// Of this thread alone: the test runner's own threads allocate as they please.
    static ASKED: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // While a thread ends its locals are gone already; nothing is measured then.
    let _ = ASKED.try_with(|asked| asked.set(asked.get() + 1));
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's contract is the same as ours.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's contract is the same as ours.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's contract is the same as ours.
        unsafe { System.realloc(place, layout, size) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is the same as ours.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn asked() -> u64 {
    ASKED.with(Cell::get)
}

#[test]
fn the_counter_sees_an_allocation() {
    let before = asked();
    drop(std::hint::black_box(vec![1_u8; 100]));
    assert_eq!(asked() - before, 1);
}

#[test]
fn a_thousand_samples_from_proc_to_the_outbox_allocate_nothing() {
    let settings = Settings {
        buffer_samples: 100,
        ..Settings::default()
    };
    let mut device = Device::new(&settings, 0).unwrap();
    // The first sample opens the files, which are then held open.
    device.tick();
    let before = asked();
    for _ in 0..1_000 {
        device.tick();
    }
    let allocs = asked() - before;
    // The bench reads this line.
    println!("tick_allocs: {allocs}");
    assert_eq!(allocs, 0);
    assert_eq!(device.counts.collected, 1_001);
    assert_eq!(device.outbox.len(), 100);
    let newest = device
        .outbox
        .newest()
        .and_then(|cursor| device.outbox.get(cursor))
        .unwrap();
    assert!(newest.cpu.get().is_some() && newest.memory.get().is_some());
    assert!(newest.disk.get().is_some() && newest.network.is_some() && newest.uptime_s.is_some());
}
