//! The queue as a table, in the order in which it leaves.
//!
//! A line for each delivery. Where the terminal is too narrow for that, why it is where it is stands on a line below, and
//! where it is narrower still, whose it is and where it goes does too.

use super::text::{Table, cut};
use crate::admin::queue::{QueuePage, QueuedDelivery};
use crate::admin::selection::DeliveryStateName;
use crate::message::Class;
use crate::message::wording::printable;

/// How much of an address or a next hop a table shows.
const ADDRESS_CHARACTERS_MAX: usize = 30;

/// The columns before the last one.
const TITLES: [&str; 9] = [
    "#", "CLASS", "STATE", "ID", "FROM", "TO", "NEXT HOP", "SIZE", "STARTS",
];

/// Those of them that fit in 80 columns.
const FEW: [usize; 5] = [0, 1, 2, 3, 8];

/// The title of the last column.
const WHY: &str = "WHY";

/// Columns of the terminal, where standard output is one.
pub(super) fn columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    // A terminal that does not say has none.
    (size.ws_col > 0).then_some(size.ws_col.into())
}

/// The table of a page, or `nothing` when it has no rows.
pub(super) fn table(page: &QueuePage, nothing: &str, columns: Option<usize>) -> String {
    let mut titles = TITLES.to_vec();
    titles.push(WHY);
    let mut whole = Table::new(&titles);
    let mut narrow = Table::new(&TITLES);
    let mut few = Table::new(&FEW.map(|column| TITLES[column]));
    let (mut why, mut where_to) = (Vec::new(), Vec::new());
    for row in &page.deliveries {
        let mut cells = cells(row);
        narrow.row(cells.clone());
        few.row(FEW.map(|column| cells[column].clone()).to_vec());
        where_to.push(from_and_to(&cells));
        why.push(row.standing.standing.as_str());
        cells.push(row.standing.standing.clone());
        whole.row(cells);
    }
    let whole = whole.or(nothing);
    let fits = |table: &str| {
        columns.is_none_or(|columns| table.lines().all(|line| line.chars().count() <= columns))
    };
    if page.deliveries.is_empty() || fits(&whole) {
        return whole;
    }
    let narrow = narrow.or(nothing);
    match fits(&narrow) {
        true => with_lines_below(&narrow, |row| vec![why[row]]),
        false => with_lines_below(&few.or(nothing), |row| vec![&where_to[row], why[row]]),
    }
}

/// The table with more lines below each row.
fn with_lines_below<'a>(table: &str, of_row: impl Fn(usize) -> Vec<&'a str>) -> String {
    let mut lines = table.lines();
    let mut text = String::new();
    text.extend(lines.next().map(|titles| format!("{titles}\n")));
    for (row, line) in lines.enumerate() {
        text.push_str(line);
        text.push('\n');
        text.extend(
            of_row(row)
                .iter()
                .map(|line| format!("     {}\n", printable(line))),
        );
    }
    text
}

/// The columns that are not among [`FEW`], as a sentence has them.
fn from_and_to(cells: &[String]) -> String {
    let [.., from, to, next_hop, size, _] = cells else {
        return String::new();
    };
    format!("from {from} to {to} by {next_hop}, {size}")
}

fn cells(row: &QueuedDelivery) -> Vec<String> {
    let standing = &row.standing;
    let to = match row.recipients.as_slice() {
        [] => String::new(),
        [one] => cut(one, ADDRESS_CHARACTERS_MAX),
        [first, rest @ ..] => {
            format!("{} +{}", cut(first, ADDRESS_CHARACTERS_MAX), rest.len())
        }
    };
    let state = match (&standing.paused, row.state, &row.stopped) {
        (Some(_), ..) => "paused".to_owned(),
        (None, state, Some(_)) if state.is_waiting() => {
            format!("{}, stopped", state.name())
        }
        (None, state, _) => state.name().to_owned(),
    };
    let class = match standing.attempt_class {
        Some(sent_in) => format!("{}, then {}", class(sent_in), row.class),
        None => class(row.class),
    };
    vec![
        standing
            .position
            .map_or_else(|| "-".to_owned(), |number| number.to_string()),
        class,
        state,
        row.id.clone(),
        match row.sender.as_str() {
            "" => "<>".to_owned(),
            sender => cut(sender, ADDRESS_CHARACTERS_MAX),
        },
        to,
        cut(&row.next_hop, ADDRESS_CHARACTERS_MAX),
        match standing.octets_sent {
            Some(sent) => format!("{} of {}", size(sent), size(row.content_octets)),
            None => size(row.content_octets),
        },
        match (row.state, standing.estimate_seconds) {
            (DeliveryStateName::Active, _) => "under way".to_owned(),
            (_, Some(seconds)) => time(seconds),
            (_, None) => "-".to_owned(),
        },
    ]
}

/// `3 normal`
fn class(number: u8) -> String {
    match Class::from_number(number) {
        Some(class) => format!("{number} {class}"),
        None => number.to_string(),
    }
}

/// Octets in the unit that leaves few digits.
fn size(octets: u64) -> String {
    let mut size = octets as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if size < 999.5 {
            let digits = usize::from(unit != "B" && size < 9.95);
            return format!("{size:.digits$} {unit}");
        }
        size /= 1_000.0;
    }
    format!("{size:.1} TB")
}

