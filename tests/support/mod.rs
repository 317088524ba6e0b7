//! What the tests drive: a relay and a sink as programs, on addresses of their own, and a plain
//! SMTP client.

mod browser;
mod client;
mod honest;
mod hop;
mod http;
mod names;
mod peers;
mod postfix;
mod program;
mod relay;
mod sink;
mod tls;

use std::time::{Duration, Instant};

pub use browser::{Browser, Colours, ENTER, Screen};
pub use client::{Client, base64, mail, message_id};
pub use honest::{Honest, SERVED_WITHIN};
pub use hop::{Moment, NextHop};
pub use http::{Answer, read as read_answer};
pub use names::Names;
pub use peers::{BEHIND, Peer};
pub use postfix::Postfix;
pub use program::{Address, PATIENCE, Program, outpost, run, target, top};
pub use relay::{Relay, SINK, SMTP};
pub use sink::{Received, Sink};

/// Whether the tests are run by root, as next hops want to be that change their user.
pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    let process = std::fs::metadata("/proc/self");
    process.is_ok_and(|process| process.uid() == 0)
}

/// Whether the tests may mount something in a namespace of their own. Root in a container may not, as a rule.
pub fn may_mount() -> bool {
    let tried = std::process::Command::new("unshare")
        .args(["--mount", "--uts", "true"])
        .output();
    tried.is_ok_and(|tried| tried.status.success())
}

/// Waits until something holds, for what nothing announces.
#[track_caller]
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "in vain: {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}
