//! Letters: what a channel says of alerts, in words.

use super::board::{Alert, News};
use crate::message::own::{ascii, wrapped};

/// Longest subject in octets.
const SUBJECT_OCTETS_MAX: usize = 150;

/// What is told, and by whom.
#[derive(Clone, Copy, Debug)]
pub struct Letter<'a> {
    /// The name of the relay.
    pub hostname: &'a str,
    /// What is new first; never empty.
    pub news: &'a [(News, Alert)],
}

impl Letter<'_> {
    /// In US-ASCII, on one line.
    pub fn subject(&self) -> String {
        let new = |news: News| self.news.iter().filter(move |(of, _)| *of == news);
        let first = new(News::Began).chain(new(News::Ended)).chain(self.news);
        let mut first = first.map(|(news, alert)| subject_of(*news, alert));
        let first = first.next().unwrap_or_default();
        let others = match self.news.len() {
            0 | 1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        let mut subject = ascii(&format!("[{}] {first}", self.hostname));
        subject.truncate(SUBJECT_OCTETS_MAX);
        subject + &others
    }

    /// In US-ASCII, in lines.
    pub fn body(&self) -> String {
        let mut body = String::new();
        for (news, heading) in [
            (News::Began, "New"),
            (News::Ended, "Ended"),
            (News::Continues, "Continues"),
        ] {
            let of_it: Vec<&Alert> = self
                .news
                .iter()
                .filter(|(of, _)| *of == news)
                .map(|(_, alert)| alert)
                .collect();
            if of_it.is_empty() {
                continue;
            }
            body.push_str(&format!("{heading}:\n\n"));
            for alert in of_it {
                body.push_str(&paragraph(alert));
                body.push('\n');
            }
        }
        let closing = format!(
            "On the relay {}, `outpost alert ls` lists active alerts, and so does the page Alerts of the console. \
             `outpost alert acknowledge NUMBER` acknowledges one, and nobody is reminded of it.",
            self.hostname
        );
        body.push_str(&wrapped(&closing, ""));
        body
    }
}

/// What has become of an alert, on one line: `Disk low`, `Ended: next hop down (mx.example)`.
pub fn subject_of(news: News, alert: &Alert) -> String {
    let condition = &alert.condition;
    let kind = condition.kind.name().replace('-', " ");
    let of = match condition.subject.as_str() {
        "" => String::new(),
        subject => format!(" ({subject})"),
    };
    match news {
        News::Began => format!("Alert: {kind}{of}"),
        News::Continues => format!("Continues: {kind}{of}"),
        News::Ended => format!("Ended: {kind}{of}"),
    }
}

fn paragraph(alert: &Alert) -> String {
    let condition = &alert.condition;
    let mut text = wrapped(&ascii(&condition.text), "  ");
    let until = match alert.ended {
        Some(ended) => format!(
            "From {} until {}",
            alert.began.to_rfc5322(),
            ended.to_rfc5322()
        ),
        None => format!("Since {}", alert.began.to_rfc5322()),
    };
    let known = match &alert.acknowledged {
        Some(known) => format!("; acknowledged by {}", known.by),
        None => String::new(),
    };
    let about = format!(
        "({}, number {}, {}. {until}{known}.)",
        condition.kind,
        alert.id,
        condition.severity.name()
    );
    text.push_str(&wrapped(&ascii(&about), "  "));
    text
}

#[cfg(test)]
mod tests {
    use super::super::{Board, Condition, Kind, Severity};
    use super::*;
    use crate::message::Timestamp;

    fn news(texts: &[&str]) -> Vec<(News, Alert)> {
        let conditions = texts.iter().enumerate().map(|(n, text)| Condition {
            kind: Kind::NextHopDown,
            subject: format!("h{n}.example"),
            list: None,
            severity: Severity::Warning,
            text: (*text).to_owned(),
            value: None,
            limit: None,
        });
        let now = Timestamp::from_unix_milliseconds(1_700_000_000_000);
        Board::default().look(conditions.collect(), now)
    }

    #[test]
    fn a_letter_says_what_is_new_what_is_over_and_what_goes_on() {
        let mut news = news(&["It hangs.", "It is back.", "It is still so."]);
        news[1].0 = News::Ended;
        news[2].0 = News::Continues;
        let letter = Letter {
            hostname: "relay.example",
            news: &news,
        };
        assert_eq!(
            letter.subject(),
            "[relay.example] Alert: next hop down (h0.example) and 2 more"
        );
        let body = letter.body();
        let expected = "New:\n\n  It hangs.\n  (next-hop-down, number 1, warning. Since Tue, 14 Nov 2023 22:13:20 +0000.)\n\n\
                        Ended:\n\n  It is back.\n";
        assert!(body.starts_with(expected), "{body}");
        assert!(body.contains("\nContinues:\n\n  It is still so.\n"));
    }

    #[test]
    fn what_others_wrote_makes_no_header_and_no_long_line() {
        let hostile = format!(
            "\u{202e}\r\nBcc: x@a.example\r\n\r\n{}",
            "\u{f6}".repeat(5_000)
        );
        let mut news = news(&[&hostile]);
        news[0].1.condition.subject.clone_from(&hostile);
        let letter = Letter {
            hostname: "relay.example",
            news: &news,
        };
        let (subject, body) = (letter.subject(), letter.body());
        assert!(subject.is_ascii() && !subject.contains(['\r', '\n']) && subject.len() < 200);
        assert!(body.is_ascii() && !body.contains('\r'));
        assert!(body.lines().all(|line| line.len() < 80), "{body}");
    }
}
