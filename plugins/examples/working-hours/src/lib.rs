//! Mail of the office hours first: outside of them, what is not urgent waits behind the rest.
//!
//! Between `open` and `close` (`HH:MM`, by default 08:00 and 18:00) on the days from `days`
//! (`1-5`, Monday is 1) it has no opinion. At other times a message whose user has priority normal
//! or less gets the priority `closed` (1 to 5, by default 5). What a mail program asks for is for
//! the next component in the chain to weigh. A span over midnight works: 22:00 to 06:00.

use outpost_sdk::{
    Placement, Policy, Priority, Problem, Transaction, clock, config, place, register,
};

/// The policy.
pub struct WorkingHours;

impl Policy for WorkingHours {
    fn place(tx: &Transaction) -> Option<Placement> {
        // Settings were checked when the component was deployed; should one be wrong all the same,
        // there is no opinion.
        let hours = Hours::from_settings().ok()?;
        let user = tx.account()?.priority;
        if user < Priority::Normal || hours.are_open(clock::local()) {
            return None;
        }
        Some(place(
            hours.closed,
            "working-hours",
            "outside of the working hours",
        ))
    }

    fn check_config() -> Result<(), Vec<Problem>> {
        Hours::from_settings().map(drop)
    }
}

/// When the office is open, and how urgent things are when it is not.
struct Hours {
    open: u16,
    close: u16,
    first_day: u8,
    last_day: u8,
    closed: Priority,
}

impl Hours {
    fn from_settings() -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let known = ["close", "closed", "days", "open"];
        for key in config::keys()
            .into_iter()
            .filter(|key| !known.contains(&key.as_str()))
        {
            problems.push(Problem::new(
                key,
                "is not a setting; known are open, close, days, closed",
            ));
        }
        let mut time = |key: &str, default: u16| match config::value(key) {
            None => default,
            Some(text) => minute_of_day(&text).unwrap_or_else(|| {
                problems.push(Problem::new(key, "must be a time of day such as 08:00"));
                default
            }),
        };
        let (open, close) = (time("open", 8 * 60), time("close", 18 * 60));
        let days = config::value("days").map_or(Some((1, 5)), |text| span_of_days(&text));
        let (first_day, last_day) = days.unwrap_or_else(|| {
            problems.push(Problem::new(
                "days",
                "must be two weekdays such as 1-5, Monday is 1",
            ));
            (1, 5)
        });
        let closed = config::value("closed").map_or(Some(Priority::VeryLow), |text| {
            Priority::from_number(text.parse().ok()?)
        });
        let closed = closed.unwrap_or_else(|| {
            problems.push(Problem::new("closed", "must be a priority from 1 to 5"));
            Priority::VeryLow
        });
        if problems.is_empty() {
            Ok(Self {
                open,
                close,
                first_day,
                last_day,
                closed,
            })
        } else {
            Err(problems)
        }
    }

    fn are_open(&self, now: clock::LocalTime) -> bool {
        let on_day = (self.first_day..=self.last_day).contains(&now.weekday);
        let minute = now.minute_of_day;
        let in_time = if self.open <= self.close {
            (self.open..self.close).contains(&minute)
        } else {
            minute >= self.open || minute < self.close
        };
        on_day && in_time
    }
}

/// `HH:MM` in minutes since midnight.
fn minute_of_day(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let two_digits =
        |text: &str| text.len() == 2 && text.bytes().all(|digit| digit.is_ascii_digit());
    if !two_digits(hour) || !two_digits(minute) {
        return None;
    }
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    (hour < 24 && minute < 60).then_some(hour * 60 + minute)
}

/// `1-5` as two ISO weekdays.
fn span_of_days(text: &str) -> Option<(u8, u8)> {
    let (first, last) = text.split_once('-')?;
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (1 <= first && first <= last && last <= 7).then_some((first, last))
}

register!(prioritizer: WorkingHours);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use outpost_sdk::testing::{self, Relay};

    fn placed(user: Priority) -> Option<u8> {
        let tx = testing::Transaction::builder().user_priority(user).build();
        let placement = WorkingHours::place(&tx)?;
        testing::assert_valid(&placement);
        Some(placement.priority.number())
    }

    #[test]
    fn inside_the_hours_there_is_no_opinion_and_outside_the_rest_waits() {
        let check = |hour: u16, minute: u16, weekday: u8, expected: Option<u8>| {
            let _relay = Relay::new().local(hour * 60 + minute, weekday);
            assert_eq!(
                placed(Priority::Normal),
                expected,
                "{hour}:{minute} on day {weekday}"
            );
        };
        check(7, 59, 1, Some(5));
        check(8, 0, 1, None);
        check(17, 59, 5, None);
        check(18, 0, 5, Some(5));
        check(12, 0, 6, Some(5));
        check(12, 0, 7, Some(5));
    }

    #[test]
    fn urgent_users_are_left_alone() {
        let _relay = Relay::new().local(0, 7).setting("closed", "4");
        let expected = [None, None, Some(4), Some(4), Some(4)];
        assert_eq!(Priority::ALL.map(placed), expected);
    }

    #[test]
    fn a_span_over_midnight_works() {
        let check = |minute: u16, expected: Option<u8>| {
            let relay = Relay::new()
                .setting("open", "22:00")
                .setting("close", "06:00");
            let _relay = relay.local(minute, 1);
            assert_eq!(placed(Priority::Low), expected, "{minute}");
        };
        check(22 * 60, None);
        check(5 * 60 + 59, None);
        check(6 * 60, Some(5));
        check(12 * 60, Some(5));
    }

    #[test]
    fn all_wrong_settings_are_named_at_once() {
        let _relay = Relay::new()
            .setting("open", "8:00")
            .setting("close", "24:00")
            .setting("days", "5-1")
            .setting("closed", "6")
            .setting("closing", "18:00");
        let problems = WorkingHours::check_config().unwrap_err();
        let keys: Vec<&str> = problems
            .iter()
            .map(|problem| problem.key.as_str())
            .collect();
        assert_eq!(keys, ["closing", "open", "close", "days", "closed"]);
        assert_eq!(placed(Priority::Normal), None);
    }

    #[test]
    fn no_setting_and_right_settings_are_fine() {
        let relay = Relay::new();
        assert_eq!(WorkingHours::check_config(), Ok(()));
        let _relay = relay
            .setting("open", "00:00")
            .setting("close", "23:59")
            .setting("days", "1-7");
        assert_eq!(WorkingHours::check_config(), Ok(()));
    }
}
