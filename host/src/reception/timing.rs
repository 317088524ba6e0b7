//! When a message is to be sent, and by when it is to be delivered: what MAIL and the header ask for.
//!
//! MAIL comes before the header (RFC 4865, then the `Schedule` of X-SMTPAPI). A time that is over means now; one that is
//! too far ahead is refused, since what was to wait must not go at once. Time is an argument.

use std::time::Duration;

use outpost_smtp::{By, Hold, MailParameters, Reply};

use super::replies;
use crate::message::header::{Fields, RequestedTime, repeated_time, requested_time};
use crate::message::{DeliverBy, Event, Timestamp};

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Timing {
    /// Not to be sent before this; none: at once.
    pub scheduled: Option<Timestamp>,
    /// By when it is to be delivered.
    pub deliver_by: Option<DeliverBy>,
    /// The time was over when it came, so that nobody is told of that by us: who handed it to us knows (RFC 2852 §4).
    pub is_late_already: bool,
    /// What the trail tells of it.
    pub events: Vec<Event>,
}

/// When a message is released that MAIL wants to be held, counted from when MAIL came; none when it is not ahead.
pub(super) fn held_until(hold: Option<Hold>, mail: Timestamp) -> Option<Timestamp> {
    let until = Timestamp::EPOCH.plus(hold?.release(mail.since(Timestamp::EPOCH)));
    (until > mail).then_some(until)
}

/// Reads what a message asks for whose MAIL came at `mail`, and whose content has come `now`. It may wait for as
/// long as `longest`.
///
/// # Errors
/// The reply, when the header wants it to wait for longer, or until behind the time by which it is to be delivered.
pub(super) fn timing(
    parameters: &MailParameters,
    fields: &Fields<'_>,
    longest: Duration,
    mail: Timestamp,
    now: Timestamp,
) -> Result<Timing, Reply> {
    let mut events = Vec::new();
    let scheduled = match (parameters.hold, requested_time(fields)) {
        (None, None) => None,
        (_, Some(RequestedTime::Malformed)) => {
            let carrier = API.to_owned();
            events.push(Event::MalformedSchedule { carrier });
            parameters.hold.map(|hold| (hold_name(hold), hold))
        }
        (Some(hold), None) => Some((hold_name(hold), hold)),
        (Some(hold), Some(RequestedTime::At(asked))) => {
            if held_until(Some(hold), mail) != (asked > mail).then_some(asked) {
                events.push(Event::Overruled {
                    carrier: API.to_owned(),
                    asked: asked.to_string(),
                    by: hold_name(hold).to_owned(),
                });
            }
            Some((hold_name(hold), hold))
        }
        (None, Some(RequestedTime::At(asked))) => {
            if asked.since(now) > longest {
                return Err(replies::held_too_long(longest));
            }
            let hold = Hold::Until(asked.since(Timestamp::EPOCH));
            let is_ahead = asked > now;
            let is_beyond = |by| is_ahead && hold.is_beyond(by, mail.since(Timestamp::EPOCH));
            // As RFC 4865 §5.2.2 has it for MAIL.
            if parameters.by.is_some_and(is_beyond) {
                return Err(replies::held_too_late());
            }
            Some((API, hold))
        }
    };
    events.extend(repeated_time(fields).map(|asked| Event::Overruled {
        carrier: API.to_owned(),
        asked: asked.to_string(),
        by: API.to_owned(),
    }));
    let scheduled =
        scheduled.and_then(|(carrier, hold)| Some((carrier, held_until(Some(hold), mail)?)));
    let scheduled = scheduled.filter(|(_, until)| *until > now);
    events.extend(scheduled.map(|(carrier, until)| Event::Scheduled {
        until,
        carrier: carrier.to_owned(),
    }));
    let scheduled = scheduled.map(|(_, until)| until);
    Ok(Timing {
        scheduled,
        deliver_by: parameters.by.map(|by| deliver_by(by, mail)),
        is_late_already: parameters.by.is_some_and(|by| by.seconds <= 0),
        events,
    })
}

/// The carrier of a schedule in the header.
const API: &str = "X-SMTPAPI";

