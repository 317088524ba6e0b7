//! Programs that run beside a test and end with it.

use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits for anything that should happen at once; generous, for busy machines.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The top of the repository.
pub fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// The build folder, where tests/install.sh puts what it does not install.
pub fn target() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR");
    target.map_or_else(|| top().join("target"), PathBuf::from)
}

/// The program under test, as the same build made it.
pub fn outpost() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().parent().unwrap().join("outpost");
    assert!(
        program.exists(),
        "{} is missing: cargo build --workspace makes it",
        program.display()
    );
    program
}

/// A loopback address that no other test uses at this time, so that every port on it is free.
pub struct Address;

impl Address {
    /// Another one with each call. It is made of the process id and a count: tests that run at the
    /// same time share neither both.
    pub fn of_this_test() -> IpAddr {
        static COUNT: AtomicU8 = AtomicU8::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let process = std::process::id();
        let octet = |number: u32| u8::try_from(number % 254 + 1).unwrap();
        // 127.0 and 127.255 are other people's.
        let second = 1 + count % 250;
        IpAddr::V4(Ipv4Addr::new(
            127,
            second,
            octet(process / 254),
            octet(process),
        ))
    }
}

/// A running program.
pub struct Program {
    name: String,
    child: Child,
    /// Behind a lock so that threads of a test can share the program; only its owner reads.
    lines: Mutex<Receiver<String>>,
    seen: Vec<String>,
}

impl Program {
    /// Starts it; what it prints, on both streams, is read along.
    pub fn start(command: &mut Command) -> Program {
        Self::start_with_input(command, Stdio::null())
    }

    /// The same, with something to read.
    pub fn start_with_input(command: &mut Command, input: Stdio) -> Program {
        let name = format!("{:?}", command.get_program());
        let mut child = command
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let (sender, lines) = channel();
        let streams: [Box<dyn Read + Send>; 2] = [
            Box::new(child.stdout.take().unwrap()),
            Box::new(child.stderr.take().unwrap()),
        ];
        for stream in streams {
            let sender = sender.clone();
            thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            });
        }
        Program {
            name,
            child,
            lines: Mutex::new(lines),
            seen: Vec::new(),
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line that contains the text, and returns it.
    pub fn wait_for_line(&mut self, text: &str) -> String {
        if let Some(line) = self.seen.iter().find(|line| line.contains(text)) {
            return line.clone();
        }
        let until = Instant::now() + PATIENCE;
        while let Some(line) = self.next_line(until) {
            self.seen.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
        panic!(
            "{} never printed {text:?}, but:\n{}",
            self.name,
            self.seen.join("\n")
        );
    }

    /// The next line; none at the end of both streams, and when it takes too long.
    fn next_line(&mut self, until: Instant) -> Option<String> {
        let patience = until.saturating_duration_since(Instant::now());
        self.lines.get_mut().unwrap().recv_timeout(patience).ok()
    }

    /// Everything that it has printed so far.
    pub fn printed(&mut self) -> String {
        let lines = self.lines.get_mut().unwrap();
        self.seen.extend(lines.try_iter());
        self.seen.join("\n")
    }

    /// Waits for its end, however that comes about.
    pub fn wait(&mut self) -> std::process::ExitStatus {
        let until = Instant::now() + PATIENCE;
        // The end of both streams is the end of the program.
        while let Some(line) = self.next_line(until) {
            self.seen.push(line);
        }
        assert!(
            Instant::now() < until,
            "{} does not end; it printed:\n{}",
            self.name,
            self.seen.join("\n")
        );
        self.child.wait().unwrap()
    }

    /// Asks it to end (SIGTERM), and waits for that.
    pub fn terminate(&mut self) -> std::process::ExitStatus {
        let status = Command::new("kill")
            .arg(self.id().to_string())
            .status()
            .unwrap();
        assert!(status.success());
        self.wait()
    }

    /// Ends it at once (SIGKILL).
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program to its end.
pub fn run(command: &mut Command) -> Output {
    let name = format!("{command:?}");
    command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}
