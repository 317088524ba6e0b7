//! What a 250 is worth: nothing is acknowledged before it was synced, and the queue is after kill -9 what
//! it was. Kills under load are crash.rs's.

use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::thread;

use crate::support::{
    Address, Client, Program, Relay, Sink, mail, may_mount, message_id, outpost, run, wait_until,
};

/// A session that has logged in.
fn log_in(address: SocketAddr, password: &str) -> Client {
    let mut client = Client::connect(address);
    let reply = client.log_in("ann", password);
    assert!(reply.starts_with("235"), "{reply}");
    client
}

/// Two kilobytes that tell which message they belong to.
fn content(token: &str) -> String {
    format!(
        "From: ann@a.example\r\nSubject: {token}\r\n\r\n{}",
        format!("A line of {token}.\r\n").repeat(80)
    )
}

#[test]
fn the_queue_is_as_it_was_after_kill() {
    let mut relay = Relay::start_in_clear("[delivery]\nretry = [\"1h\"]\n");
    let password = relay.user("ann", "a.example");
    let mut client = relay.logged_in("ann", &password);
    let ids: Vec<String> = ["deferred", "held", "urgent"]
        .iter()
        .map(|subject| {
            let content = mail("ann@a.example", subject);
            message_id(&client.message("ann@a.example", "bob@d.example", &content))
        })
        .collect();
    wait_until("all have been tried", || {
        let queued = relay.queued();
        queued.len() == 3 && queued.iter().all(|one| one["state"] == "deferred")
    });
    relay.printed_by(&["queue", "hold", &ids[1]]);
    relay.printed_by(&["queue", "set-priority", &ids[2], "--priority", "1"]);
    // An estimate is of the moment.
    let queued = |relay: &Relay| {
        let mut queued = relay.queued();
        for one in &mut queued {
            one["estimate_seconds"].take();
        }
        queued
    };
    let before = queued(&relay);
    let trails: Vec<_> = ids
        .iter()
        .map(|id| relay.message(id)["trail"].clone())
        .collect();
    relay.kill();
    relay.restart();
    assert_eq!(queued(&relay), before);
    for (id, trail) in ids.iter().zip(trails) {
        assert_eq!(relay.message(id)["trail"], trail);
    }
    let sink = Sink::start(relay.ip, &[]);
    relay.printed_by(&["queue", "release", &ids[1]]);
    relay.printed_by(&["queue", "retry", "--all", "--yes"]);
    sink.wait_for(3);
}

const SYNCS: &str = "fsync,fdatasync";

