//! The allocator of the program, and how it gives memory back.
//!
//! A message costs some hundred allocations, on one thread, and their end on another: the C library's
//! allocator takes a seventh of the processor's time for that. mimalloc keeps what was freed for a second, and
//! then gives it back when somebody allocates or frees the next large piece. A relay that has become idle does
//! neither, so it is reminded.

// One call of the allocator's C interface, which takes no pointer and may come at any time from any thread.
#![allow(unsafe_code)]

use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Between two reminders: about as long as the allocator itself keeps what was freed.
const PERIOD: Duration = Duration::from_secs(1);

/// Gives memory that has been free for a second back to the system, now and then, for ever.
pub async fn give_back_now_and_then() {
    let mut period = tokio::time::interval(PERIOD);
    period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        period.tick().await;
        // SAFETY: mi_collect has no arguments to get wrong, and locks for itself what threads share.
        unsafe { libmimalloc_sys::mi_collect(false) };
    }
}
