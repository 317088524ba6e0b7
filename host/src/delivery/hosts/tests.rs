//! Searches over a table of names: which hosts are tried, and what a search without one comes to.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::dns::Table;

fn settings() -> Settings {
    Settings {
        hostname: "relay.example".to_owned(),
        ..Settings::default()
    }
}

/// `host address` of everything that is tried, or the code and enhanced code of the outcome.
async fn search(table: Table, settings: Settings, domain: &str) -> Result<Vec<String>, String> {
    let resolver = Resolver::from_table(table);
    let mut hosts = match Hosts::of_domain(&resolver, &settings, domain, 5).await {
        Ok(hosts) => hosts,
        Err(outcome) => return Err(brief(&outcome)),
    };
    let mut found = Vec::new();
    while let Some(target) = hosts.next().await {
        found.push(format!("{} {}", target.name, target.address));
    }
    if found.is_empty() {
        Err(brief(&hosts.nothing_found()))
    } else {
        Ok(found)
    }
}

fn brief(outcome: &Outcome) -> String {
    let kind = match outcome {
        Outcome::Delivered(_) => "delivered",
        Outcome::Deferred(_) => "deferred",
        Outcome::Bounced(_) => "bounced",
    };
    let reply = outcome.reply();
    let enhanced = reply.enhanced.unwrap();
    format!(
        "{kind} {} {}.{}.{}",
        reply.code, enhanced.class, enhanced.subject, enhanced.detail
    )
}

#[tokio::test]
async fn hosts_are_tried_by_preference_and_each_address_in_turn() {
    let table = Table::new()
        .mx("a.example", 20, "late.example")
        .mx("a.example", 10, "early.example")
        .address("late.example", "192.0.2.9")
        .address("early.example", "192.0.2.1")
        .address("early.example", "192.0.2.2")
        .address("early.example", "2001:db8::1");
    assert_eq!(
        search(table.clone(), settings(), "a.example")
            .await
            .unwrap(),
        [
            "early.example 192.0.2.1:25",
            "early.example [2001:db8::1]:25",
            "early.example 192.0.2.2:25",
            "late.example 192.0.2.9:25",
        ]
    );
    let ipv6_first = Settings {
        address_order: AddressOrder::Ipv6First,
        ..settings()
    };
    assert_eq!(
        search(table.clone(), ipv6_first, "a.example")
            .await
            .unwrap()[0],
        "early.example [2001:db8::1]:25"
    );
    let few = Settings {
        addresses_tried_max: 2,
        ..settings()
    };
    assert_eq!(search(table, few, "a.example").await.unwrap().len(), 2);
}

#[tokio::test]
async fn equal_hosts_have_their_first_address_tried_before_any_second() {
    let mut table = Table::new();
    for host in ["x.example", "y.example"] {
        table = table.mx("a.example", 10, host);
        for last in 1..=6 {
            table = table.address(host, &format!("192.0.2.{last}"));
        }
    }
    let tried = search(table, settings(), "a.example").await.unwrap();
    let hosts: Vec<&str> = tried.iter().map(|line| &line[..1]).collect();
    assert_ne!(hosts[0], hosts[1]);
    assert_ne!(hosts[2], hosts[3]);
    assert_eq!(tried.len(), 2 * ADDRESSES_PER_HOST_MAX);
}

#[tokio::test]
async fn a_search_without_a_host_says_what_becomes_of_the_mail() {
    let table = Table::new()
        .mx("null.example", 0, "")
        .mx("hollow.example", 10, "nowhere.example")
        .mx("half.example", 10, "nowhere.example")
        .mx("half.example", 20, "lame.example")
        .mx("zero.example", 10, "zero-host.example")
        .address("zero-host.example", "0.0.0.0")
        .alias("bare.example", "bare-target.example")
        .mx("bare-sibling.example", 1, "x")
        .failing("lame.example");
    for (domain, outcome) in [
        ("none.example", "bounced 550 5.1.2"),
        ("null.example", "bounced 556 5.1.10"),
        ("hollow.example", "bounced 550 5.4.4"),
        ("zero.example", "bounced 550 5.4.4"),
        ("half.example", "deferred 451 4.4.3"),
        ("lame.example", "deferred 451 4.4.3"),
        ("bare.example", "bounced 550 5.1.2"),
        ("[192.0.2]", "bounced 550 5.1.3"),
        ("[ipv6:192.0.2.1]", "bounced 550 5.1.3"),
    ] {
        assert_eq!(
            search(table.clone(), settings(), domain).await.unwrap_err(),
            outcome,
            "{domain}"
        );
    }
}

#[tokio::test]
async fn a_domain_without_mx_is_its_own_host() {
    let table = Table::new().address("a.example", "192.0.2.1");
    assert_eq!(
        search(table, settings(), "a.example").await.unwrap(),
        ["a.example 192.0.2.1:25"]
    );
}

#[tokio::test]
async fn a_literal_needs_no_dns() {
    for (domain, target) in [
        ("[192.0.2.7]", "[192.0.2.7] 192.0.2.7:25"),
        ("[ipv6:2001:db8::7]", "[ipv6:2001:db8::7] [2001:db8::7]:25"),
    ] {
        assert_eq!(
            search(Table::new(), settings(), domain).await.unwrap(),
            [target]
        );
    }
}