/// The system calls of the relay that strace shows with these options, in their order, while `work`
/// runs.
fn calls(relay: &Relay, options: &[&str], work: impl FnOnce()) -> Vec<String> {
    let file = relay.folder().join("calls");
    let mut strace = Program::start(
        Command::new("strace")
            .args(["-f", "-s", "32", "-e", "signal=none"])
            .args(options)
            .arg("-o")
            .arg(&file)
            .args(["-p", &relay.id().to_string()]),
    );
    strace.wait_for_line("attached");
    work();
    // Its end is the end of the file.
    let interrupt = ["-INT".to_owned(), strace.id().to_string()];
    assert!(run(Command::new("kill").args(interrupt)).status.success());
    strace.wait();
    let text = fs::read_to_string(file).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Whether a sync has ended well in this line. A call during which another thread was seen stands
/// on two lines, and its result on the second.
fn is_sync(line: &str) -> bool {
    (line.contains("fsync") || line.contains("fdatasync")) && line.contains("= 0")
}

#[test]
fn no_message_is_acknowledged_before_a_sync() {
    let relay = Relay::start_in_clear("");
    let sink = Sink::start(relay.ip, &[]);
    let password = relay.user("ann", "a.example");
    let mut client = log_in(relay.smtp(), &password);
    let traced = format!("trace={SYNCS},write,writev,sendto,sendmsg");
    let calls = calls(&relay, &["-e", &traced], || {
        for number in 0..20 {
            let content = content(&number.to_string());
            let reply = client.message("ann@a.example", "bob@d.example", &content);
            assert!(reply.starts_with("250 2.0.0"), "{reply}");
        }
    });
    let mut synced = false;
    let mut acknowledged = 0;
    for line in &calls {
        if is_sync(line) {
            synced = true;
        } else if line.contains("\"354 ") {
            // The content comes now: what was synced before does not count for it.
            synced = false;
        } else if line.contains("\"250 2.0.0 Queued") {
            assert!(synced, "message {acknowledged} of\n{}", calls.join("\n"));
            acknowledged += 1;
        }
    }
    assert_eq!(acknowledged, 20, "{}", calls.join("\n"));
    sink.wait_for(20);
}

/// How many syncs so many messages take over so many connections, on a disk that takes twenty milliseconds
/// for a sync, and a hundred where there are a hundred connections, as strace makes it: on a fast one a busy
/// machine may be done with one message before the next is there, and there is nothing to share.
fn syncs(relay: &Relay, password: &str, connections: usize, messages: usize) -> usize {
    let mut clients: Vec<_> = (0..connections)
        .map(|_| log_in(relay.smtp(), password))
        .collect();
    let microseconds = 20_000.max(connections * 1_000);
    let slow = format!("inject={SYNCS}:delay_enter={microseconds}");
    let calls = calls(
        relay,
        &["-e", &format!("trace={SYNCS}"), "-e", &slow],
        || {
            let sink = Sink::start(relay.ip, &[]);
            thread::scope(|scope| {
                for (sender, client) in clients.iter_mut().enumerate() {
                    scope.spawn(move || {
                        for number in 0..messages / connections {
                            let content = content(&format!("{sender}-{number}"));
                            let reply = client.message("ann@a.example", "bob@d.example", &content);
                            assert!(reply.starts_with("250 2.0.0"), "{reply}");
                        }
                    });
                }
            });
            sink.wait_for(messages);
        },
    );
    calls.iter().filter(|line| is_sync(line)).count()
}

/// How often the syncs are counted anew when there were too many.
const SYNC_COUNTS_MAX: usize = 3;

#[test]
fn connections_share_their_syncs() {
    let relay = Relay::start_in_clear("");
    let password = relay.user("ann", "a.example");
    // At most so many syncs for a hundred messages that come and go; half as many are usual. Whatever else keeps
    // the machine busy holds clients back, so that fewer share a sync, and never makes more of them share one.
    for (connections, messages, most) in [(1, 40, 200), (10, 400, 40), (100, 1_000, 10)] {
        let is_shared = (0..SYNC_COUNTS_MAX).any(|_| {
            let syncs = syncs(&relay, &password, connections, messages);
            eprintln!("{syncs} syncs for {messages} messages over {connections} connections");
            syncs > 0 && syncs * 100 <= messages * most
        });
        assert!(
            is_shared,
            "more than {most} syncs for a hundred messages over {connections} connections"
        );
    }
}

#[test]
fn a_first_start_without_room_is_followed_by_one_that_serves() {
    if !may_mount() {
        return;
    }
    // Where it runs out of room: in the one database, beside the journal, in the other one.
    for octets in ["16k", "48k", "64k", "80k", "112k", "144k"] {
        let script = format!(
            "set -e; mkdir data; mount -t tmpfs -o size={octets} none data
             if \"$0\" \"$@\"; then exit 1; fi
             mount -o remount,size=200m data; exec \"$0\" \"$@\""
        );
        let mut relay = Relay::start_by(Address::of_this_test(), "", &|_| {
            let mut command = Command::new("unshare");
            command
                .args(["--mount", "sh", "-c", &script])
                .arg(outpost());
            (command, Stdio::null())
        });
        let printed = relay.printed();
        let said = [
            "no room on the disk",
            "the disk has no room",
            "No space left on device",
        ];
        assert!(said.iter().any(|said| printed.contains(said)), "{printed}");
    }
}
