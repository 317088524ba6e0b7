//! The heap of a component: memory is handed out from the front and given back as a whole.
//!
//! An instance lives for one transaction, so nearly nothing is worth giving back one by one. The
//! heap begins in memory that the component has from its start: asking for more costs the relay two
//! changes of its memory map per instance, which was a third of what the policy of a whole message
//! cost. Beyond that it asks for more, until the relay refuses.
//!
//! A policy that takes and gives back a lot within one question, or brings its own
//! `#[global_allocator]`, builds the SDK with `default-features = false`.

/// Octets that a component has from its start, more than an ordinary message needs. Untouched ones
/// cost nothing.
#[cfg(target_arch = "wasm32")]
const ARENA_OCTETS: usize = 256 << 10;

/// A stretch of memory, part of which has been handed out: addresses, no memory.
#[derive(Debug)]
pub struct Stretch {
    next: usize,
    end: usize,
}

impl Stretch {
    /// The stretch from `start` up to and without `end`, none of it handed out.
    pub const fn new(start: usize, end: usize) -> Self {
        Self { next: start, end }
    }

    /// Goes on with memory from `start` up to and without `end`. What is left of the memory before is
    /// kept when the two touch.
    pub fn go_on(&mut self, start: usize, end: usize) {
        if start != self.end {
            self.next = start;
        }
        self.end = end;
    }

    /// Hands out a block; none when what is left is too small. `align` is a power of two.
    pub fn take(&mut self, octets: usize, align: usize) -> Option<usize> {
        let block = self.next.checked_next_multiple_of(align)?;
        let next = block.checked_add(octets)?;
        if next > self.end {
            return None;
        }
        self.next = next;
        Some(block)
    }

    /// Takes a block back: of use when it is the one that was handed out last.
    pub fn give_back(&mut self, block: usize, octets: usize) {
        if block + octets == self.next {
            self.next = block;
        }
    }

    /// Changes a block's size where it stands, when it can stay there.
    pub fn resize(&mut self, block: usize, octets: usize, to_octets: usize) -> bool {
        if block + octets != self.next {
            return to_octets <= octets;
        }
        match block.checked_add(to_octets) {
            Some(next) if next <= self.end => {
                self.next = next;
                true
            }
            _ => false,
        }
    }
}

#[cfg(target_arch = "wasm32")]
mod global {
    use core::alloc::{GlobalAlloc, Layout};
    use core::arch::wasm32::memory_grow;
    use core::cell::UnsafeCell;
    use core::ptr;

    use super::{ARENA_OCTETS, Stretch};

    const PAGE_OCTETS: usize = 64 << 10;

    struct Heap(UnsafeCell<Option<Stretch>>);
    struct Arena(UnsafeCell<[u8; ARENA_OCTETS]>);

    // SAFETY: a component has one thread.
    unsafe impl Sync for Heap {}
    // SAFETY: as above.
    unsafe impl Sync for Arena {}

    #[global_allocator]
    static HEAP: Heap = Heap(UnsafeCell::new(None));
    static ARENA: Arena = Arena(UnsafeCell::new([0; ARENA_OCTETS]));

    impl Heap {
        /// # Safety
        /// The answer of an earlier call is not used any more.
        unsafe fn stretch(&self) -> &mut Stretch {
            // SAFETY: one thread, and the caller holds no other reference.
            let stretch = unsafe { &mut *self.0.get() };
            stretch.get_or_insert_with(|| {
                let start = ARENA.0.get().expose_provenance();
                Stretch::new(start, start + ARENA_OCTETS)
            })
        }

        /// Asks the relay for more.
        #[cold]
        fn grow(&self, layout: Layout) -> Option<usize> {
            let octets = layout.size().checked_add(layout.align())?;
            let pages = octets.div_ceil(PAGE_OCTETS);
            let pages_before = memory_grow::<0>(pages);
            if pages_before == usize::MAX {
                return None;
            }
            let start = pages_before * PAGE_OCTETS;
            // SAFETY: no other reference is in use.
            let stretch = unsafe { self.stretch() };
            stretch.go_on(start, start + pages * PAGE_OCTETS);
            stretch.take(layout.size(), layout.align())
        }
    }

    // SAFETY: blocks do not overlap, stand where their alignment asks, and stay until they are given
    // back; `Stretch` and its tests see to that.
    unsafe impl GlobalAlloc for Heap {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            // SAFETY: no other reference is in use.
            let taken = unsafe { self.stretch() }.take(layout.size(), layout.align());
            match taken.or_else(|| self.grow(layout)) {
                Some(block) => ptr::with_exposed_provenance_mut(block),
                None => ptr::null_mut(),
            }
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            // SAFETY: no other reference is in use.
            unsafe { self.stretch() }.give_back(block.addr(), layout.size());
        }

        unsafe fn realloc(&self, block: *mut u8, layout: Layout, octets: usize) -> *mut u8 {
            // SAFETY: no other reference is in use.
            if unsafe { self.stretch() }.resize(block.addr(), layout.size(), octets) {
                return block;
            }
            // SAFETY: the caller keeps the rules of `realloc`: the new size fits a layout.
            let new =
                unsafe { self.alloc(Layout::from_size_align_unchecked(octets, layout.align())) };
            if !new.is_null() {
                // SAFETY: the new block is another one, and both are at least this large.
                unsafe { ptr::copy_nonoverlapping(block, new, layout.size().min(octets)) };
            }
            new
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_stand_where_their_alignment_asks_and_never_overlap() {
        let mut stretch = Stretch::new(1, 4096);
        let mut end = 1;
        for (octets, align) in [(1, 1), (3, 8), (0, 4), (16, 16), (5, 2), (100, 64)] {
            let block = stretch.take(octets, align).expect("there is room");
            assert_eq!(block % align, 0, "{octets} {align}");
            assert!(block >= end, "{octets} {align}");
            end = block + octets;
        }
    }

    #[test]
    fn nothing_is_handed_out_beyond_the_end() {
        let mut stretch = Stretch::new(0, 64);
        assert_eq!(stretch.take(65, 1), None);
        assert_eq!(stretch.take(usize::MAX, 8), None);
        assert_eq!(stretch.take(60, 1), Some(0));
        assert_eq!(stretch.take(4, 8), None);
        assert_eq!(stretch.take(4, 4), Some(60));
        assert_eq!(stretch.take(1, 1), None);
        let mut last = Stretch::new(usize::MAX - 3, usize::MAX);
        assert_eq!(last.take(1, 8), None);
    }

    #[test]
    fn memory_that_touches_is_one_stretch() {
        let mut stretch = Stretch::new(0, 64);
        assert_eq!(stretch.take(60, 1), Some(0));
        stretch.go_on(64, 128);
        assert_eq!(stretch.take(60, 1), Some(60));
        stretch.go_on(256, 320);
        assert_eq!(stretch.take(1, 1), Some(256));
    }

    #[test]
    fn the_last_block_can_be_given_back_and_resized() {
        let mut stretch = Stretch::new(0, 64);
        let first = stretch.take(8, 8).expect("there is room");
        let last = stretch.take(8, 8).expect("there is room");
        assert!(stretch.resize(last, 8, 40));
        assert!(!stretch.resize(last, 40, 57), "no room");
        assert!(!stretch.resize(first, 8, 9), "another one stands behind it");
        assert!(stretch.resize(first, 8, 4));
        stretch.give_back(first, 4);
        assert_eq!(stretch.take(1, 1), Some(48));
        stretch.give_back(48, 1);
        stretch.give_back(last, 40);
        assert_eq!(stretch.take(1, 1), Some(8));
    }
}
