//! The older text form of the metrics (version 0.0.4), which whoever does not ask for OpenMetrics expects:
//! browsers show it, and every tool that reads metrics can.
//!
//! The two differ in little. Here a counter is described under the name that its values have, and no line
//! says that it is the last one.

use std::collections::HashSet;

use prometheus_client::registry::Registry;

use super::exposition;

/// The registry in the text form of Prometheus before OpenMetrics.
pub fn plain_exposition(registry: &Registry) -> String {
    plain(&exposition(registry))
}

fn plain(openmetrics: &str) -> String {
    let counters: HashSet<&str> = openmetrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut plain = String::with_capacity(openmetrics.len());
    for line in openmetrics.lines() {
        let Some(comment) = line.strip_prefix("# ") else {
            plain.extend([line, "\n"]);
            continue;
        };
        let mut words = comment.splitn(3, ' ');
        let said = (words.next(), words.next(), words.next());
        if let (Some(kind @ ("HELP" | "TYPE")), Some(name), Some(rest)) = said {
            let end = if counters.contains(name) {
                "_total"
            } else {
                ""
            };
            plain.extend(["# ", kind, " ", name, end, " ", rest, "\n"]);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_described_under_the_name_of_their_values() {
        assert_eq!(
            plain(
                "# HELP outpost_x X, in all.\n# TYPE outpost_x counter\noutpost_x_total{a=\"# b\"} 7\n\
                 # HELP outpost_y_seconds Y.\n# TYPE outpost_y_seconds histogram\n\
                 # UNIT outpost_y_seconds seconds\noutpost_y_seconds_sum 0.5\n\
                 # HELP outpost_z Z.\n# TYPE outpost_z gauge\noutpost_z -1\n# EOF\n"
            ),
            "# HELP outpost_x_total X, in all.\n# TYPE outpost_x_total counter\noutpost_x_total{a=\"# b\"} 7\n\
             # HELP outpost_y_seconds Y.\n# TYPE outpost_y_seconds histogram\noutpost_y_seconds_sum 0.5\n\
             # HELP outpost_z Z.\n# TYPE outpost_z gauge\noutpost_z -1\n"
        );
    }
}
