//! What `outpost plugin …` asks of the relay.

use std::path::Path;

use super::{Plan, document, with_query};
use crate::admin::client::Ask;
use crate::admin::plugins::{OrderInput, RollbackInput};
use crate::admin::within_path;
use crate::cli::plugin_options::{
    ChangeOne, How, InstallCommand, OnFailureName, PluginCommand, WasiName,
};

/// What the command comes to.
pub(super) fn plan(command: &PluginCommand) -> Plan {
    match command {
        PluginCommand::Ls(_) => Plan::Ask(Ask::get("/api/v1/plugins")),
        PluginCommand::Show(named) => Plan::Ask(Ask::get(path(&named.name, ""))),
        PluginCommand::Reset(named) => Plan::Ask(Ask::post(path(&named.name, "/reset"), None)),
        PluginCommand::Install(command) => install(command),
        PluginCommand::Enable(change) => changed(change, "/enable"),
        PluginCommand::Disable(change) => changed(change, "/disable"),
        PluginCommand::Rollback {
            change,
            to,
            to_version,
        } => {
            let input = RollbackInput {
                digest: to.clone(),
                version: *to_version,
            };
            let path = dry(&path(&change.name, "/rollback"), &change.how);
            let ask = Ask::post(path, Some(document(&input)));
            Plan::Ask(conditional(ask, &change.how))
        }
        PluginCommand::Order { names, how } => {
            let input = OrderInput {
                order: names.clone(),
            };
            let ask = Ask::put(dry("/api/v1/plugins/order", how), document(&input));
            Plan::Ask(conditional(ask, how))
        }
        PluginCommand::Rm(change) => {
            let ask = Ask::delete(dry(&path(&change.name, ""), &change.how));
            Plan::Ask(conditional(ask, &change.how))
        }
    }
}

fn install(command: &InstallCommand) -> Plan {
    let stem = || {
        command
            .file
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
    };
    let name = command.name.clone().or_else(stem).unwrap_or_default();
    let on_failure = command.on_failure.map(|one| match one {
        OnFailureName::Defer => "defer",
        OnFailureName::Refuse => "refuse",
        OnFailureName::Skip => "skip",
    });
    let wasi = command.wasi.map(|one| match one {
        WasiName::Refused => "refused",
        WasiName::Empty => "empty",
    });
    let reuse = command.reuse.map(|number| number.to_string());
    let position = command.position.map(|number| number.to_string());
    let mut query = vec![
        ("on_failure", on_failure),
        ("wasi", wasi),
        ("reuse", reuse.as_deref()),
        ("position", position.as_deref()),
        ("note", command.note.as_deref()),
        ("dry_run", command.how.dry_run.then_some("true")),
    ];
    query.extend(
        command
            .set
            .iter()
            .map(|one| ("setting", Some(one.as_str()))),
    );
    let ask = Ask::send(with_query(&path(&name, ""), &query));
    Plan::Send {
        ask: conditional(ask, &command.how),
        file: Path::to_owned(&command.file),
    }
}

fn changed(change: &ChangeOne, action: &str) -> Plan {
    let ask = Ask::post(dry(&path(&change.name, action), &change.how), None);
    Plan::Ask(conditional(ask, &change.how))
}

fn path(name: &str, action: &str) -> String {
    format!("/api/v1/plugins/{}{action}", within_path(name))
}

fn dry(path: &str, how: &How) -> String {
    with_query(path, &[("dry_run", how.dry_run.then_some("true"))])
}

fn conditional(ask: Ask, how: &How) -> Ask {
    match &how.revision {
        Some(revision) => ask.only_if(revision),
        None => ask,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::planned;
    use super::*;

    #[test]
    fn a_change_of_the_chain_is_one_request() {
        let cases: &[(&[&str], &str)] = &[
            (&["plugin", "show", "quota"], "GET /api/v1/plugins/quota"),
            (
                &["plugin", "enable", "quota"],
                "POST /api/v1/plugins/quota/enable",
            ),
            (
                &[
                    "plugin",
                    "disable",
                    "quota",
                    "--dry-run",
                    "--revision",
                    "a1",
                ],
                "POST /api/v1/plugins/quota/disable?dry_run=true If-Match: \"a1\"",
            ),
            (
                &["plugin", "rollback", "quota"],
                "POST /api/v1/plugins/quota/rollback {}",
            ),
            (
                &["plugin", "rollback", "quota", "--to", "15696336"],
                r#"POST /api/v1/plugins/quota/rollback {"digest":"15696336"}"#,
            ),
            (
                &["plugin", "rollback", "quota", "--to-version", "0"],
                r#"POST /api/v1/plugins/quota/rollback {"version":0}"#,
            ),
            (
                &["plugin", "order", "b", "a"],
                r#"PUT /api/v1/plugins/order {"order":["b","a"]}"#,
            ),
            (&["plugin", "rm", "quota"], "DELETE /api/v1/plugins/quota"),
        ];
        for (line, request) in cases {
            match planned(line) {
                Plan::Ask(ask) => assert_eq!(ask.to_string(), *request),
                other => panic!("{line:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_component_is_sent_under_its_name_or_that_of_its_file() {
        let sent = |line: &[&str]| match planned(line) {
            Plan::Send { ask, file } => (ask.to_string(), file.display().to_string()),
            other => panic!("{line:?}: {other:?}"),
        };
        assert_eq!(
            sent(&["plugin", "install", "made/quota.wasm"]),
            (
                "PUT /api/v1/plugins/quota".to_owned(),
                "made/quota.wasm".to_owned()
            )
        );
        let all = [
            "plugin",
            "install",
            "x.wasm",
            "--name",
            "quota",
            "--on-failure",
            "skip",
            "--wasi",
            "empty",
            "--reuse",
            "7",
            "--position",
            "1",
            "--note",
            "a b",
            "--set",
            "per=1&2",
            "--set",
            "b=",
            "--dry-run",
        ];
        assert_eq!(
            sent(&all).0,
            "PUT /api/v1/plugins/quota?on_failure=skip&wasi=empty&reuse=7&position=1&note=a%20b&dry_run=true\
             &setting=per%3D1%262&setting=b%3D"
        );
    }
}
