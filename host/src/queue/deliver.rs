//! What the queue asks of whoever delivers: one attempt at a delivery.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::message::{Attempt, Delivery, Message, NextHop, Progress};
use crate::spool::{Content, Pending};

/// Opens the content of the claimed message, from its first octet; again, as often as it is called.
pub type OpenContent = Box<dyn Fn() -> Pending<'static, Box<dyn Content>> + Send + Sync>;

/// Told in the moment in which the first MAIL of an attempt is written, if it gets so far.
pub type AtMail = Box<dyn Fn() + Send + Sync>;

/// Makes attempts at deliveries.
pub trait Deliver: Send + Sync + 'static {
    /// Where the pending recipients of `delivery` go, split by next hop, when that is not its lane for all of them; none
    /// when it is. Asked about every delivery that is claimed.
    fn led_elsewhere(
        &self,
        _message: &Message,
        _delivery: &Delivery,
    ) -> Option<Vec<(NextHop, Vec<u32>)>> {
        None
    }

    /// Tries to deliver to all pending recipients of `delivery`, and says what became of each.
    ///
    /// `at_mail` is called once, when the first MAIL is written; not where an attempt does not get so far.
    ///
    /// What has come to be led elsewhere since it was asked about is not tried, and comes back with
    /// [`Contact::Elsewhere`](crate::message::Contact::Elsewhere).
    ///
    /// What would begin while something very high moves is not tried, and comes back with
    /// [`Contact::GaveWay`](crate::message::Contact::GaveWay).
    ///
    /// It always comes back: with its own time limits, and with an outcome where nothing answered. Dropped, it ends the
    /// attempt; that happens when the relay stops and it does not come back though it is [cut off](Deliver::cut_off). A
    /// message whose content was never opened has not been sent then; one whose content was may have arrived.
    fn deliver(
        &self,
        message: Arc<Message>,
        delivery: Delivery,
        content: OpenContent,
        at_mail: AtMail,
    ) -> Pin<Box<dyn Future<Output = Attempt> + Send>>;

    /// Until when nothing below very high is to be started, since something very high is being sent; none when
    /// that is not so. It may be over sooner, and that is notified; or last longer: ask again then.
    fn held_until(&self) -> Option<Instant> {
        None
    }

    /// How far the contents have come that are on their way.
    fn under_way(&self) -> Vec<Progress> {
        Vec::new()
    }

    /// Cuts off all attempts where they are, since the relay stops: each comes back at once, with
    /// [`Contact::CutOff`](crate::message::Contact::CutOff) and with what it knows. One that does not is dropped.
    fn cut_off(&self) {}

    /// Notified when nothing very high is being sent any more. One reader: the queue.
    fn eased(&self) -> Arc<Notify> {
        Arc::default()
    }
}
