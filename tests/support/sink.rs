//! A next hop under test: `outpost sink`, and what it has received.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

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
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("store")).unwrap();
        let mut command = Command::new(outpost());
        command.args([
            "sink",
            "--quiet",
            "--listen",
            &format!("{ip}:{SINK}"),
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

    /// The arrival times, one JSON object a line.
    pub fn record(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.path().join("record.jsonl")).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// What has arrived so far, in order of arrival.
    pub fn received(&self) -> Vec<Received> {
        // The content gets its name last: what has one is complete.
        let mut contents: Vec<PathBuf> = fs::read_dir(self.store())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "eml"))
            .collect();
        contents.sort();
        contents.iter().map(|path| Received::read(path)).collect()
    }

    /// Waits until `count` messages have arrived.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<Received> {
        let until = Instant::now() + PATIENCE;
        loop {
            let received = self.received();
            if received.len() >= count {
                return received;
            }
            assert!(
                Instant::now() < until,
                "{} of {count} messages arrived",
                received.len()
            );
            // The sink tells of a message by a file: there is no event to wait for.
            std::thread::park_timeout(std::time::Duration::from_millis(20));
        }
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

    /// The content as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.content).into_owned()
    }
}
