//! Floods: many connections, half-open handshakes, clients that say too much and read nothing, guesses. Each
//! is answered or bounded, memory stays small, and an honest client is served meanwhile.
//!
//! docs/reliability.md has what was measured.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::support::{Client, Honest, Relay, SERVED_WITHIN, base64, mail, wait_until};

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    stream
}

/// What the server says up to the end of a line.
fn greeting(mut stream: &TcpStream) -> String {
    let mut said = Vec::new();
    let mut octet = [0];
    while !said.ends_with(b"\n") && stream.read(&mut octet).unwrap() == 1 {
        said.push(octet[0]);
    }
    String::from_utf8(said).unwrap()
}

/// How much more memory it has than `before`, for each of `count`.
fn octets_each(relay: &Relay, before: u64, count: usize) -> u64 {
    relay.resident_octets().saturating_sub(before) / count as u64
}

#[test]
fn five_thousand_connections_at_once_are_greeted_cost_little_and_leave_room_for_work() {
    // Where neither side may have so many open files, as many as there is room for.
    let files_max = rlimit::increase_nofile_limit(12_000).unwrap();
    let count = usize::try_from(files_max - 2_000).unwrap().min(5_000);
    let relay = Relay::start_in_clear(
        "\n[submission]\naddresses = [\"IP\"]\nports = \"2525\"\nplaintext_auth = true\nconnections_per_address_max = 6000\n",
    );
    let honest = Honest::begin(&relay, "honest");
    let before = relay.resident_octets();
    let began = Instant::now();
    let flood: Vec<TcpStream> = (0..count).map(|_| connect(relay.smtp())).collect();
    for stream in &flood {
        assert!(greeting(stream).starts_with("220 "));
    }
    println!("all greeted after {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(20));
    let each = octets_each(&relay, before, count);
    println!("{each} octets for each");
    assert!(each < 32 * 1024, "{each} octets for each");
    let metrics = relay.get("/metrics");
    assert!(
        metrics.contains(&format!("outpost_reception_connections {}\n", count + 1)),
        "{metrics}"
    );
    honest.end("5,000 connections");
}

#[test]
fn who_finds_no_place_is_told_why_and_counted_and_the_others_are_served() {
    for (limits, reply, limit) in [
        (
            "connections_per_address_max = 3",
            "421 4.7.0 Too many connections from your address\r\n",
            "address",
        ),
        (
            "connections_max = 3",
            "421 4.7.0 Too many connections, please try again later\r\n",
            "all",
        ),
    ] {
        let relay = Relay::start_in_clear(&format!(
            "\n[submission]\naddresses = [\"IP\"]\nports = \"2525\"\nimplicit_tls_ports = \"4650\"\nplaintext_auth = true\n{limits}\n"
        ));
        let password = relay.user("ann", "a.example");
        let mut served = relay.logged_in("ann", &password);
        let _others = [relay.connect(), relay.connect()];
        for _ in 0..20 {
            let stream = connect(relay.smtp());
            assert_eq!(greeting(&stream), reply);
            let rest = (&stream).read(&mut [0]);
            assert!(matches!(rest, Ok(0)), "{rest:?}");
        }
        // Nobody pays a handshake for that.
        let rest = connect(relay.tls()).read(&mut [0]);
        assert!(matches!(rest, Ok(0)), "{rest:?}");
        let from = "ann@a.example";
        assert!(
            served
                .message(from, "bob@d.example", &mail(from, "served"))
                .starts_with("250 ")
        );
        let counted = format!("outpost_reception_turned_away_total{{limit=\"{limit}\"}} 21\n");
        let metrics = relay.get("/metrics");
        assert!(metrics.contains(&counted), "{counted} in {metrics}");
    }
}

#[test]
fn a_thousand_handshakes_that_never_end_cost_little_and_others_shake_hands() {
    const COUNT: usize = 900;
    let relay = Relay::start_in_clear("");
    let honest = Honest::begin(&relay, "honest");
    let before = relay.resident_octets();
    let flood: Vec<TcpStream> = (0..COUNT).map(|_| connect(relay.tls())).collect();
    // A record of 15 KiB that begins a ClientHello of 64 KiB.
    let mut hello = vec![22, 3, 1, 0x3c, 0, 1, 0, 0xff, 0xff];
    hello.resize(5 + 0x3c00, 0);
    for mut stream in &flood {
        stream.write_all(&hello).unwrap();
    }
    let began = Instant::now();
    let mut client = Client::open_tls(relay.tls(), &relay.certificate());
    assert!(client.reply().starts_with("220 "));
    println!("a handshake takes {:?}", began.elapsed());
    assert!(began.elapsed() < SERVED_WITHIN);
    let each = octets_each(&relay, before, COUNT);
    println!("{each} octets for each");
    assert!(each < 64 * 1024, "{each} octets for each");
    // No handshake is that large.
    let mut greedy = &flood[0];
    greedy.write_all(&hello).unwrap();
    assert!(matches!(greedy.read(&mut [0; 64]), Ok(0) | Err(_)));
    drop(flood);
    honest.end("half-open handshakes");
}

#[test]
fn clients_that_say_much_and_read_nothing_are_bounded_and_hold_nobody_up() {
    const COUNT: usize = 200;
    let relay = Relay::start_in_clear("");
    let password = relay.user("loud", "a.example");
    let honest = Honest::begin(&relay, "honest");
    let flood: Vec<TcpStream> = (0..COUNT)
        .map(|_| relay.logged_in("loud", &password).into_stream())
        .collect();
    let before = relay.resident_octets();
    // The longest replies that there are, and nobody waits for them.
    let commands = b"EHLO loud\r\n".repeat(20_000);
    for mut stream in &flood {
        stream.set_nonblocking(true).unwrap();
        let sent = stream.write(&commands).unwrap();
        assert!(sent > 11 * 2_000, "{sent}");
    }
    let mut client = relay.connect();
    let began = Instant::now();
    assert!(client.log_in("loud", &password).starts_with("235 "));
    println!("a login takes {:?}", began.elapsed());
    assert!(began.elapsed() < SERVED_WITHIN);
    let each = octets_each(&relay, before, COUNT);
    println!("{each} octets for each");
    assert!(each < 64 * 1024, "{each} octets for each");
    // A thousand commands that bring no mail, and no more.
    for mut stream in &flood {
        stream.set_nonblocking(false).unwrap();
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
        let said = String::from_utf8(said).unwrap();
        assert!(
            said.ends_with("421 4.7.0 Too many commands without a message\r\n"),
            "{:?}",
            said.get(said.len().saturating_sub(200)..)
        );
        assert_eq!(said.matches("250 CHUNKING\r\n").count(), 1_000);
    }
    honest.end("clients that read nothing");
}

/// The number of a line of the metrics page.
fn figure(relay: &Relay, name: &str) -> f64 {
    let metrics = relay.get("/metrics");
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0.0, |number| number.parse().unwrap())
}

