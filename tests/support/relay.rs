//! A relay under test: the real program with a data folder and an address of its own.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::http::{self, Answer};
use super::{Address, Client, Program, outpost, run};

/// How a relay is started: for its folder, what is run (the arguments follow), and what that reads.
pub type Launch<'a> = &'a dyn Fn(&Path) -> (Command, Stdio);

pub struct Relay {
    program: Program,
    folder: TempDir,
    environment: Vec<(String, String)>,
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
    /// there replace the usual ones, and the comment `# mx` leaves the route out; `IP` is the address
    /// of the test.
    pub fn start(more: &str) -> Relay {
        Self::start_at(Address::of_this_test(), more, &[])
    }

    /// One that takes logins in clear, for tests that look at the dialogue.
    pub fn start_in_clear(more: &str) -> Relay {
        let more = format!("{more}\n# in clear\n");
        Self::start(&more)
    }

    /// Starts one with an address that is known beforehand, and environment variables.
    pub fn start_at(ip: IpAddr, more: &str, environment: &[(&str, &str)]) -> Relay {
        let mut relay = Self::spawn_at(ip, more, environment);
        relay.program.wait_for_line("user add --domains");
        relay
    }

    /// The same, and does not wait until it serves.
    pub fn spawn_at(ip: IpAddr, more: &str, environment: &[(&str, &str)]) -> Relay {
        let folder = tempfile::tempdir().unwrap();
        let environment: Vec<_> = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        write_configuration(folder.path(), ip, more);
        Relay {
            program: Program::start(&mut command(folder.path(), &environment)),
            folder,
            environment,
            ip,
        }
    }

    /// Starts one by another program.
    pub fn start_by(ip: IpAddr, more: &str, launch: Launch<'_>) -> Relay {
        let folder = tempfile::tempdir().unwrap();
        write_configuration(folder.path(), ip, more);
        let mut relay = Relay {
            program: launched(folder.path(), launch),
            folder,
            environment: Vec::new(),
            ip,
        };
        relay.wait_until_it_serves();
        relay
    }

    /// Starts it again on the same data by another program.
    pub fn restart_by(&mut self, launch: Launch<'_>) {
        self.program = launched(self.folder.path(), launch);
        self.wait_until_it_serves();
    }

    /// Starts it again on the same data.
    pub fn restart(&mut self) {
        self.spawn();
        self.wait_until_it_serves();
    }

    /// Starts its program again, and does not wait until it serves.
    pub fn spawn(&mut self) {
        self.program = Program::start(&mut command(self.folder.path(), &self.environment));
    }

    pub fn wait_until_it_serves(&mut self) {
        // What to type next is said only where there are no users yet.
        self.program.wait_for_line("  console         http");
    }

    /// The same, with other settings.
    pub fn restart_with(&mut self, more: &str) {
        self.configure(more);
        self.restart();
    }

    /// Writes another configuration, which the relay is not told of.
    pub fn configure(&self, more: &str) {
        write_configuration(self.folder.path(), self.ip, more);
    }

    /// Writes a configuration for a relay that the test starts by itself.
    pub fn write_configuration(folder: &Path, ip: IpAddr, more: &str) {
        write_configuration(folder, ip, more);
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let id = self.id().to_string();
        let sent = run(Command::new("kill").args(["-s", name, &id]));
        assert!(sent.status.success(), "{sent:?}");
    }

    /// Starts one that must refuse to start, and returns what it says about that.
    #[track_caller]
    pub fn refused(ip: IpAddr, more: &str) -> String {
        Self::refused_by(ip, more, &|_| (Command::new(outpost()), Stdio::null()))
    }

