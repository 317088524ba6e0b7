//! What is typed and what it is taken for.

#![allow(clippy::unwrap_used)]

use clap::CommandFactory as _;
use clap::error::ErrorKind;

use super::*;
use crate::cli::queue_options::State;
use crate::cli::user_options::{Limit, UserFields};

fn read(line: &str) -> Result<Cli, ErrorKind> {
    let words = std::iter::once("outpost").chain(line.split_whitespace());
    let words = words.map(|word| if word == "''" { "" } else { word });
    Cli::try_parse_from(words).map_err(|error| error.kind())
}

fn remote(line: &str) -> Remote {
    match read(line).unwrap().command {
        Some(Command::Remote(remote)) => remote,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn the_forms_are_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn no_command_serves_and_every_command_takes_a_configuration() {
    assert_eq!(
        read("").unwrap(),
        Cli {
            config: None,
            command: None
        }
    );
    for line in [
        "",
        "serve",
        "check",
        "restore x",
        "sink",
        "list ls",
        "list add x",
        "list show x",
        "list set x --notify y",
        "list rm x",
        "user ls",
        "user add",
        "user show x",
        "user set x --active",
        "user reset-password x",
        "user enable x",
        "user disable x",
        "user export",
        "user import x",
        "user rm x",
        "queue ls",
        "queue show x",
        "queue hold x",
        "queue release x",
        "queue retry x",
        "queue cancel x",
        "queue restore x",
        "queue set-priority x --priority 1",
        "queue reschedule x --in 1h",
        "queue stop",
        "queue start --user x",
        "plugin ls",
        "plugin show x",
        "plugin install x.wasm",
        "plugin enable x",
        "plugin disable x",
        "plugin rollback x",
        "plugin order x y",
        "plugin rm x",
        "plugin reset x",
        "connection",
        "system",
        "admin reset-password",
        "admin token",
        "admin token print",
        "admin token create --name x",
        "admin token ls",
        "admin token rm x",
        "backup x",
    ] {
        let after = read(&format!("{line} --config a.toml")).unwrap();
        let before = read(&format!("--config a.toml {line}")).unwrap();
        assert_eq!(
            after.config.as_deref(),
            Some(std::path::Path::new("a.toml")),
            "{line}"
        );
        assert_eq!(after, before, "{line}");
    }
}

#[test]
fn what_prints_data_takes_json() {
    for line in [
        "list ls",
        "list add x",
        "list show x",
        "list set x --notify y",
        "list rm x",
        "user ls",
        "user add",
        "user show x",
        "user set x --active",
        "user reset-password x",
        "user enable x",
        "user disable x",
        "user import x",
        "user rm x",
        "queue ls",
        "queue show x",
        "queue hold x",
        "queue release x",
        "queue retry x",
        "queue cancel x",
        "queue restore x",
        "queue set-priority x --priority 1",
        "queue reschedule x --in 1h",
        "queue stop",
        "queue start --user x",
        "plugin ls",
        "plugin show x",
        "plugin install x.wasm",
        "plugin enable x",
        "plugin disable x",
        "plugin rollback x",
        "plugin order x y",
        "plugin rm x",
        "plugin reset x",
        "connection",
        "system",
        "admin reset-password",
        "admin token",
        "admin token print",
        "admin token create --name x",
        "admin token ls",
        "admin token rm x",
        "backup x",
    ] {
        assert!(read(&format!("{line} --json")).is_ok(), "{line}");
    }
}

#[test]
fn json_may_stand_before_or_after_what_is_done_with_tokens() {
    for line in [
        "admin token --json ls",
        "admin token ls --json",
        "admin token --json",
    ] {
        assert_eq!(remote(line).output(), Some(Output { json: true }), "{line}");
    }
    assert_eq!(
        remote("admin token ls").output(),
        Some(Output { json: false })
    );
}

#[test]
fn a_user_is_described_by_options() {
    assert_eq!(
        remote(
            "user add --list ops --name app --priority 1 --domains a.example;*.b.example \
             --senders x@c.example --note hers --carriers X-Priority;Importance --ceiling 2 \
             --very-high-per-hour 100 --inactive --json"
        ),
        Remote::User(UserCommand::Add {
            name: Some("app".into()),
            list: "ops".into(),
            fields: UserFields {
                priority: Some(1),
                domains: Some("a.example;*.b.example".into()),
                senders: Some("x@c.example".into()),
                note: Some("hers".into()),
                carriers: Some("X-Priority;Importance".into()),
                ceiling: Some(Limit::To(2)),
                very_high_per_hour: Some(Limit::To(100)),
            },
            inactive: true,
            output: Output { json: true },
        })
    );
}

#[test]
fn each_limit_of_urgency_is_a_change_and_none_takes_it_away() {
    for (option, expected) in [
        (
            "--ceiling none",
            UserFields {
                ceiling: Some(Limit::Unlimited),
                ..UserFields::default()
            },
        ),
        (
            "--very-high-per-hour none",
            UserFields {
                very_high_per_hour: Some(Limit::Unlimited),
                ..UserFields::default()
            },
        ),
        (
            "--carriers ''",
            UserFields {
                carriers: Some(String::new()),
                ..UserFields::default()
            },
        ),
    ] {
        let Remote::User(UserCommand::Set { fields, .. }) = remote(&format!("user set x {option}"))
        else {
            panic!("{option}")
        };
        assert_eq!(fields, expected, "{option}");
    }
}

#[test]
fn queued_mail_is_named_by_id_or_by_filter() {
    let Remote::Queue(QueueCommand::Hold(one)) = remote("queue hold 01ABC") else {
        panic!()
    };
    assert_eq!(one.target.id.as_deref(), Some("01ABC"));
    let Remote::Queue(QueueCommand::Cancel(many)) =
        remote("queue cancel --user app --class 3 --state held --dry-run")
    else {
        panic!()
    };
    assert_eq!(many.target.filter.user.as_deref(), Some("app"));
    assert_eq!(many.target.filter.class, Some(3));
    assert_eq!(many.target.filter.state, Some(State::Held));
    assert!(many.dry_run);
}

#[test]
fn what_is_typed_wrongly_is_refused() {
    let cases = [
        ("user add --priority 6", ErrorKind::ValueValidation),
        ("user add --priority high", ErrorKind::ValueValidation),
        ("user add --ceiling 0", ErrorKind::ValueValidation),
        ("user add --ceiling 6", ErrorKind::ValueValidation),
        ("user set x --ceiling all", ErrorKind::ValueValidation),
        (
            "user add --very-high-per-hour 0",
            ErrorKind::ValueValidation,
        ),
        (
            "user add --very-high-per-hour 100001",
            ErrorKind::ValueValidation,
        ),
        (
            "user set x --very-high-per-hour -1",
            ErrorKind::UnknownArgument,
        ),
        (
            "user set x --active --inactive",
            ErrorKind::ArgumentConflict,
        ),
        ("user rm", ErrorKind::MissingRequiredArgument),
        ("user set x", ErrorKind::MissingRequiredArgument),
        ("user set x --json", ErrorKind::MissingRequiredArgument),
        ("list set x", ErrorKind::MissingRequiredArgument),
        ("user rm x --queued burn", ErrorKind::InvalidValue),
        ("queue hold", ErrorKind::MissingRequiredArgument),
        ("queue hold --dry-run", ErrorKind::MissingRequiredArgument),
        ("queue hold x --user app", ErrorKind::ArgumentConflict),
        ("queue hold --all --user app", ErrorKind::ArgumentConflict),
        ("queue set-priority x", ErrorKind::MissingRequiredArgument),
        ("queue stop --user ''", ErrorKind::InvalidValue),
        ("queue stop x", ErrorKind::UnknownArgument),
        ("queue stop --user x --list y", ErrorKind::ArgumentConflict),
        ("queue ls --limit 0", ErrorKind::ValueValidation),
        ("queue ls --state lost", ErrorKind::InvalidValue),
        ("stats --class 6", ErrorKind::ValueValidation),
        ("stats --since yesterday", ErrorKind::ValueValidation),
        ("stats --csv --json", ErrorKind::ArgumentConflict),
        ("demo --messages 0", ErrorKind::ValueValidation),
        ("demo --capacity 1", ErrorKind::ValueValidation),
        ("demo --size 1GB", ErrorKind::ValueValidation),
        ("plugin new", ErrorKind::InvalidSubcommand),
        ("plugin install", ErrorKind::MissingRequiredArgument),
        ("plugin install x --name ''", ErrorKind::InvalidValue),
        (
            "plugin install x --on-failure accept",
            ErrorKind::InvalidValue,
        ),
        ("plugin install x --reuse 0", ErrorKind::ValueValidation),
        ("plugin install x --position 0", ErrorKind::ValueValidation),
        ("plugin order", ErrorKind::MissingRequiredArgument),
        (
            "plugin rollback x --to a --to-version 1",
            ErrorKind::ArgumentConflict,
        ),
        ("queue restore", ErrorKind::MissingRequiredArgument),
        ("serve --json", ErrorKind::UnknownArgument),
        ("user show ''", ErrorKind::InvalidValue),
        ("user set '' --active", ErrorKind::InvalidValue),
        ("user rm ''", ErrorKind::InvalidValue),
        ("list set '' --notify x", ErrorKind::InvalidValue),
        ("queue show ''", ErrorKind::InvalidValue),
        ("queue hold ''", ErrorKind::InvalidValue),
    ];
    for (line, kind) in cases {
        assert_eq!(read(line).unwrap_err(), kind, "{line}");
    }
}

#[test]
fn the_configuration_is_offered_where_it_is_read_and_taken_everywhere() {
    use clap::CommandFactory as _;

    for name in ["demo", "sink"] {
        let mut whole = Cli::command();
        whole.build();
        let command = whole.find_subcommand_mut(name).unwrap();
        let help = command.render_long_help().to_string();
        assert!(!help.contains("--config"), "{help}");
        for line in [
            ["outpost", name, "--config", "x.toml"],
            ["outpost", "--config", "x.toml", name],
        ] {
            let cli = Cli::try_parse_from(line).unwrap();
            assert_eq!(cli.config, Some(PathBuf::from("x.toml")), "{line:?}");
        }
    }
    let mut whole = Cli::command();
    whole.build();
    for name in ["serve", "check", "route", "queue", "restore", "backup"] {
        let command = whole.find_subcommand_mut(name).unwrap();
        let help = command.render_long_help().to_string();
        assert!(help.contains("--config <FILE>"), "{help}");
    }
}

#[test]
fn the_usage_of_a_change_says_the_three_ways_and_leaves_the_filters_to_their_list() {
    use clap::CommandFactory as _;

    for (name, before) in [
        ("hold", ""),
        ("release", ""),
        ("retry", ""),
        ("cancel", ""),
        ("restore", ""),
        ("set-priority", " --priority <1-5>"),
        ("reschedule", " <--at <TIME>|--in <DURATION>>"),
    ] {
        let mut whole = Cli::command();
        whole.build();
        let queue = whole.find_subcommand_mut("queue").unwrap();
        let command = queue.find_subcommand_mut(name).unwrap();
        let usage = command.render_usage().to_string();
        let ways = ["<ID>", "<FILTERS>", "--all"];
        let lines = ways.map(|way| format!("outpost queue {name}{before} [OPTIONS] {way}"));
        assert_eq!(usage, format!("Usage: {}", lines.join("\n       ")));
        let help = command.render_help().to_string();
        let (options, filters) = help.split_once("\nFilters:\n").unwrap();
        for (option, is_filter) in [
            ("--all", false),
            ("--dry-run", false),
            ("--yes", false),
            ("--json", false),
            ("--list <LIST>", true),
            ("--due-before <TIME>", true),
        ] {
            assert_eq!(filters.contains(option), is_filter, "{help}");
            assert_eq!(
                options.contains(&format!(" {option}")),
                !is_filter,
                "{help}"
            );
        }
        // What is wrong is told in as few words.
        let refused = Cli::try_parse_from(["outpost", "queue", name]).unwrap_err();
        assert!(refused.to_string().contains("  <ID>\n"), "{refused}");
    }
}
