//! A next hop under test: `outpost sink`, and what it has received.

use std::collections::HashSet;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::program::PATIENCE;
use super::relay::SINK;
use super::{Program, outpost};

pub struct Sink {
    pub program: Program,
    folder: TempDir,
}

/// A message that arrived.
#[derive(Clone, Debug)]
pub struct Received {
    pub envelope: Value,
    pub content: Vec<u8>,
}

impl Sink {
    /// Starts a sink where the relay of that address sends to.
    pub fn start(ip: IpAddr, options: &[&str]) -> Sink {
        Self::start_on(ip, SINK, options)
    }

    /// Starts one on another port.
    pub fn start_on(ip: IpAddr, port: u16, options: &[&str]) -> Sink {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("store")).unwrap();
        let mut command = Command::new(outpost());
        command.args([
            "sink",
            "--quiet",
            "--listen",
            &format!("{ip}:{port}"),
            "--store",
        ]);
        command
            .arg(folder.path().join("store"))
            .arg("--record")
            .arg(folder.path().join("record.jsonl"));
        let mut program = Program::start(command.args(options));
        program.wait_for_line("listening on");
        Sink { program, folder }
    }

    pub fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// The arrival times, one JSON object a line. A line that is being written is left out.
    pub fn record(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.path().join("record.jsonl")).unwrap();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// What has arrived so far, in order of arrival.
    pub fn received(&self) -> Vec<Received> {
        // What has a name stands in the record already.
        let contents = self.contents();
        let ends = self.record().into_iter();
        let ends = ends.filter(|event| event["event"] == "end" && event["accepted"] == true);
        let names = ends.map(|end| {
            let [connection, message] =
                ["connection", "message"].map(|number| end[number].as_u64().unwrap());
            format!("{connection:06}-{message:06}.eml")
        });
        names
            .map(|name| self.store().join(name))
            .filter(|path| contents.contains(path))
            .map(|path| Received::read(&path))
            .collect()
    }

    fn contents(&self) -> HashSet<PathBuf> {
        // The content gets its name last: what has one is complete.
        fs::read_dir(self.store())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "eml"))
            .collect()
    }

    /// Waits until `count` messages have arrived. The sink tells of a message by a file: there is no
    /// event to wait for.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<Received> {
        let until = Instant::now() + PATIENCE;
        loop {
            // Names are cheap to count; contents are read once.
            if self.count() >= count {
                return self.received();
            }
            assert!(
                Instant::now() < until,
                "{} of {count} messages arrived",
                self.count()
            );
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// How many messages have arrived so far.
    pub fn count(&self) -> usize {
        self.contents().len()
    }
}

impl Received {
    fn read(path: &Path) -> Received {
        Received {
            envelope: serde_json::from_slice(&fs::read(path.with_extension("json")).unwrap())
                .unwrap(),
            content: fs::read(path).unwrap(),
        }
    }

    /// The recipients of the envelope.
    pub fn recipients(&self) -> Vec<String> {
        let recipients = self.envelope["recipients"].as_array().unwrap();
        recipients
            .iter()
            .map(|recipient| recipient["to"].as_str().unwrap().to_owned())
            .collect()
    }

    /// The content behind the trace field of the relay.
    #[track_caller]
    pub fn submitted(&self) -> &[u8] {
        let lines = self.content.split_inclusive(|octet| *octet == b'\n');
        let mut trace = 0;
        for (index, line) in lines.enumerate() {
            let belongs = match index {
                0 => line.starts_with(b"Received: from "),
                _ => line.starts_with(b" "),
            };
            if !belongs {
                break;
            }
            trace += line.len();
        }
        assert!(trace > 0, "no trace field: {}", self.text());
        &self.content[trace..]
    }

    /// A header field of the content, unfolded.
    pub fn field(&self, name: &str) -> Option<String> {
        let text = self.text();
        let (header, _) = text.split_once("\r\n\r\n")?;
        let unfolded = header.replace("\r\n ", " ").replace("\r\n\t", " ");
        unfolded.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found
                .eq_ignore_ascii_case(name)
                .then(|| value.trim().to_owned())
        })
    }

    /// The content as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.content).into_owned()
    }
}