    /// The same, started by another program.
    #[track_caller]
    pub fn refused_by(ip: IpAddr, more: &str, launch: Launch<'_>) -> String {
        let folder = tempfile::tempdir().unwrap();
        write_configuration(folder.path(), ip, more);
        let mut program = launched(folder.path(), launch);
        let status = program.wait();
        let printed = program.printed();
        assert!(!status.success(), "it started: {printed}");
        printed
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

    /// Memory that it has, in octets.
    pub fn resident_octets(&self) -> u64 {
        let statm = fs::read_to_string(format!("/proc/{}/statm", self.id())).unwrap();
        let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
        pages * 4096
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

    /// The certificate that it made for itself.
    pub fn certificate(&self) -> PathBuf {
        self.data().join("self-signed-cert.pem")
    }

    pub fn smtp(&self) -> SocketAddr {
        (self.ip, SMTP).into()
    }

    pub fn tls(&self) -> SocketAddr {
        (self.ip, TLS).into()
    }

    pub fn admin(&self) -> SocketAddr {
        (self.ip, ADMIN).into()
    }

    /// A connection to the submission port, greeted.
    pub fn connect(&self) -> Client {
        Client::connect(self.smtp())
    }

    /// A connection to the submission port that is logged in, in clear.
    #[track_caller]
    pub fn logged_in(&self, name: &str, password: &str) -> Client {
        let mut client = self.connect();
        let reply = client.log_in(name, password);
        assert!(reply.starts_with("235 2.7.0 "), "{reply}");
        client
    }

    /// Runs a command of the command line against it.
    pub fn outpost(&self, arguments: &[&str]) -> Output {
        run(command(self.folder.path(), &[]).args(arguments))
    }

    /// Runs a command that must succeed; what it prints for a person.
    #[track_caller]
    pub fn printed_by(&self, arguments: &[&str]) -> String {
        let output = self.outpost(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "outpost {}: {said}",
            arguments.join(" ")
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that must fail; what it says.
    #[track_caller]
    pub fn complaint_of(&self, arguments: &[&str]) -> String {
        let output = self.outpost(arguments);
        let line = arguments.join(" ");
        assert!(!output.status.success(), "outpost {line} succeeds");
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "",
            "outpost {line}: complaints go to the other stream"
        );
        String::from_utf8(output.stderr).unwrap()
    }

    /// Runs a command that must succeed, and reads what it prints as JSON.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
        let printed = self.printed_by(&arguments);
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
    }

    /// Makes a user that may send as any address of the domains; returns its password.
    #[track_caller]
    pub fn user(&self, name: &str, domains: &str) -> String {
        self.user_with(name, &["--domains", domains])
    }

    /// Makes a user; returns its password.
    #[track_caller]
    pub fn user_with(&self, name: &str, options: &[&str]) -> String {
        let arguments: Vec<&str> = ["user", "add", "--name", name]
            .into_iter()
            .chain(options.iter().copied())
            .collect();
        let user = self.json(&arguments);
        user["password"].as_str().unwrap().to_owned()
    }

    /// Asks the admin API with the token of the data folder.
    pub fn api(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.api_as(&self.token(), method, path, body)
    }

    /// The token of the data folder.
    pub fn token(&self) -> String {
        let token = fs::read_to_string(self.data().join("admin-token")).unwrap();
        token.trim().to_owned()
    }

    /// Asks the admin API with a token; an empty one is left out.
    pub fn api_as(&self, token: &str, method: &str, path: &str, body: Option<&Value>) -> Answer {
        http::ask(
            method,
            &format!("http://{}{path}", self.admin()),
            token,
            body,
        )
    }

    /// Submits a message over HTTP; the query is what stands behind `?`.
    pub fn submit(&self, user: &str, password: &str, query: &str, content: &[u8]) -> Answer {
        self.submit_with(user, password, query, content, &[])
    }

    /// The same, with further arguments for curl.
    pub fn submit_with(
        &self,
        user: &str,
        password: &str,
        query: &str,
        content: &[u8],
        more: &[&str],
    ) -> Answer {
        let url = format!("http://{}/api/v1/messages?{query}", self.admin());
        http::submit(&url, user, password, content, more)
    }

    /// A document of the API, which must answer 200.
    #[track_caller]
    pub fn read(&self, path: &str) -> Value {
        let answer = self.api("GET", path, None);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.document()
    }

    /// A message with its trail.
    #[track_caller]
    pub fn message(&self, id: &str) -> Value {
        self.read(&format!("/api/v1/messages/{id}"))
    }

    /// What is queued.
    pub fn queued(&self) -> Vec<Value> {
        let mut page = self.read("/api/v1/queue?limit=1000");
        page["deliveries"].take().as_array().unwrap().clone()
    }

    /// The text of a page of the admin address that needs no token, which must answer 200.
    #[track_caller]
    pub fn get(&self, path: &str) -> String {
        let answer = self.api_as("", "GET", path, None);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.text
    }

    /// Everything that it has logged and printed.
    pub fn printed(&mut self) -> String {
        self.program.printed()
    }
}

fn launched(folder: &Path, launch: Launch<'_>) -> Program {
    let (mut command, input) = launch(folder);
    command
        .arg("--config")
        .arg(folder.join("outpost.toml"))
        .current_dir(folder);
    Program::start_with_input(&mut command, input)
}

fn command(folder: &Path, environment: &[(String, String)]) -> Command {
    let mut command = Command::new(outpost());
    command
        .arg("--config")
        .arg(folder.join("outpost.toml"))
        .envs(environment.iter().cloned())
        .current_dir(folder);
    command
}

fn write_configuration(folder: &Path, ip: IpAddr, more: &str) {
    let data = folder.join("data");
    let clear = more.contains("# in clear");
    let more = more.replace("IP", &ip.to_string());
    let routes = !more.contains("[[delivery.route]]") && !more.contains("# mx");
    let (top, sections) = more.split_at(more.find('[').unwrap_or(more.len()));
    let mut text = format!(
        "hostname = \"relay.test\"\ndata_dir = \"{}\"\n{top}\n",
        data.display()
    );
    if !sections.contains("[submission]") {
        text.push_str(&format!(
            "[submission]\naddresses = [\"{ip}\"]\nports = \"{SMTP}\"\nimplicit_tls_ports = \"{TLS}\"\n\
             plaintext_auth = {clear}\n"
        ));
    }
    if !sections.contains("[admin]") {
        text.push_str(&format!("[admin]\naddress = \"{ip}:{ADMIN}\"\n"));
    }
    text.push_str(&format!("{sections}\n"));
    if routes {
        text.push_str(&format!(
            "[[delivery.route]]\nrecipients = \"*\"\nsmarthost = \"{ip}:{SINK}\"\n"
        ));
    }
    fs::write(folder.join("outpost.toml"), text).unwrap();
}
