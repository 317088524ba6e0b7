//! The ports that a relay opens, and what it says about those that it cannot open.

use std::net::TcpListener;
use std::time::Instant;

use crate::support::{Address, Client, PATIENCE, Relay, SMTP, Sink, mail};

#[test]
fn four_thousand_ports_answer_alike_and_all_at_once() {
    // Where something else on this machine listens on every address, that port is left out here; and
    // those below 1024 where the tests are run without the right to them.
    let ip = Address::of_this_test();
    let is_free = |port: &u16| TcpListener::bind((ip, *port)).is_ok();
    let mut ports = vec![23, 25, 26, 587];
    ports.extend(1025..=5000);
    ports.retain(is_free);
    assert!(ports.len() > 3_900, "only {} ports are free", ports.len());
    let written: Vec<String> = ports.iter().map(u16::to_string).collect();
    let written = if ports.len() == 3_980 {
        "23,25,26,587,1025-5000".to_owned()
    } else {
        written.join(",")
    };
    let relay = Relay::start_at(
        ip,
        &format!(
            "[submission]\naddresses = [\"IP\"]\nports = \"{written}\"\n\
             implicit_tls_ports = \"5465\"\n# mx\n"
        ),
        &[],
    );
    let mut lists = Vec::new();
    let sampled = [23, 25, 26, 587, 1025, 1026, 2525, 3333, 4999, 5000];
    for port in sampled.into_iter().filter(|port| ports.contains(port)) {
        let mut client = Client::connect((relay.ip, port).into());
        lists.push((port, client.expect("EHLO client.test", "250-relay.test\n")));
    }
    for (port, list) in &lists {
        assert_eq!(*list, lists[0].1, "port {port}");
        assert!(list.contains("250-STARTTLS\n"), "{list}");
    }
    assert!(std::net::TcpStream::connect((relay.ip, 5001)).is_err());
}

#[test]
fn the_greeting_names_every_port_that_listens() {
    let mut relay = Relay::start(
        "[submission]\naddresses = [\"IP\"]\nports = \"1025,1587,2525-2528\"\n\
         implicit_tls_ports = \"5465\"\n",
    );
    let printed = relay.printed();
    for line in [
        format!(
            "submit mail to  {}, ports 1025,1587,2525-2528 (STARTTLS)",
            relay.ip
        ),
        format!("submit mail to  {}, port 5465 (TLS)", relay.ip),
    ] {
        assert!(printed.contains(&line), "{line} in {printed}");
    }
}

#[test]
fn ports_in_use_stop_the_start_and_are_named_all_at_once() {
    let ip = Address::of_this_test();
    let _others = [2501, 2502, 2505].map(|port| TcpListener::bind((ip, port)).unwrap());
    let said = Relay::refused(
        ip,
        "[submission]\naddresses = [\"IP\"]\nports = \"2500-2510\"\nimplicit_tls_ports = \"\"\n",
    );
    let expected =
        format!("outpost: {ip}, ports 2501-2502,2505: already in use by another program");
    assert!(said.contains(&expected), "{said}");
    assert!(said.contains("`optional = true`"), "what to do: {said}");
}

#[test]
fn optional_ports_in_use_are_reported_and_the_others_serve() {
    let ip = Address::of_this_test();
    let _other = TcpListener::bind((ip, SMTP + 1)).unwrap();
    let mut relay = Relay::start_at(
        ip,
        "[submission]\naddresses = [\"IP\"]\nports = \"2525-2526\"\nimplicit_tls_ports = \"\"\n\
         optional = true\n",
        &[],
    );
    relay.connect().expect("EHLO client.test", "250");
    let expected = format!("not listening   {ip}, port 2526: already in use by another program");
    let printed = relay.printed();
    assert!(printed.contains(&expected), "{printed}");
}

#[test]
fn mail_for_a_smarthost_that_is_this_relay_waits_and_another_program_there_takes_it() {
    let ip = Address::of_this_test();
    let settings = "[submission]\naddresses = [\"IP\"]\nports = \"2525,2600\"\n\
                    implicit_tls_ports = \"\"\noptional = true\n";
    let settings = format!("{settings}plaintext_auth = true\n");
    let mut relay = Relay::start_at(ip, &settings, &[]);
    let said = relay.printed();
    let expected = format!(
        "delivery.route[1].smarthost: {ip}:2600: this relay itself listens there, so mail for this \
         route waits"
    );
    assert!(
        said.contains("not delivered   line ") && said.contains(&expected),
        "{said}"
    );
    let password = relay.user("ann", "a.example");
    let mut client = relay.logged_in("ann", &password);
    client.message(
        "ann@a.example",
        "bob@d.example",
        &mail("ann@a.example", "a loop"),
    );
    drop(client);
    let waits = "451 4.4.6 the smarthost of the route is this relay itself";
    let until = Instant::now() + PATIENCE;
    while !relay.printed_by(&["queue", "ls", "--json"]).contains(waits) {
        assert!(Instant::now() < until, "{}", relay.printed());
    }
    // Where the smarthost has the port already, the relay skips it and delivers there.
    relay.terminate();
    let sink = Sink::start(ip, &[]);
    relay.restart();
    relay.outpost(&["queue", "retry", "--all", "--yes"]);
    sink.wait_for(1);
}

#[test]
fn a_second_relay_on_the_same_data_folder_is_refused() {
    let relay = Relay::start("");
    let ip = Address::of_this_test();
    // Its last line counts: the same folder, other addresses.
    let configuration = relay.folder().join("second.toml");
    let text = std::fs::read_to_string(relay.folder().join("outpost.toml")).unwrap();
    std::fs::write(
        &configuration,
        text.replace(&relay.ip.to_string(), &ip.to_string()),
    )
    .unwrap();
    let said = relay.complaint_of(&["serve", "--config", configuration.to_str().unwrap()]);
    assert!(said.starts_with("outpost: "), "{said}");
    assert!(
        said.contains("is a relay running on this data folder already?"),
        "{said}"
    );
}
