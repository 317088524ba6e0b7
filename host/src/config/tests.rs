//! What a configuration file may say, and how its mistakes are told.

use super::*;

fn mistakes(text: &str) -> Vec<String> {
    parse(text)
        .map(drop)
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn the_defaults_are_those_of_the_manual() {
    let config = parse("").unwrap();
    assert_eq!(config.listen.ports.to_string(), "23,25-26,587,1025-5000");
    assert_eq!(config.listen.implicit_tls_ports.to_string(), "465");
    assert!(!config.listen.optional);
    assert!(!config.plaintext_auth);
    assert_eq!(config.limits.content_octets_max, 52_428_800);
    assert_eq!(config.admin.address.to_string(), "127.0.0.1:8025");
    assert_eq!(config.data_dir, Path::new("outpost-data"));
    assert_eq!(config.queue.simultaneous_max, 500);
    let names: Vec<_> = config
        .plugin
        .chain
        .iter()
        .map(|component| component.name.as_str())
        .collect();
    assert_eq!(names, ["authorized-senders", "effective-priority"]);
}

/// The sample file, and the same with the keys that it shows as comments.
fn sample() -> (&'static str, String) {
    let sample = include_str!("../../../docs/outpost.sample.toml");
    let shown = |line: &str| {
        let key = |(key, _): (&str, &str)| {
            !key.is_empty()
                && key
                    .bytes()
                    .all(|octet| octet.is_ascii_lowercase() || octet == b'_')
        };
        line.starts_with('[') || line.split_once(" = ").is_some_and(key)
    };
    let whole = sample.lines().map(|line| match line.strip_prefix("# ") {
        Some(rest) if shown(rest) => rest,
        _ => line,
    });
    (sample, whole.collect::<Vec<_>>().join("\n"))
}

#[test]
fn the_sample_file_says_the_defaults() {
    let (sample, whole) = sample();
    let defaults = parse("hostname = \"relay.example.com\"").unwrap();
    let mut config = parse(sample).unwrap();
    let names = |config: &Config| {
        let chain = config.plugin.chain.iter();
        chain
            .map(|component| component.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&config), names(&defaults));
    config.plugin = defaults.plugin.clone();
    assert_eq!(format!("{config:#?}"), format!("{defaults:#?}"));
    assert_eq!(parse(&whole).unwrap().plugin.chain.len(), 3);
}

#[test]
fn the_sample_file_has_every_key() {
    let (_, whole) = sample();
    for section in [
        "",
        "[submission]",
        "[tls]",
        "[delivery]",
        "[[delivery.route]]",
        "[dns]",
        "[spool]",
        "[auth]",
        "[admin]",
        "[alerts]",
        "[log]",
        "[[plugin]]",
    ] {
        let found = mistakes(&format!("{section}\nzzz = 1\n"));
        let known = found
            .iter()
            .find_map(|mistake| mistake.split_once("known here: "))
            .unwrap()
            .1;
        for key in known.split(", ") {
            let forms = [format!("{key} = "), format!("[{key}]"), format!(".{key}]")];
            assert!(
                forms.iter().any(|form| whole.contains(form)),
                "{section} {key}"
            );
        }
    }
}

#[test]
fn without_a_file_only_loopback_is_served() {
    let config = defaults();
    assert!(
        config
            .listen
            .addresses
            .iter()
            .all(|address| address.is_loopback())
    );
    assert!(config.listen.optional);
}

#[test]
fn every_key_of_the_manual_is_understood() {
    let config = parse(
        r#"
        hostname = "relay.example.com"
        data_dir = "elsewhere"
        [submission]
        addresses = ["127.0.0.1"]
        ports = "2525"
        implicit_tls_ports = ""
        optional = true
        plaintext_auth = true
        message_bytes_max = 1000000
        [tls]
        certificate = "cert.pem"
        key = "key.pem"
        [delivery]
        capacity_bytes_per_second = 0
        simultaneous_max = 7
        per_next_hop_max = 3
        pause_ceiling = "60s"
        retry = ["1s", "2m"]
        expire_after = "2d"
        [[delivery.route]]
        recipients = "*.example.com"
        smarthost = "127.0.0.1:2500"
        user = "u"
        password = "p"
        tls = "required"
        [[delivery.route]]
        recipients = "*"
        senders = "*.shop.example"
        list = "shop"
        smarthost = "127.0.0.1"
        [admin]
        address = "127.0.0.1:0"
        [[plugin]]
        name = "authorized-senders"
        on_failure = "refuse"
        [[plugin]]
        name = "mine"
        component = "mine.wasm"
        wasi = "empty"
        reuse = 50
        [plugin.config]
        limit = 3
        "#,
    )
    .unwrap();
    assert_eq!(config.hostname, "relay.example.com");
    assert_eq!(config.queue.per_next_hop_max, 3);
    assert_eq!(config.queue.retry, [1, 120].map(Duration::from_secs));
    assert_eq!(config.delivery.smarthosts.len(), 2);
    assert_eq!(config.plugin.chain[1].config["limit"], "3");
    let wasi = config.plugin.chain.iter().map(|component| component.wasi);
    assert_eq!(
        wasi.collect::<Vec<_>>(),
        [plugin::Wasi::Refused, plugin::Wasi::Empty]
    );
    let reuse = config.plugin.chain.iter().map(|one| one.transactions_max);
    assert_eq!(reuse.collect::<Vec<_>>(), [1, 50], "never unasked");
}

#[test]
fn every_mistake_is_reported_at_once_with_its_line_and_what_would_be_right() {
    let found = mistakes(
        "hostname = \"not a name\"\n\
         colour = 1\n\
         [submission]\n\
         ports = \"25,x\"\n\
         implicit_tls_ports = \"25\"\n\
         addresses = [\"everywhere\"]\n\
         optional = \"yes\"\n\
         message_bytes_max = -1\n\
         [tls]\n\
         certificate = \"cert.pem\"\n\
         [delivery]\n\
         retry = []\n\
         expire_after = \"5 days\"\n\
         [[delivery.route]]\n\
         smarthost = \"127.0.0.1:99999\"\n\
         tls = \"sometimes\"\n\
         senders = \"*@a.example\"\n\
         list = \"the shop\"\n\
         [admin]\n\
         address = \"8025\"\n\
         [[plugin]]\n\
         name = \"no-such\"\n\
         [[plugin]]\n\
         on_failure = \"accept\"\n\
         wasi = \"full\"\n\
         reuse = 0\n",
    );
    let expected = [
        "line 1: hostname: `not a name` is not a host name",
        "line 2: colour: unknown key",
        "line 4: submission.ports: `x` is neither a port",
        "line 6: submission.addresses: `everywhere` is not an IP address",
        "line 7: submission.optional: true or false is expected, not a text",
        "line 8: submission.message_bytes_max: a whole number from 1024",
        "line 10: tls.certificate: needs `key` beside it",
        "line 12: delivery.retry: at least one duration is needed",
        "line 13: delivery.expire_after: `5 days` is not a duration",
        "line 14: delivery.route[1].recipients: is needed",
        "line 15: delivery.route[1].smarthost: the port must be a number",
        "line 16: delivery.route[1].tls: `sometimes` is not one of",
        "line 17: delivery.route[1].senders: \"*@a.example\" is not \"*\", an address",
        "line 18: delivery.route[1].list: `the shop` is not the name of a list",
        "line 20: admin.address: `8025` is not an address and a port",
        "line 22: plugin[1].name: `no-such` is not a component that ships",
        "line 23: plugin[2].name: is needed",
        "line 24: plugin[2].on_failure: `accept` is not one of",
        "line 25: plugin[2].wasi: `full` is not \"empty\"",
        "line 26: plugin[2].reuse: a whole number from 1 to 1000",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            found.starts_with(expected),
            "{found:?} does not begin with {expected:?}"
        );
    }
}

