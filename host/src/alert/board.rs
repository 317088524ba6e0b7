//! The board: alerts that begin, go on and end, and what of that each channel has told.
//!
//! A channel is not handed events but looks at what it has not told yet, so nothing is lost while it cannot tell, and what
//! came and went meanwhile is told once. What flickers stays one alert: it ends when nothing was found for a while, and
//! goes on if it is found again soon.

use std::collections::BTreeMap;
use std::time::Duration;

use super::condition::{Condition, Kind, Severity};
use crate::message::Timestamp;

/// Active alerts; of more the worst kinds are kept. A relay with as many needs no finer list.
pub const ACTIVE_MAX: usize = 500;
/// Alerts that are over and still shown, and for how long.
pub const ENDED_MAX: usize = 200;
const ENDED_KEPT: Duration = Duration::from_secs(7 * 86_400);
/// Nothing was found for so long: it is over.
const ENDS_AFTER: Duration = Duration::from_secs(60);
/// Found again within this it is the same one.
const SAME_WITHIN: Duration = Duration::from_secs(600);
/// The longest letter tells of so many.
const LETTER_MAX: usize = 50;

/// A way of telling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// By mail.
    Mail = 0,
    /// By a request to somebody's address.
    Webhook = 1,
}

/// Whether an alert is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It does.
    Active,
    /// It is over.
    Ended,
}

/// What there is to tell of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// It has begun.
    Began,
    /// It goes on, for as long that somebody should be reminded.
    Continues,
    /// It is over.
    Ended,
}

/// What a channel told last of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Telling {
    /// When.
    pub at: Timestamp,
    /// What it was then.
    pub state: State,
}

/// Somebody knows, and need not be reminded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    /// Who.
    pub by: String,
    /// Since when.
    pub at: Timestamp,
}

/// Something that somebody should look at, or should have.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// Its number.
    pub id: u64,
    /// What is wrong, as it was found last.
    pub condition: Condition,
    /// Since when.
    pub began: Timestamp,
    /// When it was found last.
    pub seen: Timestamp,
    /// Until when; none while it is active.
    pub ended: Option<Timestamp>,
    /// Whether somebody has said that he knows.
    pub acknowledged: Option<Acknowledgement>,
    /// What each channel has told.
    pub told: [Option<Telling>; 2],
}

/// Who is told by mail: the addresses of that list, or where there is none those of the system.
pub type Audience = Option<String>;

/// All alerts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Board {
    alerts: Vec<Alert>,
    last_id: u64,
    /// When each audience had its last letter.
    letters: BTreeMap<Audience, Timestamp>,
}

impl State {
    /// Its name in every interface.
    pub fn name(self) -> &'static str {
        match self {
            State::Active => "active",
            State::Ended => "ended",
        }
    }
}

impl News {
    /// Its name in every interface.
    pub fn name(self) -> &'static str {
        match self {
            News::Began => "began",
            News::Continues => "continues",
            News::Ended => "ended",
        }
    }
}

impl Alert {
    /// Whether it is active.
    pub fn state(&self) -> State {
        match self.ended {
            None => State::Active,
            Some(_) => State::Ended,
        }
    }

    /// What that channel has not told. Of what goes on it reminds after a time, unless somebody knows.
    pub fn news(&self, channel: Channel, remind_after: Duration, now: Timestamp) -> Option<News> {
        let told = self.told[channel as usize];
        match (told, self.state()) {
            (None, State::Active) => Some(News::Began),
            // It came and went before anybody could be told.
            (None, State::Ended) => Some(News::Ended),
            (Some(told), state) if told.state != state => Some(match state {
                State::Active => News::Began,
                State::Ended => News::Ended,
            }),
            (Some(told), State::Active) => {
                let is_late = now.since(told.at) >= remind_after;
                (is_late && self.acknowledged.is_none()).then_some(News::Continues)
            }
            (Some(_), State::Ended) => None,
        }
    }
}

