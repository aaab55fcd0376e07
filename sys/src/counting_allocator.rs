//! An allocator that counts, for the test that shows that forwarding allocates nothing.
#![expect(unsafe_code, reason = "GlobalAlloc is an unsafe trait")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, counting how often each thread asks for memory. Use it as `#[global_allocator]`.
#[derive(Clone, Copy, Debug, Default)]
pub struct CountingAllocator;

impl CountingAllocator {
    /// How often this thread asked for memory so far, reallocations included.
    pub fn count() -> u64 {
        COUNT.get()
    }

    fn note() {
        // A thread that is ending has no counter any more; nobody asks for its count then.
        let _counted = COUNT.try_with(|count| count.set(count.get() + 1));
    }
}

// SAFETY: every call goes to `System` with the arguments that came in; counting touches no memory of the allocator.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::note();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::note();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(memory, layout, size) }
    }
}