#[test]
fn what_the_system_could_never_use_is_told() {
    assert_eq!(
        mistakes("data_dir = \"a\\u0000\"\n[dns]\nservers = [\"192.0.2.1\", \"[::1]:0\"]\n"),
        [
            "line 1: data_dir: must not contain U+0000, which no name of a file and no login has",
            "line 3: dns.servers: `[::1]:0` has port 0, where nobody answers",
        ]
    );
}

#[test]
fn every_wrong_item_is_told_at_its_own_line() {
    assert_eq!(
        mistakes(
            "[submission]\nports = \"x,25,9-5\"\naddresses = [\"a\", \"127.0.0.1\",\n 5]\n\
             [delivery]\nretry = [\n\"1s\",\n\"soon\",\n\"99d\",\n]\n"
        ),
        [
            "line 2: submission.ports: `x` is neither a port (1 to 65535) nor a range such as 1025-5000",
            "line 2: submission.ports: the range `9-5` ends before it begins",
            "line 3: submission.addresses: `a` is not an IP address such as \"0.0.0.0\" or \"::\"",
            "line 4: submission.addresses: a text in quotes is expected, not a whole number",
            "line 8: delivery.retry: `soon` is not a duration such as \"30s\", \"2m\", \"1h\" or \"5d\"",
            "line 9: delivery.retry: `99d` is outside 1s to 1d",
        ]
    );
}

#[test]
fn what_is_not_utf_8_is_named_by_its_line_and_the_rest_is_read() {
    let reading = read_octets(b"# plain\nhostname = \"gr\xfcn\"\ncolour = 1\n");
    let found: Vec<String> = reading.mistakes.iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(
        found[0],
        "line 2: the octet 0xFC is not UTF-8: save the file with the encoding UTF-8"
    );
    assert!(
        found[1].starts_with("line 3: colour: unknown key"),
        "{found:?}"
    );
}

#[test]
fn an_address_that_ends_like_one_with_a_port_is_noted() {
    let notes = |server: &str| {
        let notes = read_text(&format!("[dns]\nservers = [\"{server}\"]\n")).notes;
        notes.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        notes("::1:53"),
        [
            "line 2: dns.servers: has `::1:53`, which is read as an address alone; with a port it is written \
             \"[ADDRESS]:PORT\""
        ]
    );
    for server in ["::1", "[::1]:53", "2001:db8::53", "192.0.2.1:53"] {
        assert!(notes(server).is_empty(), "{server}");
    }
}

