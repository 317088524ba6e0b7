//! What is packaged: the units for systemd.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{outpost, run, top};

/// Whether a tool is there that the relay itself has no need of.
fn is_there(tool: &str) -> bool {
    Path::new("/usr/bin").join(tool).exists()
}

fn packaged(name: &str) -> PathBuf {
    top().join("packaging").join(name)
}

/// Runs `systemd-analyze` on the units, with the program where this build has it; what it says.
#[track_caller]
fn analyzed(arguments: &[&str], units: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("systemd-analyze");
    command.args(arguments);
    for unit in units {
        let text = fs::read_to_string(packaged(unit)).unwrap();
        let program = outpost();
        let text = text.replace("/usr/bin/outpost", program.to_str().unwrap());
        let path = folder.path().join(unit);
        fs::write(&path, text).unwrap();
        command.arg(path);
    }
    let output = run(&mut command);
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert!(output.status.success(), "{said}");
    said
}

#[test]
fn systemd_takes_the_units_without_a_word() {
    if is_there("systemd-analyze") {
        let units = ["outpost.service", "outpost.socket"];
        assert_eq!(analyzed(&["verify", "--man=no"], &units), "");
    }
}

#[test]
fn the_unit_gives_the_relay_little_to_reach() {
    if is_there("systemd-analyze") {
        // In tenths: 0 is a service that can do nothing, 100 one that can do everything. What is left are sockets, the
        // capability, and memory for machine code.
        let said = analyzed(
            &["security", "--offline=true", "--no-pager", "--threshold=18"],
            &["outpost.service"],
        );
        assert!(said.contains("Overall exposure level"), "{said}");
    }
}

#[test]
fn the_packaged_socket_opens_what_the_packaged_configuration_names() {
    let configuration = fs::read_to_string(packaged("outpost.toml")).unwrap();
    let value = |key: &str| {
        let start = format!("{key} = ");
        let line = configuration
            .lines()
            .find_map(|line| line.strip_prefix(&start));
        line.unwrap_or_else(|| panic!("{key}"))
            .trim_matches(['"', '[', ']'])
            .to_owned()
    };
    let mut configured = Vec::new();
    for address in value("addresses").split("\", \"") {
        for key in ["ports", "implicit_tls_ports"] {
            let address: std::net::IpAddr = address.parse().unwrap();
            let port = value(key).parse().unwrap();
            configured.push(std::net::SocketAddr::new(address, port).to_string());
        }
    }
    let socket = fs::read_to_string(packaged("outpost.socket")).unwrap();
    let opened = socket
        .lines()
        .filter_map(|line| line.strip_prefix("ListenStream="));
    let mut opened: Vec<String> = opened.map(str::to_owned).collect();
    opened.sort();
    configured.sort();
    assert_eq!(opened, configured);
}
