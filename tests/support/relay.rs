//! A relay under test: the real program with a data folder and an address of its own.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Output};

use serde_json::Value;
use tempfile::TempDir;

use super::{Address, Client, Program, outpost, run};

pub struct Relay {
    program: Program,
    folder: TempDir,
    pub ip: IpAddr,
}

/// The ports of every relay under test; the address is what differs.
pub const SMTP: u16 = 2525;
pub const TLS: u16 = 4650;
pub const ADMIN: u16 = 8025;
/// Where the smarthost of every relay under test is.
pub const SINK: u16 = 2600;

impl Relay {
    /// Starts a relay that sends everything to the sink of its address. `more` is added to the
    /// configuration: top-level keys first, then sections. `[submission]` and routes that stand
    /// there replace the usual ones; in them, `IP` is the address of the test.
    pub fn start(more: &str) -> Relay {
        Self::start_at(Address::of_this_test(), more)
    }

    /// One that takes logins in clear, for tests that look at the dialogue.
    pub fn start_in_clear(more: &str) -> Relay {
        let submission = format!(
            "[submission]\naddresses = [\"IP\"]\nports = \"{SMTP}\"\nimplicit_tls_ports = \"{TLS}\"\nplaintext_auth = true\n"
        );
        let at = more.find('[').unwrap_or(more.len());
        let (top, sections) = more.split_at(at);
        Self::start(&format!("{top}\n{submission}{sections}"))
    }

    pub fn start_at(ip: IpAddr, more: &str) -> Relay {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let more = more.replace("IP", &ip.to_string());
        let (top, sections) = more.split_at(more.find('[').unwrap_or(more.len()));
        let submission = if sections.contains("[submission]") {
            String::new()
        } else {
            format!(
                "[submission]\naddresses = [\"{ip}\"]\nports = \"{SMTP}\"\nimplicit_tls_ports = \"{TLS}\"\n"
            )
        };
        let route = if sections.contains("[[delivery.route]]") {
            String::new()
        } else {
            format!("[[delivery.route]]\nrecipients = \"*\"\nsmarthost = \"{ip}:{SINK}\"\n")
        };
        let text = format!(
            "hostname = \"relay.test\"\ndata_dir = \"{}\"\n{top}\n{submission}\n[admin]\naddress = \"{ip}:{ADMIN}\"\n\
             {sections}\n{route}",
            data.display()
        );
        fs::write(folder.path().join("outpost.toml"), text).unwrap();
        let mut relay = Relay {
            program: Program::start(&mut Self::command(&folder)),
            folder,
            ip,
        };
        relay.program.wait_for_line("console ");
        relay
    }

    fn command(folder: &TempDir) -> Command {
        let mut command = Command::new(outpost());
        command
            .arg("--config")
            .arg(folder.path().join("outpost.toml"))
            .current_dir(folder.path());
        command
    }

    /// Starts it again on the same data.
    pub fn restart(&mut self) {
        self.program = Program::start(&mut Self::command(&self.folder));
        self.program.wait_for_line("console ");
    }

    pub fn kill(&mut self) {
        self.program.kill();
    }

    pub fn terminate(&mut self) -> ExitStatus {
        self.program.terminate()
    }

    pub fn id(&self) -> u32 {
        self.program.id()
    }

    pub fn program(&mut self) -> &mut Program {
        &mut self.program
    }

    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn smtp(&self) -> SocketAddr {
        (self.ip, SMTP).into()
    }

    pub fn admin(&self) -> SocketAddr {
        (self.ip, ADMIN).into()
    }

    /// A connection to the submission port, greeted.
    pub fn connect(&self) -> Client {
        Client::connect(self.smtp())
    }

    /// Runs a command of the command line against it.
    pub fn outpost(&self, arguments: &[&str]) -> Output {
        let mut command = Self::command(&self.folder);
        run(command.args(arguments))
    }

    /// Runs a command that must succeed, and reads what it prints as JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
        let output = self.outpost(&arguments);
        let printed = String::from_utf8_lossy(&output.stdout);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "outpost {}: {printed}{said}",
            arguments.join(" ")
        );
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
    }

    /// Makes a user that may send as any address of the domains; returns its password.
    pub fn user(&self, name: &str, domains: &str) -> String {
        let user = self.json(&[
            "user",
            "add",
            "--list",
            "default",
            "--name",
            name,
            "--domains",
            domains,
        ]);
        user["password"].as_str().unwrap().to_owned()
    }

    /// The text of a page of the admin address, which must answer 200.
    pub fn get(&self, path: &str) -> String {
        let output = run(Command::new("curl").args([
            "-sS",
            "--fail",
            &format!("http://{}{path}", self.admin()),
        ]));
        assert!(
            output.status.success(),
            "{path}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Everything that it has logged and printed.
    pub fn printed(&mut self) -> String {
        self.program.printed()
    }
}