fn hold_name(hold: Hold) -> &'static str {
    match hold {
        Hold::For(_) => "HOLDFOR",
        Hold::Until(_) => "HOLDUNTIL",
    }
}

fn deliver_by(by: By, from: Timestamp) -> DeliverBy {
    let distance = Duration::from_secs(by.seconds.unsigned_abs().into());
    let until = match by.seconds >= 0 {
        true => from.plus(distance),
        false => {
            let since_epoch = from.since(Timestamp::EPOCH);
            Timestamp::EPOCH.plus(since_epoch.saturating_sub(distance))
        }
    };
    DeliverBy {
        until,
        mode: by.mode,
        trace: by.trace,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use outpost_smtp::ByMode;

    use super::*;

    const MAIL: Timestamp = Timestamp::from_unix_milliseconds(1_700_000_000_000);
    const LONGEST: Duration = Duration::from_secs(1_000);

    fn after(seconds: u64) -> Timestamp {
        MAIL.plus(Duration::from_secs(seconds))
    }

    /// What comes of these parameters and this `Schedule`, ten seconds behind MAIL.
    fn asked(parameters: &str, schedule: &str) -> Result<Timing, Reply> {
        let section = format!("X-SMTPAPI: {{\"Schedule\": {schedule}}}\r\n");
        let parameters = MailParameters::parse(parameters).unwrap();
        let fields = Fields::parse(section.as_bytes()).unwrap();
        timing(&parameters, &fields, LONGEST, MAIL, after(10))
    }

    fn scheduled(until: Timestamp, carrier: &str) -> Event {
        Event::Scheduled {
            until,
            carrier: carrier.to_owned(),
        }
    }

    fn overruled(asked: Timestamp, by: &str) -> Event {
        Event::Overruled {
            carrier: "X-SMTPAPI".to_owned(),
            asked: asked.to_string(),
            by: by.to_owned(),
        }
    }

    #[test]
    fn the_first_of_two_schedules_counts_and_the_other_one_is_noted() {
        let unix = |seconds: u64| MAIL.unix_milliseconds() / 1_000 + seconds;
        for (second, noted) in [(120, Some(after(120))), (60, None)] {
            let section = format!(
                "X-SMTPAPI: {{\"Schedule\": {}}}\r\nX-SMTPAPI: {{}}\r\nX-SMTPAPI: {{\"Schedule\": {}}}\r\n",
                unix(60),
                unix(second)
            );
            let fields = Fields::parse(section.as_bytes()).unwrap();
            let parameters = MailParameters::default();
            let timing = timing(&parameters, &fields, LONGEST, MAIL, after(10)).unwrap();
            assert_eq!(timing.scheduled, Some(after(60)));
            let noted = noted.map(|asked| overruled(asked, API));
            let expected: Vec<_> = noted
                .into_iter()
                .chain([scheduled(after(60), API)])
                .collect();
            assert_eq!(timing.events, expected);
        }
    }

    #[test]
    fn a_message_waits_for_what_mail_says_or_else_for_what_its_header_says() {
        let malformed = || Event::MalformedSchedule {
            carrier: "X-SMTPAPI".to_owned(),
        };
        let unix = |seconds: u64| (MAIL.unix_milliseconds() / 1_000 + seconds).to_string();
        for (parameters, schedule, expected, events) in [
            ("", "null".to_owned(), None, vec![]),
            (
                "",
                unix(60),
                Some(after(60)),
                vec![scheduled(after(60), "X-SMTPAPI")],
            ),
            (
                "",
                unix(1_010),
                Some(after(1_010)),
                vec![scheduled(after(1_010), "X-SMTPAPI")],
            ),
            // Over by now: it goes.
            ("", unix(10), None, vec![]),
            ("", "0".to_owned(), None, vec![]),
            ("", "\"soon\"".to_owned(), None, vec![malformed()]),
            (
                "HOLDFOR=60",
                "\"soon\"".to_owned(),
                Some(after(60)),
                vec![malformed(), scheduled(after(60), "HOLDFOR")],
            ),
            (
                "HOLDFOR=60",
                "null".to_owned(),
                Some(after(60)),
                vec![scheduled(after(60), "HOLDFOR")],
            ),
            ("HOLDFOR=5", "null".to_owned(), None, vec![]),
            (
                "HOLDUNTIL=2023-11-14T22:14:20Z",
                "null".to_owned(),
                Some(after(60)),
                vec![scheduled(after(60), "HOLDUNTIL")],
            ),
            (
                "HOLDUNTIL=2020-01-01T00:00:00Z",
                "null".to_owned(),
                None,
                vec![],
            ),
            // MAIL comes first, whatever it says.
            (
                "HOLDFOR=60",
                unix(120),
                Some(after(60)),
                vec![
                    overruled(after(120), "HOLDFOR"),
                    scheduled(after(60), "HOLDFOR"),
                ],
            ),
            (
                "HOLDUNTIL=2020-01-01T00:00:00Z",
                unix(9_999),
                None,
                vec![overruled(after(9_999), "HOLDUNTIL")],
            ),
            (
                "HOLDFOR=60",
                unix(60),
                Some(after(60)),
                vec![scheduled(after(60), "HOLDFOR")],
            ),
        ] {
            let timing = asked(parameters, &schedule).unwrap();
            assert_eq!(timing.scheduled, expected, "{parameters} {schedule}");
            assert_eq!(timing.events, events, "{parameters} {schedule}");
        }
    }

    #[test]
    fn a_header_that_wants_to_wait_for_too_long_is_refused() {
        let far = (MAIL.unix_milliseconds() / 1_000 + 1_011).to_string();
        let refusal = asked("", &far).unwrap_err();
        assert_eq!(refusal, replies::held_too_long(LONGEST));
        assert!(refusal.is_permanent());
        for far in [
            "\"9999-12-31T23:59:59Z\"",
            "99999999999999999999999",
            "1e400",
        ] {
            assert_eq!(asked("", far).unwrap_err(), refusal, "{far}");
        }
    }

    #[test]
    fn a_header_that_wants_to_wait_until_behind_the_deadline_is_refused() {
        let unix = |seconds: u64| (MAIL.unix_milliseconds() / 1_000 + seconds).to_string();
        for parameters in ["BY=60;R", "BY=60;N", "BY=-5;N"] {
            let refusal = asked(parameters, &unix(61)).unwrap_err();
            assert_eq!(refusal, replies::held_too_late());
        }
        assert!(asked("BY=60;R", &unix(60)).is_err(), "nothing is left");
        for (parameters, seconds) in [("BY=61;R", 60), ("BY=60;N", 60)] {
            let timing = asked(parameters, &unix(seconds)).unwrap();
            assert_eq!(timing.scheduled, Some(after(seconds)));
        }
        // Over by now: it goes.
        assert_eq!(asked("BY=5;N", &unix(9)).unwrap().scheduled, None);
        // MAIL comes before it.
        assert!(asked("BY=60;R HOLDFOR=50", &unix(61)).is_ok());
    }

    #[test]
    fn a_deadline_counts_from_mail_also_where_the_message_is_held() {
        for (parameters, until, mode, is_late_already) in [
            ("BY=120;R", after(120), ByMode::Return, false),
            ("BY=120;N HOLDFOR=60", after(120), ByMode::Notify, false),
            ("BY=120;N HOLDFOR=5", after(120), ByMode::Notify, false),
            ("BY=0;N", after(0), ByMode::Notify, true),
            (
                "BY=-60;N",
                Timestamp::from_unix_milliseconds(1_699_999_940_000),
                ByMode::Notify,
                true,
            ),
        ] {
            let timing = asked(parameters, "null").unwrap();
            let by = timing.deliver_by.unwrap();
            assert_eq!((by.until, by.mode), (until, mode), "{parameters}");
            assert_eq!(timing.is_late_already, is_late_already);
        }
        assert!(asked("BY=1;RT", "null").unwrap().deliver_by.unwrap().trace);
        assert_eq!(asked("", "null").unwrap().deliver_by, None);
    }
}
