//! The queue: what waits, in the order in which it leaves, and what is done about it.

pub(super) mod actions;
pub(super) mod stopping;
pub(in crate::admin::console) mod table;
