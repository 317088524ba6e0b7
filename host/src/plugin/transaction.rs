//! One transaction's way through the chain: the same components from MAIL to the end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Workshop;
use super::breaker::{CallEnd, Change, Stage};
use super::component::{Component, Instance};
use super::shelf::Seat;
use super::slots::Slot;
use super::stock;
use crate::policy::{
    Answer, Attribute, Decision, DecisionRecord, Facts, Failure, Placement, PlacementRuling,
    PriorityVote, Question, Reason, SenderRuling, SenderVote,
};

/// Notes that components leave behind in one transaction: those of four talkative ones.
const NOTES_MAX: usize = 64;

/// A transaction, from MAIL to its end. Whatever is deployed meanwhile, it sees the chain that was
/// there when it began. Instances are made when they are first needed and dropped with it, or left
/// to another transaction where the operator wants that.
pub struct Transaction {
    workshop: Arc<Workshop>,
    chain: Arc<Vec<Arc<Component>>>,
    seats: Vec<Option<Seat>>,
    /// With the place in the chain of who left them, in the chain's order.
    notes: Vec<(usize, Attribute)>,
    #[cfg(test)]
    stand_in: Option<super::StandIn>,
}

/// What the chain says about a sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// The answer.
    pub ruling: SenderRuling,
    /// What each component said, for the trail.
    pub records: Vec<DecisionRecord>,
}

/// What the chain says about urgency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Urgency {
    /// The answer.
    pub ruling: PlacementRuling,
    /// What each component said, for the trail.
    pub records: Vec<DecisionRecord>,
}

/// One question to one component, as its breaker sees it.
struct Asked<'a> {
    component: &'a Component,
    stage: Stage,
    facts: &'a Facts,
}

impl Transaction {
    pub(super) fn new(workshop: Arc<Workshop>, chain: Arc<Vec<Arc<Component>>>) -> Self {
        let seats = chain.iter().map(|_| None).collect();
        Self {
            workshop,
            chain,
            seats,
            notes: Vec::new(),
            #[cfg(test)]
            stand_in: None,
        }
    }

    #[cfg(test)]
    pub(super) fn with_stand_in(mut self, stand_in: Option<super::StandIn>) -> Self {
        self.stand_in = stand_in;
        self
    }

    /// Whether the user may send as this sender: asked at MAIL, and again when the header is known.
    pub async fn authorize(&mut self, facts: &Arc<Facts>) -> Authorization {
        #[cfg(test)]
        if let Some(stand_in) = self.stand_in {
            return (stand_in.sender)(facts);
        }
        let chain = Arc::clone(&self.chain);
        let mut vote = SenderVote::default();
        let mut records = Vec::with_capacity(chain.len());
        for (place, component) in chain.iter().enumerate() {
            if !component.answers(Question::Sender) {
                continue;
            }
            let began = Instant::now();
            let answer = self.ask_sender(place, component, facts).await;
            let (said, reasons, ruling) = match answer {
                Ok(decision) => {
                    let ruling = vote.take(&decision);
                    let said = Answer::from(&decision);
                    self.keep_notes(place, decision.notes);
                    (said, decision.reasons, ruling)
                }
                Err(failure) => {
                    let on_failure = component.settings.on_failure(Question::Sender);
                    let ruling = vote.take_failure(component.name(), &failure, on_failure);
                    (Answer::Failed(failure), vec![], ruling)
                }
            };
            records.push(record(
                component,
                Question::Sender,
                said,
                reasons,
                began.elapsed(),
            ));
            if let Some(ruling) = ruling {
                return Authorization { ruling, records };
            }
        }
        Authorization {
            ruling: vote.close(),
            records,
        }
    }

