//! Ports below 1024 as an ordinary user, and what passes between the relay and a service manager: sockets that
//! it opens, and word of how the relay is doing.

use std::fs;
use std::io::Read;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::{
    Address, Client, PATIENCE, Program, Relay, SINK, Sink, is_root, mail, message_id, outpost, top,
};

/// The user that owns nothing.
const NOBODY: u32 = 65_534;

fn configured(ports: &str, tls: &str) -> String {
    format!(
        "[submission]\naddresses = [\"IP\"]\nports = \"{ports}\"\nimplicit_tls_ports = \"{tls}\"\n\
         plaintext_auth = true\n"
    )
}

/// Sends a message through a port of a relay, all the way.
fn relays_through(relay: &Relay, port: u16) {
    let sink = Sink::start_on(relay.ip, SINK, &[]);
    let password = relay.user("ann", "a.example");
    let mut client = Client::connect((relay.ip, port).into());
    client.log_in("ann", &password);
    let letter = mail("ann@a.example", "through a port below 1024");
    message_id(&client.message("ann@a.example", "bob@d.example", &letter));
    sink.wait_for(1);
}

/// The user that a program runs as.
fn user_of(relay: &Relay) -> u32 {
    fs::metadata(format!("/proc/{}", relay.id())).unwrap().uid()
}

/// The effective capabilities of a program.
fn capabilities_of(relay: &Relay) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", relay.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    u64::from_str_radix(line.unwrap().trim(), 16).unwrap()
}

