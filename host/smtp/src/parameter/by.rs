//! BY: within which time a message is to be delivered (RFC 2852 §4).

use std::fmt;

/// Most digits of the time (RFC 2852 §4).
const DIGITS_MAX: usize = 9;

/// Within which time a message is to be delivered, and what follows when it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct By {
    /// Seconds from when the command was given. It may be over already, unless the message is to be
    /// returned then.
    pub seconds: i32,
    /// What follows.
    pub mode: ByMode,
    /// Whether the sender wants to hear of each relay that takes it on.
    pub trace: bool,
}

/// What is done when a message cannot be delivered by the time that its sender gave (RFC 2852 §4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ByMode {
    /// Delivery goes on, and the sender is told.
    Notify,
    /// It is returned.
    Return,
}

impl By {
    /// `by-time ";" by-mode [by-trace]`. Nothing is returned for a time that is over already.
    pub(super) fn parse(value: &str) -> Option<By> {
        let (time, rest) = value.split_once(';')?;
        let digits = time.strip_prefix(['+', '-']).unwrap_or(time);
        let is_number = (1..=DIGITS_MAX).contains(&digits.len())
            && digits.bytes().all(|digit| digit.is_ascii_digit());
        let seconds: i32 = is_number.then(|| time.parse().ok()).flatten()?;
        let (mode, trace) = match rest.to_ascii_uppercase().as_str() {
            "N" => (ByMode::Notify, false),
            "NT" => (ByMode::Notify, true),
            "R" => (ByMode::Return, false),
            "RT" => (ByMode::Return, true),
            _ => return None,
        };
        let is_sound = mode == ByMode::Notify || seconds > 0;
        is_sound.then_some(By {
            seconds,
            mode,
            trace,
        })
    }
}

/// The value of BY.
impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = match self.mode {
            ByMode::Notify => 'N',
            ByMode::Return => 'R',
        };
        let trace = if self.trace { "T" } else { "" };
        write!(f, "{};{mode}{trace}", self.seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_mode_and_perhaps_a_trace() {
        for (text, seconds, mode, trace) in [
            ("120;R", 120, ByMode::Return, false),
            ("60;rt", 60, ByMode::Return, true),
            ("+7;NT", 7, ByMode::Notify, true),
            ("-5;n", -5, ByMode::Notify, false),
            ("0;N", 0, ByMode::Notify, false),
            ("-999999999;N", -999_999_999, ByMode::Notify, false),
            ("000000001;R", 1, ByMode::Return, false),
        ] {
            let by = By {
                seconds,
                mode,
                trace,
            };
            assert_eq!(By::parse(text), Some(by), "{text}");
            assert_eq!(By::parse(&by.to_string()), Some(by), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_or_no_mode_is_not_guessed_at() {
        for text in [
            "",
            ";",
            "120",
            "120;",
            "120;T",
            "120;TR",
            "120;X",
            "120;RN",
            "120; R",
            ";R",
            "-;N",
            "+;N",
            "+-1;N",
            "1.5;R",
            "1e3;R",
            "0;R",
            "-5;R",
            "-0;R",
            "1000000000;R",
            "120;R;T",
        ] {
            assert_eq!(By::parse(text), None, "{text}");
        }
    }
}