#[test]
fn a_flood_of_logins_leaves_mail_alone_and_who_comes_from_elsewhere_goes_first() {
    const OF_EACH: usize = 40;
    let relay = Relay::start_in_clear("");
    let password = relay.user("cold", "a.example");
    let honest = Honest::begin(&relay, "honest");
    let elsewhere = |last: u8| IpAddr::from([127, 255, 255, last]);
    let mut clients: Vec<Client> = [1, 2]
        .iter()
        .flat_map(|network| {
            (0..OF_EACH).map(|_| Client::connect_from(elsewhere(*network), relay.smtp()))
        })
        .collect();
    let mut late = Client::connect_from(elsewhere(3), relay.smtp());
    late.expect("EHLO late", "250");
    for client in &mut clients {
        client.expect("EHLO flood", "250");
    }
    let began = Instant::now();
    for (number, client) in clients.iter_mut().enumerate() {
        let login = base64(&format!("\0user{number}\0wrong"));
        client.send(format!("AUTH PLAIN {login}\r\n").as_bytes());
    }
    let waiting = "outpost_auth_verifications_waiting";
    // Of each network so many wait, and the others are told to come back.
    let put_off = "outpost_auth_verifications_total{answer=\"throttled\"}";
    wait_until("all guesses are there", || {
        figure(&relay, put_off) as usize == 2 * (OF_EACH - 32)
    });
    let asked = Instant::now();
    let reply = late.auth_plain("cold", &password);
    assert!(reply.starts_with("235 2.7.0 "), "{reply}");
    let (login, still_waiting) = (asked.elapsed(), figure(&relay, waiting));
    println!("a login takes {login:?}, and {still_waiting} guesses wait behind it");
    assert!(
        still_waiting > 10.0,
        "{still_waiting} guesses waited behind it"
    );
    wait_until("nobody waits", || figure(&relay, waiting) == 0.0);
    let all = began.elapsed();
    println!("all guesses take {all:?}");
    assert!(login < all / 2, "{login:?} of {all:?}");
    honest.end("a flood of logins");
}

