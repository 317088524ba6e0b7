//! Statistics as people read them: a table, and the total below it.

use super::super::text::Table;
use super::more;
use crate::admin::statistics::{Figures, StatisticsDocument, StatisticsRow};
use crate::message::Class;

/// Titles of figures, behind what there is a row for.
const FIGURES: [&str; 11] = [
    "ACCEPTED", "SENT", "DEFERRED", "BOUNCED", "EXPIRED", "REMOVED", "REFUSED", "QUEUED", "P50",
    "P90", "P99",
];

/// The table.
pub(super) fn statistics(document: &StatisticsDocument) -> String {
    let by = document.by.iter().map(|by| title(by));
    let mut titles: Vec<&'static str> = by.collect();
    if titles.is_empty() {
        titles.push("");
    }
    titles.extend(FIGURES);
    let mut table = Table::new(&titles);
    for row in &document.rows {
        let names = document.by.iter().map(|by| name(row, by));
        table.row(names.chain(figures(&row.figures)).collect());
    }
    let mut total = vec![String::new(); document.by.len().max(1)];
    total[0] = "total".to_owned();
    total.extend(figures(&document.total));
    table.row(total);
    let mut text = format!("{} to {}\n", document.since, document.until);
    text.push_str(&table.or("nothing"));
    more(&mut text, document.cursor.as_deref());
    text
}

fn title(by: &str) -> &'static str {
    match by {
        "hour" | "day" => "FROM",
        "class" => "CLASS",
        "list" => "LIST",
        "user" => "USER",
        "destination" => "DESTINATION",
        "campaign" => "CAMPAIGN",
        _ => "",
    }
}

fn name(row: &StatisticsRow, by: &str) -> String {
    let name = match by {
        // To the minute: an hour and a day begin with one.
        "hour" => row
            .at
            .as_ref()
            .and_then(|at| at.get(..16))
            .map(str::to_owned),
        "day" => row
            .at
            .as_ref()
            .and_then(|at| at.get(..10))
            .map(str::to_owned),
        "class" => row.class.map(class),
        "list" => row.list.clone(),
        "user" => row.user.clone(),
        "destination" => row.destination.clone(),
        "campaign" => row.campaign.clone(),
        _ => None,
    };
    name.unwrap_or_else(|| "-".to_owned())
}

/// `3 normal`
fn class(number: u8) -> String {
    match Class::from_number(number) {
        Some(class) => format!("{number} {class}"),
        None => number.to_string(),
    }
}

fn figures(figures: &Figures) -> impl Iterator<Item = String> {
    let took = figures.latency.map_or([None; 3], |latency| {
        [latency.p50_ms, latency.p90_ms, latency.p99_ms].map(Some)
    });
    [
        Some(figures.accepted),
        Some(figures.sent),
        Some(figures.deferred),
        Some(figures.bounced),
        Some(figures.expired),
        Some(figures.removed),
        Some(figures.refused),
        figures.queued,
    ]
    .into_iter()
    .map(|figure| figure.map_or_else(|| "-".to_owned(), |figure| figure.to_string()))
    .chain(
        took.into_iter()
            .map(|took| took.map_or_else(|| "-".to_owned(), time)),
    )
}

/// Milliseconds in the unit that leaves few digits.
fn time(milliseconds: u64) -> String {
    match milliseconds {
        0..=999 => format!("{milliseconds} ms"),
        1_000..=119_999 => format!("{}.{} s", milliseconds / 1_000, milliseconds % 1_000 / 100),
        120_000..=7_199_999 => format!("{} min", milliseconds / 60_000),
        _ => format!("{} h", milliseconds / 3_600_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_a_unit_of_its_size() {
        for (milliseconds, text) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_234, "1.2 s"),
            (119_999, "119.9 s"),
            (120_000, "2 min"),
            (7_200_000, "2 h"),
        ] {
            assert_eq!(time(milliseconds), text);
        }
    }
}