    /// How urgent the message is: asked once, when the header is known.
    pub async fn place(&mut self, facts: &Arc<Facts>) -> Urgency {
        #[cfg(test)]
        if let Some(stand_in) = self.stand_in {
            return (stand_in.priority)(facts);
        }
        let chain = Arc::clone(&self.chain);
        let mut vote = PriorityVote::new(facts.user_priority());
        let mut records = Vec::with_capacity(chain.len());
        for (place, component) in chain.iter().enumerate() {
            if !component.answers(Question::Priority) {
                continue;
            }
            let began = Instant::now();
            let answer = self.ask_priority(place, component, facts).await;
            let (said, reasons, ruling) = match answer {
                Ok(placement) => {
                    let ruling = vote.take(placement.as_ref());
                    let said = Answer::from(placement.as_ref());
                    let (reasons, notes) = placement.map_or_else(Default::default, |placement| {
                        (placement.all_reasons(), placement.notes)
                    });
                    self.keep_notes(place, notes);
                    (said, reasons, ruling)
                }
                Err(failure) => {
                    let on_failure = component.settings.on_failure(Question::Priority);
                    let ruling = vote.take_failure(&failure, on_failure);
                    (Answer::Failed(failure), vec![], ruling)
                }
            };
            records.push(record(
                component,
                Question::Priority,
                said,
                reasons,
                began.elapsed(),
            ));
            if let Some(ruling) = ruling {
                return Urgency { ruling, records };
            }
        }
        Urgency {
            ruling: vote.close(),
            records,
        }
    }

    /// The numbers among the notes, for tests of what an instance remembers.
    #[cfg(test)]
    pub(super) fn note_numbers(&self) -> Vec<i64> {
        let number = |(_, note): &(usize, Attribute)| match note.value() {
            crate::policy::AttributeValue::Number(number) => Some(*number),
            _ => None,
        };
        self.notes.iter().filter_map(number).collect()
    }

    /// The keys of the notes that the component at that place would see, for tests.
    #[cfg(test)]
    pub(super) fn note_keys_before(&self, place: usize) -> Vec<String> {
        let notes = self.notes_before(place);
        notes.iter().map(|note| note.key().to_owned()).collect()
    }

    async fn ask_sender(
        &mut self,
        place: usize,
        component: &Component,
        facts: &Arc<Facts>,
    ) -> Result<Decision, Failure> {
        let asked = Asked {
            component,
            stage: Stage::of(Question::Sender, facts),
            facts,
        };
        let mut instance = self.instance(place, &asked).await?;
        let ticker = &self.workshop.ticker;
        let answer = instance
            .authorize(ticker, Arc::clone(facts), self.notes_before(place))
            .await;
        asked.note_end(&answer);
        // At MAIL the sender comes up again; after that, only urgency.
        let comes_up_again = !facts.is_header_known() || component.answers(Question::Priority);
        if answer.is_ok() {
            self.keep(place, instance);
            if !comes_up_again {
                self.leave(place);
            }
        }
        answer
    }

    async fn ask_priority(
        &mut self,
        place: usize,
        component: &Component,
        facts: &Arc<Facts>,
    ) -> Result<Option<Placement>, Failure> {
        let asked = Asked {
            component,
            stage: Stage::Priority,
            facts,
        };
        let mut instance = self.instance(place, &asked).await?;
        let ticker = &self.workshop.ticker;
        let answer = instance
            .place(ticker, Arc::clone(facts), self.notes_before(place))
            .await;
        asked.note_end(&answer);
        if answer.is_ok() {
            self.keep(place, instance);
            self.leave(place);
        }
        answer
    }

    /// The instance that was kept, or a fresh one. While a question is open it belongs to the
    /// question, so that one that is given up in the middle is dropped and never asked again.
    async fn instance(&mut self, place: usize, asked: &Asked<'_>) -> Result<Instance, Failure> {
        let component = asked.component;
        if !component
            .shared
            .breaker
            .admits(asked.stage, asked.user(), now)
        {
            return Err(Failure::Suspended);
        }
        if let Some(seat) = self.seats[place].take() {
            return Ok(seat.instance);
        }
        let waiting = component.shelf.take().or_else(|| component.stock.take());
        if let Some(instance) = waiting {
            return Ok(instance);
        }
        let started = match self.slot().await {
            Some(slot) => component.instantiate(&self.workshop.ticker, slot).await,
            None => Err(Failure::Overload),
        };
        started.inspect_err(|failure| asked.note_failure(failure))
    }