/// Nobody's folder, as the relay's user must own it.
fn give_away(folder: &Path) {
    if is_root() {
        chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
        let file = folder.join("outpost.toml");
        chown(&file, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

#[test]
fn an_ordinary_user_with_the_one_capability_serves_ports_below_1024() {
    if !is_root() {
        return; // Nobody else can give the capability.
    }
    const NET_BIND_SERVICE: u64 = 1 << 10;
    let ip = Address::of_this_test();
    let mut relay = Relay::start_by(ip, &configured("25,587", "465"), &|folder| {
        give_away(folder);
        let mut command = Command::new("bash");
        // The program is opened first, since an ordinary user may not reach the folder that it is in.
        let script = "exec 9<\"$0\"; exec setpriv --reuid=65534 --regid=65534 --clear-groups \
                      --inh-caps=-all,+net_bind_service --ambient-caps=-all,+net_bind_service \
                      --bounding-set=-all,+net_bind_service --no-new-privs /proc/self/fd/9 \"$@\"";
        command.arg("-c").arg(script).arg(outpost());
        (command, Stdio::null())
    });
    assert_eq!(user_of(&relay), NOBODY);
    assert_eq!(capabilities_of(&relay), NET_BIND_SERVICE);
    let printed = relay.printed();
    for line in ["ports 25,587 (STARTTLS)", "port 465 (TLS)"] {
        assert!(printed.contains(&format!("{ip}, {line}")), "{printed}");
    }
    relays_through(&relay, 25);
    assert!(relay.terminate().success());
}

#[test]
fn an_ordinary_user_is_told_what_ports_below_1024_need() {
    if !is_root() {
        return; // It would not own the folder of its relay.
    }
    let ip = Address::of_this_test();
    let said = Relay::refused_by(ip, &configured("25,2525", ""), &|folder| {
        give_away(folder);
        let mut command = Command::new("bash");
        let script = "exec 9<\"$0\"; exec setpriv --reuid=65534 --regid=65534 --clear-groups \
                      --inh-caps=-all --bounding-set=-all /proc/self/fd/9 \"$@\"";
        command.arg("-c").arg(script).arg(outpost());
        (command, Stdio::null())
    });
    let expected = format!(
        "outpost: {ip}, port 25: ports below 1024 need root, the capability CAP_NET_BIND_SERVICE, or a socket \
         that systemd passes"
    );
    assert!(said.contains(&expected), "{said}");
}

#[test]
fn sockets_that_are_passed_are_served_without_any_right_and_others_are_named() {
    // Without root the ports are ordinary ones; the rest is the same.
    let (smtp, tls) = if is_root() { (25, 465) } else { (2025, 2465) };
    let ip = Address::of_this_test();
    let settings = configured(&format!("{smtp},2525"), &tls.to_string());
    let mut relay = Relay::start_by(ip, &settings, &|folder| {
        give_away(folder);
        let passed = [smtp, tls, smtp + 1].map(|port| format!("{ip}:{port}"));
        let mut command = Command::new("python3");
        command
            .arg(top().join("tests/support/pass_sockets.py"))
            .arg(format!("{},udp:0", passed.join(",")))
            .arg(outpost());
        (command, Stdio::null())
    });
    if is_root() {
        assert_eq!(user_of(&relay), NOBODY);
        assert_eq!(capabilities_of(&relay), 0);
    }
    let printed = relay.printed();
    for line in [
        // 2525 was not passed: it is the relay's own.
        format!("submit mail to  {ip}, ports {smtp},2525 (STARTTLS)"),
        format!("submit mail to  {ip}, port {tls} (TLS)"),
        format!(
            "not served      a socket that was passed, {ip}:{}: not among the addresses and ports of [submission]",
            smtp + 1
        ),
        "not served      a socket that was passed, descriptor 6: ".to_owned(),
    ] {
        assert!(printed.contains(&line), "{line} in {printed}");
    }
    relays_through(&relay, smtp);
    let mut client = Client::open_tls((ip, tls).into(), &relay.certificate());
    assert!(client.reply().starts_with("220 relay.test"));
    client.expect("EHLO client.test", "250-relay.test");
    drop(client);
    assert!(relay.terminate().success());
}

/// Starts a relay on a socket of the test.
fn on_socket(listener: &TcpListener) -> impl Fn(&Path) -> (Command, Stdio) {
    let passed: OwnedFd = listener.try_clone().unwrap().into();
    move |_| {
        let mut command = Command::new("sh");
        let script = "exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$0\" \"$@\"";
        command.arg("-c").arg(script).arg(outpost());
        (command, passed.try_clone().unwrap().into())
    }
}

#[test]
fn who_connects_while_the_relay_is_away_waits_for_the_next_one() {
    let ip = Address::of_this_test();
    let listener = TcpListener::bind((ip, 2525)).unwrap();
    let start = on_socket(&listener);
    let mut relay = Relay::start_by(ip, &configured("2525", ""), &start);
    let mut early = relay.connect();
    early.expect("EHLO client.test", "250");
    assert!(relay.terminate().success());
    // Nobody is there, and nobody is turned away.
    let mut stream = std::net::TcpStream::connect((ip, 2525)).unwrap();
    relay.restart_by(&start);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut greeting = [0; 4];
    stream.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"220 ");
}

#[test]
fn one_socket_for_both_families_shows_each_client_by_its_own_address() {
    // Any free port, which nobody else has on either family.
    let Ok(listener) = TcpListener::bind("[::]:0") else {
        return; // A machine without IPv6.
    };
    let port = listener.local_addr().unwrap().port();
    let settings = configured(&port.to_string(), "").replace("\"IP\"", "\"0.0.0.0\", \"::\"");
    let ip = Address::of_this_test();
    let start = on_socket(&listener);
    let mut relay = Relay::start_by(ip, &settings, &start);
    for line in [
        format!("0.0.0.0, port {port} ("),
        format!("::, port {port} ("),
    ] {
        let printed = relay.printed();
        assert!(printed.contains(&line), "{printed}");
    }
    let sink = Sink::start_on(ip, SINK, &[]);
    let password = relay.user("ann", "a.example");
    let addresses: [(IpAddr, &str); 2] =
        [(ip, "from [127."), ("::1".parse().unwrap(), "[IPv6:::1]")];
    for (index, (address, shown)) in addresses.into_iter().enumerate() {
        let mut client = Client::connect(SocketAddr::new(address, port));
        client.log_in("ann", &password);
        let letter = mail("ann@a.example", "whoever it is");
        message_id(&client.message("ann@a.example", "bob@d.example", &letter));
        let received = sink.wait_for(index + 1)[index]
            .field("Received")
            .unwrap()
            .to_owned();
        assert!(
            received.contains(shown.trim_start_matches("from ")),
            "{received}"
        );
    }
}

#[test]
fn the_tool_of_systemd_starts_it_with_the_first_client() {
    let tool = Path::new("/usr/bin/systemd-socket-activate");
    if !tool.exists() {
        return;
    }
    let ip = Address::of_this_test();
    let folder = tempfile::tempdir().unwrap();
    Relay::write_configuration(folder.path(), ip, &configured("2525,2526", ""));
    let mut command = Command::new(tool);
    for port in [2525, 2526] {
        command.arg(format!("--listen={ip}:{port}"));
    }
    command
        .arg(outpost())
        .arg("--config")
        .arg(folder.path().join("outpost.toml"));
    let mut program = Program::start(&mut command);
    program.wait_for_line(&format!("Listening on {ip}:2526"));
    Client::connect((ip, 2526).into()).expect("EHLO client.test", "250-relay.test");
    let line = program.wait_for_line("submit mail to");
    assert!(line.contains("ports 2525-2526 (STARTTLS)"), "{line}");
    assert!(program.terminate().success());
}

#[test]
fn a_service_manager_is_told_when_the_relay_serves_reads_again_lives_and_stops() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let next = || {
        let mut octets = [0; 1024];
        let length = socket.recv(&mut octets).unwrap();
        String::from_utf8(octets[..length].to_vec()).unwrap()
    };
    let mut relay = Relay::start_at(
        Address::of_this_test(),
        "",
        &[
            ("NOTIFY_SOCKET", path.to_str().unwrap()),
            // In microseconds.
            ("WATCHDOG_USEC", "100000"),
        ],
    );
    let alive = "WATCHDOG=1\n";
    let ready = "READY=1\nSTATUS=serving as relay.test on 2 sockets\n";
    let besides_life = || loop {
        let told = next();
        if told != alive {
            return told;
        }
    };
    assert_eq!(besides_life(), ready);
    relay.connect().expect("EHLO client.test", "250");
    for _ in 0..2 {
        while next() != alive {}
    }
    // A wrong file is read again too, and the relay serves as before.
    for more in ["", "colour = 1\n"] {
        relay.configure(more);
        relay.signal("HUP");
        let told = besides_life();
        assert!(told.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{told}");
        assert_eq!(besides_life(), ready);
    }
    assert!(relay.terminate().success());
    socket
        .set_read_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    assert_eq!(besides_life(), "STOPPING=1\nSTATUS=stopping\n");
}
