//! What is packaged: the units for systemd, and the Debian package.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Address, Program, may_mount, outpost, run, top};

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
        let said = analyzed(&["verify", "--man=no"], &units);
        // It looks at units of the machine too.
        let about_ours = said.lines().find(|line| line.contains("outpost."));
        assert_eq!(about_ours, None, "{said}");
    }
}

#[test]
fn the_unit_gives_the_relay_little_to_reach() {
    if is_there("systemd-analyze") {
        // In tenths: 0 is a service that can do nothing, 100 one that can do everything. What is left are sockets, the
        // capability, and memory for machine code: 17 by systemd 252, and releases differ a little.
        let said = analyzed(
            &["security", "--offline=true", "--no-pager", "--threshold=20"],
            &["outpost.service"],
        );
        assert!(said.contains("Overall exposure level"), "{said}");
    }
}

#[test]
fn a_relay_that_sees_processes_only_in_proc_knows_the_name_of_its_machine() {
    // As ProcSubset= of the unit does.
    if !may_mount() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let ip = Address::of_this_test();
    let configuration = format!(
        "[submission]\naddresses = [\"{ip}\"]\nports = \"2525\"\nimplicit_tls_ports = \"\"\n\
         [admin]\naddress = \"{ip}:8025\"\n"
    );
    fs::write(folder.path().join("outpost.toml"), configuration).unwrap();
    let script = "hostname relay.example && mount -t proc -o subset=pid proc /proc && exec \"$0\"";
    let mut relay = Program::start(
        Command::new("unshare")
            .args(["--mount", "--uts", "sh", "-c", script])
            .arg(outpost())
            .current_dir(folder.path()),
    );
    relay.wait_for_line("serves as relay.example");
    assert!(relay.terminate().success());
}

/// The package of this build, and what is in it.
struct Package {
    file: PathBuf,
    folder: tempfile::TempDir,
}

impl Package {
    /// None where the system has no such packages.
    fn build() -> Option<Package> {
        if !is_there("dpkg-deb") {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let output = run(Command::new(packaged("deb.sh"))
            .arg(outpost())
            .arg(folder.path())
            .env("DEB_COMPRESSION", "none"));
        assert!(output.status.success(), "{output:?}");
        let file = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
        let package = Package { file, folder };
        package.unpack("--extract", "files");
        package.unpack("--control", "control");
        Some(package)
    }

    fn unpack(&self, what: &str, into: &str) {
        let into = self.folder.path().join(into);
        let output = run(Command::new("dpkg-deb").arg(what).arg(&self.file).arg(into));
        assert!(output.status.success(), "{output:?}");
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("files").join(name)
    }

    fn control(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join("control").join(name)).unwrap()
    }
}

#[test]
fn the_debian_package_has_program_units_configuration_and_documents() {
    let Some(package) = Package::build() else {
        return;
    };
    let control = package.control("control");
    let version = format!("Version: {}-1\n", env!("CARGO_PKG_VERSION"));
    for field in [
        "Package: outpost\n",
        &version,
        "Depends: adduser, libc6 (>= 2.",
    ] {
        assert!(control.contains(field), "{field} in {control}");
    }
    assert!(
        !control.contains('@') || control.matches('@').count() == 1,
        "{control}"
    );
    assert_eq!(package.control("conffiles"), "/etc/outpost/outpost.toml\n");
    for script in ["postinst", "prerm", "postrm"] {
        let path = package.folder.path().join("control").join(script);
        let parsed = run(Command::new("sh").arg("-n").arg(path));
        assert!(parsed.status.success(), "{parsed:?}");
    }

    let list = run(Command::new("dpkg-deb")
        .arg("--contents")
        .arg(&package.file));
    let list = String::from_utf8(list.stdout).unwrap();
    for line in list.lines() {
        let mode = line.split(' ').next().unwrap();
        let program = line.ends_with(" ./usr/bin/outpost");
        let expected = match mode.as_bytes()[0] {
            b'd' => "drwxr-xr-x",
            _ if program => "-rwxr-xr-x",
            _ => "-rw-r--r--",
        };
        assert_eq!(mode, expected, "{line}");
        assert!(line.contains(" root/root "), "{line}");
    }

    let said = run(Command::new(package.file("usr/bin/outpost")).arg("--version"));
    let said = String::from_utf8(said.stdout).unwrap();
    assert_eq!(
        said.trim(),
        format!("outpost {}", env!("CARGO_PKG_VERSION"))
    );
    let checked = run(Command::new(package.file("usr/bin/outpost"))
        .arg("--config")
        .arg(package.file("etc/outpost/outpost.toml"))
        .arg("check"));
    assert!(checked.status.success(), "{checked:?}");
    assert_eq!(checked.stderr, b"", "not even a note");

    // Everything that is referred to is there.
    let mut referring = fs::read_to_string(package.file("etc/outpost/outpost.toml")).unwrap();
    for unit in ["outpost.service", "outpost.socket"] {
        let path = package.file("usr/lib/systemd/system").join(unit);
        referring.push_str(&fs::read_to_string(path).unwrap());
    }
    let named = referring.split_whitespace().filter_map(|word| {
        let at = word.find("/usr/")?;
        Some(word[at + 1..].trim_end_matches(['.', ',', ':']).to_owned())
    });
    let named: Vec<String> = named.collect();
    assert!(named.len() > 3, "{named:?}");
    for name in named {
        assert!(
            package.file(&name).exists(),
            "{name} is named and not there"
        );
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

#[test]
fn the_manual_page_knows_every_command() {
    let page = fs::read_to_string(packaged("outpost.1")).unwrap();
    let help = run(Command::new(outpost()).arg("help"));
    let help = String::from_utf8(help.stdout).unwrap();
    let commands = help
        .split("Commands:\n")
        .nth(1)
        .unwrap()
        .split("\n\n")
        .next()
        .unwrap();
    let commands: Vec<&str> = commands
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|word| !word.is_empty() && *word != "help")
        .collect();
    assert!(commands.len() > 8, "{help}");
    for command in commands {
        let is_told = page.lines().any(|line| {
            line.starts_with(".B") && line.split([' ', '"', ',']).any(|word| word == command)
        });
        assert!(is_told, "{command} is not in outpost.1");
    }
}
