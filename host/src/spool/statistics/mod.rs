//! Statistics: what came in, what became of it and how long it took, by class, list, user, destination and campaign.
//!
//! Counted in the transaction of what is counted (`tally`), so exact whatever the moment of a crash; by the hour first,
//! then rolled up in the background (`rollup`) into days and blocks of days; read by questions (`question`, `answer`). By what is
//! counted, and how many names of it, is said in `cell`; how long it is kept in `period`. Works on rows (`rows`), whichever
//! backend has them.

mod answer;
mod cell;
mod period;
mod question;
mod rollup;
mod rows;
mod tally;

pub use cell::{Dimension, OTHERS};
pub use question::{Answer, Figure, Filter, Name, Period, Question, ROWS_MAX, Row, Unanswerable};
pub(super) use rollup::RollUp;
pub(super) use rows::MemoryRows;
pub(super) use tally::{Tally, knows_the_queue};