impl Board {
    /// One as it was kept.
    pub fn restored(
        alerts: Vec<Alert>,
        last_id: u64,
        letters: BTreeMap<Audience, Timestamp>,
    ) -> Self {
        let highest = alerts.iter().map(|alert| alert.id).max().unwrap_or(0);
        Self {
            alerts,
            last_id: last_id.max(highest),
            letters,
        }
    }

    /// All alerts, in the order in which they began.
    pub fn alerts(&self) -> &[Alert] {
        &self.alerts
    }

    /// The worst one that is critical and active, and not acknowledged; and how many such there are.
    pub fn worst(&self) -> Option<(Alert, usize)> {
        let critical = self.alerts.iter().filter(|alert| {
            let is_new = alert.ended.is_none() && alert.acknowledged.is_none();
            is_new && alert.condition.severity == Severity::Critical
        });
        let worst = critical.clone().min_by_key(|alert| alert.condition.kind)?;
        Some((worst.clone(), critical.count()))
    }

    /// The highest number that was given.
    pub fn last_id(&self) -> u64 {
        self.last_id
    }

    /// When each audience had its last letter.
    pub fn letters(&self) -> &BTreeMap<Audience, Timestamp> {
        &self.letters
    }

    /// Takes all that is wrong now. Returns the alerts that begin or end by it, with what they do.
    pub fn look(&mut self, mut wrong: Vec<Condition>, now: Timestamp) -> Vec<(News, Alert)> {
        // The worst kinds first; within a kind as they were found.
        wrong.sort_by_key(|condition| condition.kind);
        wrong.truncate(ACTIVE_MAX);
        let mut changes = Vec::new();
        for condition in wrong {
            match self.same_as(&condition, now) {
                Some(alert) => {
                    alert.condition = condition;
                    alert.seen = now;
                    if alert.ended.take().is_some() {
                        changes.push((News::Began, alert.clone()));
                    }
                }
                None => {
                    self.last_id += 1;
                    let alert = Alert {
                        id: self.last_id,
                        condition,
                        began: now,
                        seen: now,
                        ended: None,
                        acknowledged: None,
                        told: [None, None],
                    };
                    changes.push((News::Began, alert.clone()));
                    self.alerts.push(alert);
                }
            }
        }
        for alert in &mut self.alerts {
            if alert.ended.is_none() && now.since(alert.seen) >= ENDS_AFTER {
                alert.ended = Some(now);
                changes.push((News::Ended, alert.clone()));
            }
        }
        self.forget(now);
        changes
    }

    /// Somebody acknowledges it. None where there is no such active alert.
    pub fn acknowledge(&mut self, id: u64, by: &str, now: Timestamp) -> Option<&Alert> {
        let mut alerts = self.alerts.iter_mut();
        let alert = alerts.find(|alert| alert.id == id && alert.ended.is_none())?;
        if alert.acknowledged.is_none() {
            alert.acknowledged = Some(Acknowledgement {
                by: by.to_owned(),
                at: now,
            });
        }
        Some(alert)
    }

    /// What is to be told by mail now, by audience: what is new, then what goes on beside it. Each audience has a letter at
    /// most once in `every`.
    pub fn letters_due(
        &self,
        every: Duration,
        remind_after: Duration,
        now: Timestamp,
    ) -> Vec<(Audience, Vec<(News, Alert)>)> {
        let mut due: BTreeMap<Audience, Vec<(News, Alert)>> = BTreeMap::new();
        let may_write = |audience: &Audience| {
            let last = self.letters.get(audience);
            last.is_none_or(|last| now.since(*last) >= every)
        };
        for alert in self.alerts.iter().filter(|alert| is_mailed(alert)) {
            if let Some(news) = alert.news(Channel::Mail, remind_after, now) {
                let audience = &alert.condition.list;
                if may_write(audience) {
                    let of_audience = due.entry(audience.clone()).or_default();
                    of_audience.push((news, alert.clone()));
                }
            }
        }
        let letters = due.into_iter().map(|(audience, mut news)| {
            let is_new = |alert: &Alert, news: &[(News, Alert)]| {
                news.iter().any(|(_, of)| of.id == alert.id)
            };
            let beside: Vec<_> = self
                .alerts
                .iter()
                .filter(|alert| is_mailed(alert) && alert.ended.is_none())
                .filter(|alert| alert.condition.list == audience && !is_new(alert, &news))
                .map(|alert| (News::Continues, alert.clone()))
                .collect();
            news.sort_by_key(|(_, alert)| alert.condition.kind);
            news.truncate(LETTER_MAX);
            let room = LETTER_MAX - news.len();
            news.extend(beside.into_iter().take(room));
            (audience, news)
        });
        letters.collect()
    }

