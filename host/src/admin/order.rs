//! What the surface asks of whoever knows in which order the queue leaves.

use std::future::Future;
use std::pin::Pin;

use crate::message::{Standing, WantedStanding};
use crate::spool::{PageRequest, Record, Row, Selection, SpoolError};

/// A future of whoever is asked.
pub type Told<'a, T> = Pin<Box<dyn Future<Output = Result<T, SpoolError>> + Send + 'a>>;

/// A part of the queue, in the order in which it leaves.
pub struct OrderedPage {
    /// The deliveries, and why each is where it is; none where that is not known.
    pub rows: Vec<(Row, Option<Standing>)>,
    /// For the next page; none at the end.
    pub cursor: Option<String>,
}

/// Knows in which order the queue leaves.
pub trait Order: Send + Sync + 'static {
    /// A page of the queue in that order, of what is selected and stands as is wanted. A cursor that no page had is
    /// [`SpoolError::Unknown`].
    fn page(
        &self,
        selection: Selection,
        standing: WantedStanding,
        page: PageRequest,
    ) -> Told<'_, OrderedPage>;

    /// Its first page, for who does not ask for the next: nothing is kept for that.
    fn beginning(
        &self,
        selection: Selection,
        standing: WantedStanding,
        rows_max: usize,
    ) -> Told<'_, OrderedPage>;

    /// Why each delivery of a message is where it is, in their order.
    fn standings<'a>(&'a self, record: &'a Record) -> Told<'a, Vec<Option<Standing>>>;
}