#[test]
fn unknown_user_wrong_password_and_inactive_user_cannot_be_told_apart() {
    const GUESSES: u8 = 9;
    let relay = Relay::start_in_clear("");
    relay.user("there", "a.example");
    relay.user_with("inactive", &["--domains", "a.example", "--inactive"]);
    let names = ["there", "inactive", "nobody"];
    let mut took: [Vec<Duration>; 3] = Default::default();
    for round in 0..GUESSES {
        for (at, name) in names.iter().enumerate() {
            // Each from another address, so that none is slowed down.
            let source = IpAddr::from([127, 255, 10 + u8::try_from(at).unwrap(), round + 1]);
            let mut client = Client::connect_from(source, relay.smtp());
            client.expect("EHLO guess", "250");
            let began = Instant::now();
            let reply = client.auth_plain(name, &format!("wrong{round}{at}"));
            took[at].push(began.elapsed());
            assert_eq!(reply, "535 5.7.8 Authentication credentials invalid");
        }
    }
    let medians = took.map(|mut took| {
        took.sort();
        took[took.len() / 2]
    });
    println!("{names:?} take {medians:?}");
    let (least, most) = (medians.iter().min().unwrap(), medians.iter().max().unwrap());
    // A hash that is not computed would be a hundred times faster.
    assert!(*most < *least * 4, "{names:?} take {medians:?}");
}

#[test]
fn one_user_whose_contents_never_end_leaves_room_for_the_others() {
    const CONTENT: usize = 900 << 10;
    let relay = Relay::start_in_clear(
        "\n[submission]\naddresses = [\"IP\"]\nports = \"2525\"\nplaintext_auth = true\n\
         message_bytes_max = 1048576\n[spool]\nin_flight_bytes_max = 4194304\n",
    );
    let password = relay.user("greedy", "a.example");
    let header = "From: greedy@a.example\r\n\r\n";
    let content = format!(
        "{header}{}",
        format!("{}\r\n", "x".repeat(62)).repeat(CONTENT / 64)
    );
    let mut greedy: Vec<Client> = (0..6)
        .map(|_| {
            let mut client = relay.logged_in("greedy", &password);
            client.expect("MAIL FROM:<greedy@a.example>", "250");
            client.expect("RCPT TO:<bob@d.example>", "250");
            client.expect("DATA", "354");
            client.send(content.as_bytes());
            client
        })
        .collect();
    // Three have room, and what the others have sent is not kept.
    let in_flight = "outpost_spool_octets_in_flight";
    wait_until("three quarters are taken, and no more", || {
        let taken = figure(&relay, in_flight);
        assert!(taken < 3.5 * 1_048_576.0, "{taken}");
        taken > 2.5 * 1_048_576.0
    });
    let password = relay.user("honest", "a.example");
    let mut honest = relay.logged_in("honest", &password);
    let from = "honest@a.example";
    let large = content.replace("greedy@", "honest@");
    let reply = honest.transaction(&format!("<{from}>"), &["<bob@d.example>"], &large);
    assert!(reply.starts_with("250 2.0.0 "), "{reply}");
    for client in &mut greedy {
        client.send(b".\r\n");
    }
    let replies: Vec<String> = greedy.iter_mut().map(Client::reply).collect();
    let of = |code: &str| {
        replies
            .iter()
            .filter(|reply| reply.starts_with(code))
            .count()
    };
    assert_eq!((of("250 2.0.0 "), of("452 4.3.1 ")), (3, 3), "{replies:?}");
    wait_until("all is given back", || figure(&relay, in_flight) == 0.0);
}