/// Seconds in the unit that is fine enough for an estimate.
fn time(seconds: u64) -> String {
    match seconds {
        0 => "at once".to_owned(),
        1..=119 => format!("in {seconds} s"),
        120..=7_199 => format!("in {} min", seconds / 60),
        7_200..=172_799 => format!("in {} h", seconds / 3_600),
        _ => format!("in {} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::standing::{PauseDocument, StandingDocument};

    fn row(standing: StandingDocument) -> QueuedDelivery {
        QueuedDelivery {
            id: "01ABC".to_owned(),
            delivery: 0,
            next_hop: "b.example".to_owned(),
            list: "default".to_owned(),
            user: "app".to_owned(),
            class: 3,
            user_priority: 3,
            message_priority: None,
            state: DeliveryStateName::Active,
            subject: "Subject".to_owned(),
            campaign: None,
            sender: String::new(),
            recipients: vec!["x@b.example".to_owned(), "y@b.example".to_owned()],
            content_octets: 20_000_000,
            accepted: String::new(),
            due: String::new(),
            attempts: 0,
            last_reply: String::new(),
            stopped: None,
            standing,
        }
    }

    fn page() -> QueuePage {
        let paused = row(StandingDocument {
            paused: Some(PauseDocument {
                since_ms: 3_200,
                cause: "01DEF".to_owned(),
            }),
            octets_sent: Some(2_400_000),
            estimate_seconds: Some(0),
            standing: "paused for very-high message 01DEF for 3.2 s, 12 % sent".to_owned(),
            ..StandingDocument::default()
        });
        let waiting = QueuedDelivery {
            state: DeliveryStateName::Waiting,
            class: 1,
            content_octets: 940,
            recipients: vec!["z@c.example".to_owned()],
            sender: "app@a.example".to_owned(),
            ..row(StandingDocument {
                position: Some(17),
                estimate_seconds: Some(400),
                standing: "number 17 in line: 16 of its class are ahead".to_owned(),
                ..StandingDocument::default()
            })
        };
        QueuePage {
            deliveries: vec![paused, waiting],
            cursor: None,
            stops: Vec::new(),
        }
    }

    #[test]
    fn a_line_says_place_progress_and_why() {
        assert_eq!(
            table(&page(), "nothing", None),
            "#   CLASS        STATE    ID     FROM           TO              NEXT HOP   SIZE             STARTS     WHY\n\
             -   3 normal     paused   01ABC  <>             x@b.example +1  b.example  2.4 MB of 20 MB  under way  \
             paused for very-high message 01DEF for 3.2 s, 12 % sent\n\
             17  1 very high  waiting  01ABC  app@a.example  z@c.example     b.example  940 B            in 6 min   \
             number 17 in line: 16 of its class are ahead\n"
        );
    }

    #[test]
    fn what_is_under_way_says_so_before_its_content_has_begun() {
        let begun = row(StandingDocument {
            estimate_seconds: Some(0),
            ..StandingDocument::default()
        });
        let waits = QueuedDelivery {
            state: DeliveryStateName::Waiting,
            ..begun.clone()
        };
        assert_eq!(
            [begun, waits].map(|row| cells(&row)[8].clone()),
            ["under way", "at once"]
        );
    }

    #[test]
    fn what_is_under_way_stands_in_the_class_that_it_is_sent_in() {
        let changed = row(StandingDocument {
            attempt_class: Some(4),
            ..StandingDocument::default()
        });
        assert_eq!(cells(&changed)[1], "4 low, then 3");
    }

    #[test]
    fn on_a_narrow_terminal_the_reason_stands_below() {
        let text = table(&page(), "nothing", Some(130));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5, "{text}");
        assert_eq!(
            lines[2],
            "     paused for very-high message 01DEF for 3.2 s, 12 % sent"
        );
        assert!(lines.iter().all(|line| line.chars().count() <= 130));
        assert_eq!(
            table(&page(), "nothing", Some(80)),
            "#   CLASS        STATE    ID     STARTS\n\
             -   3 normal     paused   01ABC  under way\n     \
             from <> to x@b.example +1 by b.example, 2.4 MB of 20 MB\n     \
             paused for very-high message 01DEF for 3.2 s, 12 % sent\n\
             17  1 very high  waiting  01ABC  in 6 min\n     \
             from app@a.example to z@c.example by b.example, 940 B\n     \
             number 17 in line: 16 of its class are ahead\n"
        );
        let none = QueuePage {
            deliveries: Vec::new(),
            cursor: None,
            stops: Vec::new(),
        };
        assert_eq!(
            table(&none, "nothing is queued", Some(10)),
            "nothing is queued\n"
        );
    }

    #[test]
    fn sizes_and_times_have_few_digits() {
        let sizes = [
            0,
            999,
            1_000,
            9_949,
            12_345,
            999_499,
            999_500,
            7_600_000_000,
        ]
        .map(size);
        assert_eq!(
            sizes,
            [
                "0 B", "999 B", "1.0 kB", "9.9 kB", "12 kB", "999 kB", "1.0 MB", "7.6 GB"
            ]
        );
        let times = [0, 1, 119, 120, 7_200, 200_000].map(time);
        assert_eq!(
            times,
            [
                "at once", "in 1 s", "in 119 s", "in 2 min", "in 2 h", "in 2 d"
            ]
        );
    }
}