#[tokio::test]
async fn only_hosts_preferred_over_ourselves_are_tried() {
    let table = || {
        Table::new()
            .mx("a.example", 10, "better.example")
            .mx("a.example", 20, "ours.example")
            .mx("a.example", 20, "equal.example")
            .mx("a.example", 30, "worse.example")
            .address("better.example", "192.0.2.1")
            .address("ours.example", "127.0.0.1")
            .address("equal.example", "192.0.2.2")
            .address("worse.example", "192.0.2.3")
    };
    let named = Settings {
        hostname: "ours.example".to_owned(),
        listens_on_mx_port: true,
        ..settings()
    };
    let addressed = Settings {
        listens_on_mx_port: true,
        ..settings()
    };
    // By our address alone, by our name alone, and by none where we do not listen.
    let elsewhere = || {
        let table = Table::new().mx("a.example", 10, "better.example");
        let table = table.mx("a.example", 20, "Ours.example");
        let table = table.address("better.example", "192.0.2.1");
        table.address("ours.example", "192.0.2.77")
    };
    for (table, settings) in [(table(), addressed.clone()), (elsewhere(), named.clone())] {
        assert_eq!(
            search(table, settings, "a.example").await.unwrap(),
            ["better.example 192.0.2.1:25"]
        );
    }
    let neighbour = Settings {
        listens_on_mx_port: false,
        ..named.clone()
    };
    let found = search(table(), neighbour, "a.example").await.unwrap();
    assert_eq!(found.len(), 4);
    let found = search(elsewhere(), addressed, "a.example").await.unwrap();
    assert_eq!(found.len(), 2);
}

#[tokio::test]
async fn our_name_is_a_loop_when_we_listen_there_and_another_server_when_we_do_not() {
    let table = Table::new()
        .mx("a.example", 10, "Relay.example")
        .mx("a.example", 20, "other.example")
        .address("other.example", "192.0.2.1")
        .address("relay.example", "192.0.2.77");
    for (domain, first) in [
        ("a.example", "relay.example 192.0.2.77:25"),
        ("relay.example", "relay.example 192.0.2.77:25"),
    ] {
        let listening = Settings {
            listens_on_mx_port: true,
            ..settings()
        };
        assert_eq!(
            search(table.clone(), listening, domain).await.unwrap_err(),
            "bounced 554 5.4.6"
        );
        let found = search(table.clone(), settings(), domain).await.unwrap();
        assert_eq!(found[0], first);
    }
}

#[tokio::test]
async fn an_own_address_is_a_loop_when_we_listen_there() {
    let listening = Settings {
        listens_on_mx_port: true,
        ..settings()
    };
    let table = Table::new()
        .mx("a.example", 10, "x.example")
        .address("x.example", "::1");
    for domain in ["a.example", "[127.0.0.1]"] {
        assert_eq!(
            search(table.clone(), listening.clone(), domain)
                .await
                .unwrap_err(),
            "bounced 554 5.4.6"
        );
    }
}

#[tokio::test]
async fn mail_for_a_smarthost_that_is_this_relay_waits_for_the_operator() {
    let resolver = Resolver::from_table(Table::new());
    let smarthost = "127.0.0.1:2500";
    let how = super::super::settings::Smarthost {
        is_this_relay: true,
        ..Default::default()
    };
    let looping = Settings {
        smarthosts: [(smarthost.to_owned(), how)].into(),
        ..settings()
    };
    let mut hosts = Hosts::of_smarthost(&resolver, &looping, &smarthost.parse().unwrap());
    assert_eq!(hosts.next().await, None);
    assert_eq!(brief(&hosts.nothing_found()), "deferred 451 4.4.6");
}

#[tokio::test]
async fn a_smarthost_is_looked_up_and_never_a_reason_to_bounce() {
    let resolver = Resolver::from_table(Table::new().address("hub.example", "127.0.0.1"));
    let listening = Settings {
        listens_on_mx_port: true,
        ..settings()
    };
    for (smarthost, address, outcome) in [
        (
            "hub.example:587",
            Some("127.0.0.1:587"),
            "deferred 451 4.4.0",
        ),
        ("[::1]:2500", Some("[::1]:2500"), "deferred 451 4.4.0"),
        ("none.example", None, "deferred 451 4.4.3"),
    ] {
        let mut hosts = Hosts::of_smarthost(&resolver, &listening, &smarthost.parse().unwrap());
        let found = hosts.next().await.map(|target| target.address);
        assert_eq!(found, address.map(|address| address.parse().unwrap()));
        assert_eq!(brief(&hosts.nothing_found()), outcome);
        assert_eq!(hosts.next().await, None);
    }
}

#[tokio::test]
async fn a_name_without_a_dot_leads_into_this_network_only_when_the_operator_says_it() {
    let table = Table::new()
        .mx("b.example", 10, "intranet")
        .address("intranet.house.example", "10.0.0.1");
    let domain = search(table.clone(), settings(), "b.example").await;
    assert_eq!(domain.unwrap_err(), "bounced 550 5.4.4");
    let resolver = Resolver::from_table(table);
    let settings = settings();
    let mut hosts = Hosts::of_smarthost(&resolver, &settings, &"intranet:25".parse().unwrap());
    let found = hosts.next().await.unwrap();
    assert_eq!(found.address.to_string(), "10.0.0.1:25");
}
