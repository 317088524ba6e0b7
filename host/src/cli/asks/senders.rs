//! What the commands about senders ask of the relay.

use super::{document, user_path, with_query};
use crate::admin::client::Ask;
use crate::admin::refusals::{AuthorizeAs, AuthorizeInput};
use crate::admin::within_path;
use crate::cli::sender_options::{Authorized, RefusedCommand, SendersCommand};

/// What `outpost user senders` asks.
pub(super) fn of_user(name: &str, sender: Option<&str>) -> Ask {
    let path = format!("{}/senders", user_path(name));
    Ask::get(with_query(&path, &[("as", sender)]))
}

/// What `outpost senders` asks.
pub(super) fn of_address(command: &SendersCommand) -> Ask {
    let limit = command.limit.to_string();
    let query = [
        ("address", Some(command.address.as_str())),
        ("limit", Some(limit.as_str())),
        ("cursor", command.cursor.as_deref()),
    ];
    Ask::get(with_query("/api/v1/senders", &query))
}

/// What `outpost refused …` asks.
pub(super) fn refused(command: &RefusedCommand) -> Ask {
    match command {
        RefusedCommand::Ls {
            list,
            user,
            sender,
            domain,
            since,
            limit,
            cursor,
            ..
        } => {
            let (limit, since) = (limit.to_string(), since.map(|since| since.to_string()));
            let query = [
                ("list", list.as_deref()),
                ("user", user.as_deref()),
                ("sender", sender.as_deref()),
                ("domain", domain.as_deref()),
                ("since", since.as_deref()),
                ("limit", Some(limit.as_str())),
                ("cursor", cursor.as_deref()),
            ];
            Ask::get(with_query("/api/v1/refusals", &query))
        }
        RefusedCommand::Show(one) => Ask::get(path(&one.id)),
        RefusedCommand::Dismiss(one) => Ask::delete(path(&one.id)),
        RefusedCommand::Authorize { one, rule, dry_run } => {
            let input = AuthorizeInput {
                rule: match rule {
                    Authorized::Sender => AuthorizeAs::Sender,
                    Authorized::Domain => AuthorizeAs::Domain,
                },
                dry_run: *dry_run,
            };
            let path = format!("{}/authorize", path(&one.id));
            Ask::post(path, Some(document(&input)))
        }
    }
}

fn path(id: &str) -> String {
    format!("/api/v1/refusals/{}", within_path(id))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::Plan;
    use super::super::tests::planned;

    #[test]
    fn a_command_about_senders_is_one_request() {
        let cases: &[(&[&str], &str)] = &[
            (&["user", "senders", "app"], "GET /api/v1/users/app/senders"),
            (
                &["user", "senders", "app", "--as", "x+y@a.example"],
                "GET /api/v1/users/app/senders?as=x%2By@a.example",
            ),
            (
                &["senders", "x@a.example", "--limit", "7", "--cursor", "c"],
                "GET /api/v1/senders?address=x@a.example&limit=7&cursor=c",
            ),
            (&["refused", "ls"], "GET /api/v1/refusals?limit=100"),
            (
                &[
                    "refused",
                    "ls",
                    "--list",
                    "ops",
                    "--user",
                    "app",
                    "--sender",
                    "x",
                    "--domain",
                    "b.example",
                    "--since",
                    "2026-11-27T09:00:00+01:00",
                ],
                "GET /api/v1/refusals?list=ops&user=app&sender=x&domain=b.example\
                 &since=2026-11-27T08%3A00%3A00.000Z&limit=100",
            ),
            (&["refused", "show", "1f"], "GET /api/v1/refusals/1f"),
            (&["refused", "dismiss", "1f"], "DELETE /api/v1/refusals/1f"),
            (
                &["refused", "authorize", "1f"],
                r#"POST /api/v1/refusals/1f/authorize {"as":"sender"}"#,
            ),
            (
                &["refused", "authorize", "1f", "--as", "domain", "--dry-run"],
                r#"POST /api/v1/refusals/1f/authorize {"as":"domain","dry_run":true}"#,
            ),
        ];
        for (line, expected) in cases {
            match planned(line) {
                Plan::Ask(ask) => assert_eq!(ask.to_string(), *expected, "{line:?}"),
                other => panic!("{line:?}: {other:?}"),
            }
        }
    }
}
