//! LIMITS (RFC 9422): a host gets no more of anything at a time than it says that it takes.

use super::*;

/// How many messages the host got on each connection.
fn messages_by_connection(host: &Script) -> Vec<usize> {
    let commands = host.seen().commands;
    let connections = commands.split(|command| command.starts_with("EHLO"));
    let is_mail = |command: &&String| command.starts_with("MAIL");
    connections
        .skip(1)
        .map(|commands| commands.iter().filter(is_mail).count())
        .collect()
}

fn seven() -> Mail {
    let addresses: Vec<String> = (0..7).map(|n| format!("r{n}@b.example")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    Mail::to(&addresses)
}

#[tokio::test]
async fn a_transaction_has_no_more_recipients_than_its_host_takes() {
    for (listed, transactions) in [
        ("LIMITS RCPTMAX=3", "RRRD RRRD RD"),
        ("LIMITS MAILMAX=9 RCPTMAX=7", "RRRRRRRD"),
        ("LIMITS RCPTMAX=200", "RRRRRRRD"),
        // No limits that anybody could keep.
        ("LIMITS RCPTMAX=0", "RRRRRRRD"),
        ("LIMITS RCPTMAX=3;", "RRRRRRRD"),
        ("LIMITS", "RRRRRRRD"),
    ] {
        let host = Script::new().listing(&["PIPELINING", listed]);
        let attempt = seven().deliver(&World::of(&host).deliverer()).await;
        assert_eq!(brief(&attempt), vec!["delivered 250 2.0.0"; 7], "{listed}");
        let verbs = host.verbs();
        let letters = verbs.split(' ').filter_map(|verb| match verb {
            "RCPT" => Some("R"),
            "DATA" => Some("D"),
            "MAIL" => Some(" "),
            _ => None,
        });
        let letters = letters.collect::<String>();
        assert_eq!(letters.trim_start(), transactions, "{listed}");
        assert_eq!(host.seen().connections, 1, "{listed}");
    }
}

#[tokio::test]
async fn what_is_listed_after_starttls_counts() {
    let certificate = Certificate::new();
    let host = Script::new()
        .listing(&["PIPELINING"])
        .with_tls(&certificate.server)
        .times(
            1,
            "EHLO",
            Act::Say("250-mx.example\r\n250-STARTTLS\r\n250 LIMITS RCPTMAX=1 MAILMAX=1\r\n"),
        );
    let attempt = seven().deliver(&World::of(&host).deliverer()).await;
    assert_eq!(brief(&attempt), vec!["delivered 250 2.0.0"; 7]);
    assert_eq!(host.seen().contents.len(), 1);
}

#[tokio::test]
async fn a_connection_carries_no_more_messages_than_its_host_takes() {
    for (listed, expected) in [
        ("LIMITS MAILMAX=2", vec![2, 2, 1]),
        ("LIMITS MAILMAX=1", vec![1, 1, 1, 1, 1]),
        ("LIMITS MAILMAX=100", vec![5]),
        ("LIMITS MAILMAX=none", vec![5]),
    ] {
        let host = Script::new().listing(&["PIPELINING", listed]);
        let deliverer = World::of(&host).deliverer();
        for _ in 0..5 {
            let attempt = Mail::to(&["a@b.example"]).deliver(&deliverer).await;
            assert_eq!(brief(&attempt), ["delivered 250 2.0.0"], "{listed}");
        }
        deliverer.close().await;
        assert_eq!(messages_by_connection(&host), expected, "{listed}");
    }
}

#[tokio::test]
async fn our_own_limits_hold_where_a_host_takes_more() {
    let host = Script::new().listing(&["PIPELINING", "LIMITS MAILMAX=500 RCPTMAX=500"]);
    let world = World::of(&host).with(|settings| {
        settings.recipients_per_transaction_max = 3;
        settings.transactions_per_connection_max = 2;
    });
    let attempt = seven().deliver(&world.deliverer()).await;
    assert_eq!(brief(&attempt), vec!["delivered 250 2.0.0"; 7]);
    assert_eq!(messages_by_connection(&host), [2, 1]);
}

#[tokio::test]
async fn one_message_to_many_goes_over_as_many_connections_as_it_takes() {
    let host = Script::new().listing(&["PIPELINING", "LIMITS MAILMAX=2 RCPTMAX=2"]);
    let attempt = seven().deliver(&World::of(&host).deliverer()).await;
    assert_eq!(brief(&attempt), vec!["delivered 250 2.0.0"; 7]);
    assert_eq!(messages_by_connection(&host), [2, 2]);
    // A message that is refused counts as well.
    let host = host.times(1, "RCPT", Act::Say("550 5.1.1 Nobody\r\n"));
    let attempt = seven().deliver(&World::of(&host).deliverer()).await;
    assert_eq!(brief(&attempt)[0], "bounced 550 5.1.1");
    assert_eq!(messages_by_connection(&host)[2..], [2, 2]);
}