    /// Room for an instance. What nobody needs yet gives way.
    async fn slot(&mut self) -> Option<Slot> {
        let slots = &self.workshop.slots;
        if let Some(slot) = slots.try_take() {
            return Some(slot);
        }
        for component in self.chain.iter() {
            component.stock.clear();
        }
        slots.take().await
    }

    /// A good moment to make instances for later transactions: nobody waits for a component.
    pub fn prepare_others(&self) {
        stock::refill(&self.workshop, &self.chain);
    }

    fn keep(&mut self, place: usize, instance: Instance) {
        let leave = self.workshop.slots.leave();
        self.seats[place] = leave.map(|leave| Seat { instance, leave });
    }

    /// Ends what this transaction has to do with an instance.
    fn leave(&mut self, place: usize) {
        if let Some(seat) = self.seats[place].take() {
            self.chain[place].shelf.put(seat);
        }
    }

    /// What the components up to that place have left behind; its own from an earlier question are
    /// among it.
    fn notes_before(&self, place: usize) -> Arc<[Attribute]> {
        let notes = self.notes.iter().filter(|(by, _)| *by <= place);
        notes.map(|(_, note)| note.clone()).collect()
    }

    /// A later note of the same component takes the place of its earlier one with the same key.
    fn keep_notes(&mut self, place: usize, notes: Vec<Attribute>) {
        for note in notes {
            self.notes
                .retain(|(by, known)| *by != place || known.key() != note.key());
            if self.notes.len() < NOTES_MAX {
                let behind = self.notes.partition_point(|(by, _)| *by <= place);
                self.notes.insert(behind, (place, note));
            }
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        for place in 0..self.seats.len() {
            self.leave(place);
        }
    }
}

fn record(
    component: &Component,
    question: Question,
    answer: Answer,
    reasons: Vec<Reason>,
    took: Duration,
) -> DecisionRecord {
    component.metrics().answered(question, &answer, took);
    DecisionRecord {
        component: Arc::clone(component.name()),
        digest: Arc::clone(&component.digest),
        question,
        answer,
        reasons,
        took,
    }
}

impl Asked<'_> {
    fn user(&self) -> &str {
        self.facts.user_name()
    }

    fn note_end<T>(&self, answer: &Result<T, Failure>) {
        match answer {
            Ok(_) => self.note(CallEnd::Answer),
            // Those before it were told, and it is the same again.
            Err(Failure::Suspended) => {}
            Err(failure) => self.note_failure(failure),
        }
    }

    fn note_failure(&self, failure: &Failure) {
        let (component, question) = (self.component.name(), self.stage.name());
        let (message_id, user) = (self.facts.message, self.user());
        tracing::warn!(%message_id, %component, question, user, %failure, "a policy component failed");
        self.note(if failure.is_fault() {
            CallEnd::Fault
        } else {
            CallEnd::Neither
        });
    }

    fn note(&self, end: CallEnd) {
        let breaker = &self.component.shared.breaker;
        let Some(change) = breaker.note(self.stage, self.user(), end, now) else {
            return;
        };
        let (component, question, user) = (self.component.name(), self.stage.name(), self.user());
        match change {
            Change::Opened => tracing::error!(
                %component,
                question,
                "a policy component failed for several users in a row, and is not asked for a while"
            ),
            Change::OpenedForUser => tracing::warn!(
                %component,
                question,
                user,
                "a policy component failed for a user again and again, and is not asked for that \
                 user for a while"
            ),
            Change::Closed => {
                tracing::info!(%component, question, "a policy component works again");
            }
            Change::ClosedForUser => tracing::info!(
                %component,
                question,
                user,
                "a policy component works again for a user"
            ),
        }
        self.component.show_breaker(self.stage.question());
    }
}

/// The breaker's time, which tests can stop.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
