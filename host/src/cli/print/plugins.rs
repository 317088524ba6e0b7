//! Policy components as people read them.

use super::super::text::{Table, facts, items};
use super::warn;
use crate::admin::plugins::{
    BreakerName, CountDocument, PluginDocument, PluginState, PluginsChanged, PluginsDocument,
    QuestionDocument,
};

/// The chain, a row for each question of each component.
pub(super) fn plugins(document: &PluginsDocument) -> String {
    let mut text = table(&document.plugins);
    warn(&mut text, document.warning.as_deref());
    text
}

/// What came of a change.
pub(super) fn changed(changed: &PluginsChanged) -> String {
    let mut text = table(&changed.plugins);
    text.push_str(match (changed.changed, changed.dry_run) {
        (true, true) => "This is how it would be; nothing was changed.\n",
        (false, _) => "Nothing has changed: it is so already.\n",
        (true, false) => "",
    });
    warn(&mut text, changed.warning.as_deref());
    text
}

/// The rows of those components.
pub(super) fn table(plugins: &[PluginDocument]) -> String {
    let mut table = Table::new(&[
        "NAME",
        "SOURCE",
        "DIGEST",
        "CONTRACT",
        "QUESTION",
        "ON FAILURE",
        "ANSWERS",
        "FAILURES",
        "MEDIAN",
        "BREAKER",
    ]);
    for plugin in plugins {
        let begin = || {
            vec![
                plugin.name.clone(),
                plugin.source.clone(),
                short(&plugin.digest),
                plugin.contract.clone(),
            ]
        };
        if plugin.questions.is_empty() {
            let mut row = begin();
            row.extend(["", "", "", "", ""].map(str::to_owned));
            row.push(state(plugin.state).to_owned());
            table.row(row);
        }
        for question in &plugin.questions {
            let mut row = begin();
            row.extend([question.question.clone(), question.on_failure.clone()]);
            row.extend(match plugin.state {
                PluginState::Asked => [
                    total(&question.answers),
                    total(&question.failures),
                    format!("{} µs", question.median_microseconds),
                    breaker(question),
                ],
                other => ["", "", "", state(other)].map(str::to_owned),
            });
            table.row(row);
        }
    }
    table.or("no policy components: every sender is refused")
}

/// One component with everything that is known of it.
pub(super) fn plugin(plugin: &PluginDocument) -> String {
    let about = &plugin.about;
    let about = [&about.name, &about.version, &about.sdk].map(String::as_str);
    let about: Vec<&str> = about.into_iter().filter(|text| !text.is_empty()).collect();
    let limits = &plugin.limits;
    let imports = plugin.imports.iter().map(|import| match import.granted {
        true => import.interface.clone(),
        false => format!("{} (not granted)", import.interface),
    });
    let config = plugin.config.iter().map(|(key, value)| match value {
        Some(value) => format!("{key} = {value}"),
        None => format!("{key} = (not shown)"),
    });
    let config: Vec<String> = config.collect();
    let mut text = facts(&[
        ("name", plugin.name.clone()),
        ("state", state(plugin.state).to_owned()),
        ("source", plugin.source.clone()),
        ("digest", plugin.digest.clone()),
        ("octets", plugin.octets.to_string()),
        ("about", about.join(", ")),
        ("contract", plugin.contract.clone()),
        ("exports", plugin.exports.join("\n")),
        ("imports", imports.collect::<Vec<_>>().join("\n")),
        (
            "limits",
            format!(
                "{} ms of CPU time, {} ms on the clock, {} octets of memory, {} calls",
                limits.cpu_milliseconds,
                limits.wall_milliseconds,
                limits.memory_octets,
                limits.host_calls
            ),
        ),
        ("wasi", plugin.wasi.clone()),
        ("reuse", plugin.reuse.to_string()),
        (
            "settings",
            match config.is_empty() {
                true => items(&config),
                false => config.join("\n"),
            },
        ),
    ]);
    text.push('\n');
    text.push_str(&table(std::slice::from_ref(plugin)));
    text.push('\n');
    let mut versions = Table::new(&["VERSION", "DIGEST", "OCTETS", "DEPLOYED", "BY", "NOTE", ""]);
    if plugin.configured {
        let in_force = in_force(plugin.version == 0);
        let mut row = ["0", "", "", "", ""].map(str::to_owned).to_vec();
        row.extend(["as configured".to_owned(), in_force]);
        versions.row(row);
    }
    for version in &plugin.versions {
        versions.row(vec![
            version.version.to_string(),
            short(&version.digest),
            version.octets.to_string(),
            version.at.clone(),
            version.by.clone(),
            version.note.clone(),
            in_force(version.in_force),
        ]);
    }
    text.push_str(&versions.or("no versions"));
    text
}

fn in_force(is_it: bool) -> String {
    if is_it { "in force" } else { "" }.to_owned()
}

/// As much of a digest as tells versions apart.
fn short(digest: &str) -> String {
    digest.chars().take(12).collect()
}

fn state(state: PluginState) -> &'static str {
    match state {
        PluginState::Asked => "asked",
        PluginState::Disabled => "disabled",
        PluginState::Absent => "not configured",
    }
}

/// Whether a component is asked: `closed`, `open`, or `open for 2 users`, whom alone it failed.
fn breaker(question: &QuestionDocument) -> String {
    match (question.breaker, question.users_suspended) {
        (BreakerName::Closed, 1) => "open for 1 user".to_owned(),
        (BreakerName::Closed, users @ 2..) => format!("open for {users} users"),
        (state, _) => state.name().to_owned(),
    }
}

fn total(counts: &[CountDocument]) -> String {
    let counts = counts.iter().map(|counted| counted.count);
    counts.sum::<u64>().to_string()
}