    /// An audience was written to of these.
    pub fn written(&mut self, audience: &Audience, news: &[(News, Alert)], now: Timestamp) {
        self.letters.insert(audience.clone(), now);
        for (_, alert) in news {
            self.told(Channel::Mail, alert, now);
        }
    }

    /// What the webhook is to be told next: what began or ended first.
    pub fn webhook_due(&self, remind_after: Duration, now: Timestamp) -> Option<(News, Alert)> {
        let news = self.alerts.iter().filter_map(|alert| {
            let news = alert.news(Channel::Webhook, remind_after, now)?;
            Some((news, alert))
        });
        let first = news.min_by_key(|(_, alert)| (alert.ended.unwrap_or(alert.began), alert.id))?;
        Some((first.0, first.1.clone()))
    }

    /// A channel has told of an alert as it was.
    pub fn told(&mut self, channel: Channel, of: &Alert, now: Timestamp) {
        let state = of.state();
        if let Some(alert) = self.alerts.iter_mut().find(|alert| alert.id == of.id) {
            alert.told[channel as usize] = Some(Telling { at: now, state });
        }
    }

    /// A channel is not there: what it would have to tell counts as told, so that it does not begin with old news when
    /// it comes.
    pub fn nobody_to_tell(
        &mut self,
        channel: Channel,
        audience: Option<&Audience>,
        now: Timestamp,
    ) {
        let silent = self.alerts.iter_mut().filter(|alert| {
            audience.is_none_or(|audience| alert.condition.list == *audience)
                && alert.ended.is_some()
        });
        for alert in silent {
            let state = alert.state();
            alert.told[channel as usize] = Some(Telling { at: now, state });
        }
    }

    fn same_as(&mut self, condition: &Condition, now: Timestamp) -> Option<&mut Alert> {
        let recent = |alert: &Alert| {
            let ended = alert.ended;
            ended.is_none_or(|ended| now.since(ended) < SAME_WITHIN)
        };
        let mut alerts = self.alerts.iter_mut().rev();
        alerts.find(|alert| alert.condition.is_same_as(condition) && recent(alert))
    }

    fn forget(&mut self, now: Timestamp) {
        let ended = self.alerts.iter().filter(|alert| alert.ended.is_some());
        let mut too_many = ended.count().saturating_sub(ENDED_MAX);
        self.alerts.retain(|alert| {
            let Some(ended) = alert.ended else {
                return true;
            };
            let is_dropped = too_many > 0 || now.since(ended) >= ENDED_KEPT;
            too_many = too_many.saturating_sub(1);
            !is_dropped
        });
        // An audience without alerts may be written to at once; with the longest interval none is older than a day.
        let alerts = &self.alerts;
        self.letters.retain(|audience, _| {
            let mut lists = alerts.iter().map(|alert| &alert.condition.list);
            lists.any(|list| list == audience)
        });
    }
}