#[test]
fn what_would_do_something_else_than_it_says_is_refused() {
    for (text, expected) in [
        (
            "hostname = \"127.0.0.1\"\n",
            "line 1: hostname: `127.0.0.1` is an address, not a host name",
        ),
        (
            "[log]\nfilter = \"inf\"\n",
            "line 2: log.filter: `inf` is not one of off, error, warn, info, debug, trace; for a \
             part of the relay write \"info,outpost=debug\"",
        ),
        (
            "[log]\nfilter = \"info,outpost\"\n",
            "line 2: log.filter: `outpost` is not one of off, error, warn, info, debug, trace; for a \
             part of the relay write \"info,outpost=debug\"",
        ),
        (
            "[log]\nfilter = \"info outpost=debug\"\n",
            "line 2: log.filter: `info outpost=debug` has a blank in it: commas stand between \
             directives, as in \"info,outpost=debug\"",
        ),
        (
            "[log]\nfilter = \" ,\"\n",
            "line 2: log.filter: says nothing: one of off, error, warn, info, debug, trace is expected",
        ),
    ] {
        assert_eq!(mistakes(text), [expected]);
    }
    for (filter, read) in [
        ("INFO", "INFO"),
        ("warn,outpost::queue=trace", "warn,outpost::queue=trace"),
        ("off", "off"),
        (" info, outpost=debug,", "info,outpost=debug"),
    ] {
        let config = parse(&format!("[log]\nfilter = \"{filter}\"\n")).unwrap();
        assert_eq!(config.log.filter, read);
    }
    let twice = parse("[submission]\naddresses = [\"::1\", \"127.0.0.1\", \"::1\"]\n").unwrap();
    assert_eq!(twice.listen.addresses.len(), 2);
    let any = parse("[submission]\naddresses = [\"127.0.0.1\", \"0.0.0.0\", \"::1\"]\n").unwrap();
    let any: Vec<_> = any
        .listen
        .addresses
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(any, ["0.0.0.0", "::1"]);
}

#[test]
fn a_key_with_escapes_is_told_in_one_line_that_steers_no_terminal() {
    let mistakes = parse("\"a\\nb\\u001b[2J\" = 1\nhostname = \"\\u001b\\n\"\n")
        .map(drop)
        .unwrap_err();
    assert_eq!(mistakes.len(), 2);
    for mistake in mistakes {
        let told = mistake.to_string();
        assert!(!told.contains(char::is_control), "{told:?}");
    }
}

#[test]
fn a_file_that_is_no_configuration_is_not_read_or_told_to_its_end() {
    let large = read(Some(Path::new("/dev/zero"))).unwrap_err().to_string();
    assert!(
        large.ends_with("octets: this is no configuration"),
        "{large}"
    );
    let error = ConfigError::Mistakes {
        path: PathBuf::from("x"),
        mistakes: parse(&"a\n".repeat(200)).map(drop).unwrap_err(),
    };
    let shown = error.to_string();
    assert_eq!(shown.lines().count(), MISTAKES_SHOWN_MAX + 1, "{shown}");
    assert!(shown.ends_with("x: and 100 more mistakes"), "{shown}");
}

#[test]
fn a_port_is_either_in_clear_or_tls() {
    let found = mistakes("[submission]\nports = \"25,465\"\n");
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(
        found[0].starts_with("line 2: submission.ports: port 465 is in implicit_tls_ports too")
    );
}

/// A configuration in force that came from this file.
fn in_force(file: &Path, text: &str) -> Config {
    fs::write(file, text).unwrap();
    read(Some(file)).unwrap().into_config().unwrap()
}

#[test]
fn a_file_that_says_nothing_any_more_is_no_configuration_for_a_relay_that_runs() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("outpost.toml");
    let again = |before: &Config, text: &str| {
        fs::write(&file, text).unwrap();
        read_again(before).unwrap().into_config().map(drop)
    };
    let before = in_force(&file, "hostname = \"a.example\"\n");
    for text in ["", "# to be written\n"] {
        let refused = again(&before, text).unwrap_err().to_string();
        let expected = "outpost.toml: nothing is set in it any more; where the defaults are meant, restart the relay";
        assert!(refused.ends_with(expected), "{refused}");
        assert!(
            read(Some(&file)).unwrap().mistakes.is_empty(),
            "as at the start"
        );
    }
    again(&before, "hostname = \"b.example\"\n").unwrap();
    let empty = in_force(&file, "");
    again(&empty, "# still nothing\n").unwrap();
}

#[test]
fn what_can_be_read_once_only_is_not_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("outpost.toml");
    let before = in_force(&file, "hostname = \"a.example\"\n");
    fs::remove_file(&file).unwrap();
    regular::tests::pipe(&file);
    let refused = read_again(&before).unwrap_err().to_string();
    let expected = "outpost.toml: it is a pipe, not a regular file: it can be read at the start only; restart the relay";
    assert!(refused.ends_with(expected), "{refused}");
}
