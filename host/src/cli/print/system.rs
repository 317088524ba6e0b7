//! What runs there and how it does, as `outpost system` prints it.

use crate::admin::connection::Certificate;
use crate::admin::system::SystemDocument;
use crate::cli::text::facts;
use crate::message::wording::printable;

const GIB: f64 = (1_u64 << 30) as f64;

pub(super) fn system(system: &SystemDocument) -> String {
    let state = match system.ready {
        true => "ready: it takes mail".to_owned(),
        false => {
            let reasons = system.reasons.iter();
            let told =
                reasons.map(|reason| format!("not ready: {}: {}", reason.part, reason.reason));
            told.collect::<Vec<_>>().join("\n")
        }
    };
    let disk = system.disk.as_ref().map_or_else(
        || "unknown".to_owned(),
        |disk| {
            let gib = |octets: u64| octets as f64 / GIB;
            let (free, total) = (gib(disk.free_octets), gib(disk.total_octets));
            format!("{free:.1} of {total:.1} GiB free")
        },
    );
    let certificate = system.certificate.as_ref().map_or_else(
        || "cannot be read".to_owned(),
        |certificate| {
            let source = match certificate.source {
                Certificate::SelfSigned => "self-signed",
                Certificate::Configured => "configured",
            };
            format!(
                "{source}, for {}, until {} ({} days)",
                certificate.names.join(", "),
                certificate.not_after,
                certificate.days_left
            )
        },
    );
    let mut text = facts(&[
        ("relay", system.hostname.clone()),
        ("release", system.version.clone()),
        (
            "running",
            format!(
                "since {}, {}",
                system.started,
                lasted(system.uptime_seconds)
            ),
        ),
        ("state", state),
        ("disk", disk),
        ("certificate", certificate),
    ]);
    if let Some(configuration) = &system.configuration {
        text.push_str("\nThe configuration in force, without its secrets:\n\n");
        for line in configuration.lines() {
            text.push_str(&printable(&line.replace('\t', "    ")));
            text.push('\n');
        }
    }
    text
}

/// Seconds in the two largest units that they fill.
fn lasted(seconds: u64) -> String {
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{rest} s"),
        (0, 0, _) => format!("{minutes} min {rest} s"),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::health::Reason;
    use crate::admin::system::DiskDocument;

    #[test]
    fn what_is_in_the_way_and_what_is_not_known_is_said() {
        let document = SystemDocument {
            version: "0.1.0".to_owned(),
            hostname: "relay.example".to_owned(),
            started: "2026-11-27T08:00:00.000Z".to_owned(),
            uptime_seconds: 90_061,
            ready: false,
            reasons: vec![Reason {
                part: "spool".to_owned(),
                reason: "no mail is taken".to_owned(),
            }],
            disk: Some(DiskDocument {
                free_octets: 3 << 29,
                total_octets: 4 << 30,
            }),
            certificate: None,
            configuration: Some("a = \"\u{1b}\"\nb = 1\n".to_owned()),
        };
        assert_eq!(
            system(&document),
            "relay        relay.example\n\
             release      0.1.0\n\
             running      since 2026-11-27T08:00:00.000Z, 1 d 1 h\n\
             state        not ready: spool: no mail is taken\n\
             disk         1.5 of 4.0 GiB free\n\
             certificate  cannot be read\n\n\
             The configuration in force, without its secrets:\n\n\
             a = \"\u{fffd}\"\n\
             b = 1\n"
        );
        for (seconds, text) in [(5, "5 s"), (65, "1 min 5 s"), (3_660, "1 h 1 min")] {
            assert_eq!(lasted(seconds), text);
        }
    }
}
