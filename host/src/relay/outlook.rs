//! Joins the admin surface to the queue: in which order it leaves.

use crate::admin::{Order, OrderedPage, Told};
use crate::message::{Standing, WantedStanding};
use crate::queue::{self, Outlook};
use crate::spool::{PageRequest, QueueState, Record, Selection};

impl Order for Outlook {
    fn page(
        &self,
        selection: Selection,
        standing: WantedStanding,
        page: PageRequest,
    ) -> Told<'_, OrderedPage> {
        Box::pin(async move {
            let page = Outlook::page(self, selection, standing, page).await?;
            Ok(told(page))
        })
    }

    fn beginning(
        &self,
        selection: Selection,
        standing: WantedStanding,
        rows_max: usize,
    ) -> Told<'_, OrderedPage> {
        Box::pin(async move {
            let page = Outlook::beginning(self, selection, standing, rows_max).await?;
            Ok(told(page))
        })
    }

    fn standings<'a>(&'a self, record: &'a Record) -> Told<'a, Vec<Option<Standing>>> {
        Box::pin(async move {
            let standings = Outlook::standings(self, record).await?;
            let states = record.deliveries.iter().map(|(_, state)| *state);
            let known = standings.into_iter().zip(states).map(|(standing, state)| {
                // What was cancelled is in no order.
                (state != QueueState::Cancelled).then_some(standing)
            });
            Ok(known.collect())
        })
    }
}

fn told(page: queue::OrderedPage) -> OrderedPage {
    let rows = page.rows.into_iter();
    OrderedPage {
        rows: rows.map(|(row, standing)| (row, Some(standing))).collect(),
        cursor: page.cursor,
    }
}