/// Whether a letter tells of it. Who was refused is told by notifications of its own, which name each sender.
fn is_mailed(alert: &Alert) -> bool {
    alert.condition.kind != Kind::SendersRefused
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_unix_milliseconds(1_700_000_000_000);
    const MINUTE: Duration = Duration::from_secs(60);
    const DAY: Duration = Duration::from_secs(86_400);

    fn at(minutes: u32) -> Timestamp {
        START.plus(MINUTE * minutes)
    }

    fn wrong(kind: Kind, subject: &str, list: Option<&str>) -> Condition {
        Condition {
            kind,
            subject: subject.to_owned(),
            list: list.map(str::to_owned),
            severity: Severity::Warning,
            text: format!("{kind} {subject}"),
            value: None,
            limit: None,
        }
    }

    fn disk() -> Condition {
        wrong(Kind::DiskLow, "", None)
    }

    fn told(changes: &[(News, Alert)]) -> Vec<(News, u64)> {
        changes
            .iter()
            .map(|(news, alert)| (*news, alert.id))
            .collect()
    }

    /// What letters tell, and that they have been written.
    fn letters(board: &mut Board, now: Timestamp) -> Vec<(Audience, Vec<(News, u64)>)> {
        let due = board.letters_due(MINUTE * 10, DAY, now);
        for (audience, news) in &due {
            board.written(audience, news, now);
        }
        let due = due.into_iter();
        due.map(|(audience, news)| (audience, told(&news)))
            .collect()
    }

    #[test]
    fn what_is_found_begins_goes_on_and_ends_when_it_has_not_been_found_for_a_while() {
        let mut board = Board::default();
        assert_eq!(told(&board.look(vec![disk()], at(0))), [(News::Began, 1)]);
        assert_eq!(told(&board.look(vec![disk()], at(5))), []);
        assert_eq!(told(&board.look(vec![], at(5))), [], "it may flicker");
        assert_eq!(told(&board.look(vec![], at(6))), [(News::Ended, 1)]);
        // Found again soon it is the same one, later it is another one.
        assert_eq!(told(&board.look(vec![disk()], at(7))), [(News::Began, 1)]);
        assert_eq!(told(&board.look(vec![], at(8))), [(News::Ended, 1)]);
        assert_eq!(told(&board.look(vec![disk()], at(18))), [(News::Began, 2)]);
        assert_eq!(board.alerts().len(), 2);
    }

    #[test]
    fn a_letter_tells_at_once_and_the_next_one_collects() {
        let mut board = Board::default();
        board.look(vec![disk()], at(0));
        assert_eq!(letters(&mut board, at(0)), [(None, vec![(News::Began, 1)])]);
        let hop = || wrong(Kind::NextHopDown, "a.example", None);
        board.look(vec![disk(), hop()], at(1));
        assert_eq!(
            letters(&mut board, at(1)),
            [],
            "not before the time is over"
        );
        board.look(vec![hop()], at(9));
        let both = vec![(News::Ended, 1), (News::Began, 2)];
        assert_eq!(letters(&mut board, at(10)), [(None, both)]);
        // It is told again after a day, and not when somebody knows.
        for minutes in [30, 1_449] {
            board.look(vec![hop()], at(minutes));
            assert_eq!(letters(&mut board, at(minutes)), []);
        }
        board.look(vec![hop()], at(1_450));
        let reminder = (None, vec![(News::Continues, 2)]);
        assert_eq!(letters(&mut board, at(1_450)), [reminder]);
        assert_eq!(board.worst(), None, "a warning is none");
        assert!(board.acknowledge(2, "ann", at(1_500)).is_some());
        board.look(vec![hop()], at(4_000));
        assert_eq!(letters(&mut board, at(4_000)), []);
        board.look(vec![], at(4_001));
        assert_eq!(
            letters(&mut board, at(4_001)),
            [(None, vec![(News::Ended, 2)])]
        );
        assert!(
            board.acknowledge(2, "ann", at(4_002)).is_none(),
            "it is over"
        );
    }

    #[test]
    fn the_worst_one_is_told_until_somebody_knows() {
        let mut board = Board::default();
        let critical = |kind| Condition {
            severity: Severity::Critical,
            ..wrong(kind, "", None)
        };
        let both = vec![
            critical(Kind::DiskLow),
            critical(Kind::NotReady),
            wrong(Kind::BouncesHigh, "x", None),
        ];
        board.look(both, at(0));
        let worst = |board: &Board| {
            board
                .worst()
                .map(|(alert, count)| (alert.condition.kind, count))
        };
        assert_eq!(worst(&board), Some((Kind::NotReady, 2)));
        board.acknowledge(1, "ann", at(0));
        assert_eq!(worst(&board), Some((Kind::DiskLow, 1)));
        board.look(vec![], at(1));
        assert_eq!(worst(&board), None);
    }

    #[test]
    fn a_list_has_letters_of_its_own_and_refused_senders_have_none_here() {
        let mut board = Board::default();
        let shop = || wrong(Kind::BouncesHigh, "shop", Some("shop"));
        let refused = || wrong(Kind::SendersRefused, "shop", Some("shop"));
        board.look(vec![disk(), shop(), refused()], at(0));
        let expected = [
            (None, vec![(News::Began, 1)]),
            (Some("shop".to_owned()), vec![(News::Began, 2)]),
        ];
        assert_eq!(letters(&mut board, at(0)), expected);
        // What goes on stands beside what is new.
        let hop = wrong(Kind::NextHopDown, "a.example", None);
        board.look(vec![disk(), shop(), hop], at(20));
        let expected = [(None, vec![(News::Began, 4), (News::Continues, 1)])];
        assert_eq!(letters(&mut board, at(20)), expected);
    }

    #[test]
    fn a_webhook_is_told_everything_once_in_order_whenever_it_can_be() {
        let mut board = Board::default();
        let hop = || wrong(Kind::NextHopDown, "a.example", None);
        board.look(vec![disk(), hop()], at(0));
        board.look(vec![hop()], at(2));
        let mut heard = Vec::new();
        while let Some((news, alert)) = board.webhook_due(DAY, at(3)) {
            board.told(Channel::Webhook, &alert, at(3));
            heard.push((news, alert.id));
            assert!(heard.len() < 10);
        }
        assert_eq!(heard, [(News::Began, 2), (News::Ended, 1)]);
        // What changes while it is being told is told after it.
        let (_, before) = (board.look(vec![hop(), disk()], at(4)), board.clone());
        let (news, alert) = before
            .webhook_due(DAY, at(4))
            .unwrap_or_else(|| panic!("none"));
        assert_eq!((news, alert.id), (News::Began, 1));
        board.look(vec![hop()], at(6));
        board.told(Channel::Webhook, &alert, at(6));
        let next = board
            .webhook_due(DAY, at(6))
            .map(|(news, alert)| (news, alert.id));
        assert_eq!(next, Some((News::Ended, 1)));
    }

    #[test]
    fn what_goes_on_and_what_is_over_is_bounded() {
        let mut board = Board::default();
        for round in 0..3 {
            let many = (0..1_000).map(|n| wrong(Kind::BouncesHigh, &format!("{round}/{n}"), None));
            board.look(many.chain([disk()]).collect(), at(round * 2));
            let active = board.alerts().iter().filter(|alert| alert.ended.is_none());
            assert_eq!(active.count(), ACTIVE_MAX);
            board.look(vec![], at(round * 2 + 1));
            assert_eq!(board.alerts().len(), ENDED_MAX);
        }
        assert!(board.look(vec![], at(20_000)).is_empty() && board.alerts().is_empty());
    }

    #[test]
    fn news_that_nobody_could_be_told_are_not_told_later() {
        let mut board = Board::default();
        board.look(vec![disk()], at(0));
        board.look(vec![], at(1));
        board.nobody_to_tell(Channel::Mail, None, at(1));
        assert_eq!(letters(&mut board, at(2)), []);
        board.look(vec![disk()], at(3));
        assert_eq!(letters(&mut board, at(3)), [(None, vec![(News::Began, 1)])]);
    }
}
