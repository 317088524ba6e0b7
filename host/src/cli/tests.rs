//! Commands as they are typed, against a real listener: what is printed, and what is said when it fails.

#![allow(clippy::unwrap_used)]

use std::io;
use std::net::SocketAddr;

use clap::Parser as _;
mod files;
mod queue;
mod senders;
mod users;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::remote::{Access, Person, carry_out};
use crate::admin::tests::{NOW, Surface};
use crate::admin::{Listener, Settings};
use crate::cli::options::{Cli, Command};
use crate::message::{Class, Line, MessageId, NextHop};

/// Somebody who types commands and reads what comes.
#[derive(Default)]
struct Script {
    out: String,
    err: String,
    says: Option<bool>,
    asked: Vec<String>,
    /// Why nothing is heard.
    deaf: Option<io::ErrorKind>,
}

impl Person for Script {
    fn hear(&mut self, text: &str) -> io::Result<()> {
        if let Some(kind) = self.deaf {
            return Err(kind.into());
        }
        self.out.push_str(text);
        Ok(())
    }

    fn notice(&mut self, line: &str) {
        self.err.push_str(line);
        self.err.push('\n');
    }

    fn answer(&mut self, question: &str) -> Option<bool> {
        self.asked.push(question.to_owned());
        self.says
    }
}

/// A relay's admin surface on a port of its own, and its data folder.
struct Running {
    surface: Surface,
    access: Access,
    folder: tempfile::TempDir,
}

impl Running {
    async fn start() -> Self {
        let surface = Surface::start().await;
        let settings = Settings {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            ..Settings::default()
        };
        let listener = Listener::bind(&settings).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let token_file = folder.path().join("admin-token");
        std::fs::write(&token_file, format!("{}\n", surface.admin)).unwrap();
        let access = Access {
            address: listener.address(),
            token_file,
            tls: None,
        };
        tokio::spawn(listener.serve(surface.router.clone(), None, CancellationToken::new()));
        Self {
            surface,
            access,
            folder,
        }
    }

    async fn typed_by(&self, words: &[&str], person: &mut Script) -> bool {
        let words = std::iter::once("outpost").chain(words.iter().copied());
        let Some(Command::Remote(remote)) = Cli::try_parse_from(words).unwrap().command else {
            panic!("not a command for the relay");
        };
        carry_out(&remote, &self.access, person).await
    }

    /// What comes on standard output of a command that works.
    async fn out(&self, line: &str) -> String {
        let mut person = Script::default();
        let words: Vec<&str> = line.split_whitespace().collect();
        assert!(
            self.typed_by(&words, &mut person).await,
            "{line}: {}",
            person.err
        );
        assert_eq!(person.err, "", "{line}");
        person.out
    }

    /// What comes on standard error of a command that does not work.
    async fn err(&self, line: &str) -> String {
        let mut person = Script::default();
        let words: Vec<&str> = line.split_whitespace().collect();
        assert!(
            !self.typed_by(&words, &mut person).await,
            "{line}: {}",
            person.out
        );
        assert_eq!(person.out, "", "{line}");
        person.err
    }
}

#[tokio::test]
async fn lists_are_managed_by_command() {
    let running = Running::start().await;
    assert_eq!(
        running
            .out("list add ops --notify b@x.example;a@x.example")
            .await,
        "name     ops\n\
         notify   a@x.example;b@x.example\n\
         users    0, 0 of them active\n\
         created  2023-11-14T22:13:20.123Z\n\
         changed  2023-11-14T22:13:20.123Z\n"
    );
    assert_eq!(
        running.out("list ls").await,
        "NAME     USERS  ACTIVE  NOTIFY\n\
         default  0      0       none\n\
         ops      0      0       a@x.example;b@x.example\n"
    );
    assert!(
        running
            .out("list set ops --notify c@x.example")
            .await
            .contains("c@x.example")
    );
    assert!(
        running
            .out("list show ops")
            .await
            .contains("notify   c@x.example\n")
    );
    assert_eq!(running.out("list rm ops").await, "list ops is removed\n");
    assert_eq!(
        running.err("list show ops").await,
        "there is no list named \"ops\"\n"
    );
}

#[tokio::test]
async fn json_is_what_the_api_returns() {
    let running = Running::start().await;
    let made: Value =
        serde_json::from_str(&running.out("user add --name app --json").await).unwrap();
    assert!(made["password"].as_str().unwrap().len() > 20);
    let shown: Value = serde_json::from_str(&running.out("user show app --json").await).unwrap();
    assert_eq!(shown, running.surface.get("/api/v1/users/app").await);
    let connection: Value = serde_json::from_str(&running.out("connection --json").await).unwrap();
    assert_eq!(connection, running.surface.get("/api/v1/connection").await);
}

#[tokio::test]
async fn a_refusal_is_a_line_for_each_field() {
    let running = Running::start().await;
    assert_eq!(
        running.err("user add --name - --domains *,b").await,
        "name: \"-\" must start and end with a letter or a digit\n\
         --domains: \"*,b\" contains a comma: items are separated by a semicolon\n"
    );
    let mut person = Script::default();
    let words = ["user", "show", "nobody", "--json"];
    assert!(!running.typed_by(&words, &mut person).await);
    let problem: Value = serde_json::from_str(&person.out).unwrap();
    assert_eq!(problem["status"], 404);
    assert_eq!(person.err, "there is no user named \"nobody\"\n");
}

#[tokio::test]
async fn connection_and_components_are_shown() {
    let running = Running::start().await;
    assert_eq!(
        running.out("connection").await,
        "host         relay.example\n\
         addresses    0.0.0.0\n\
         login        PLAIN or LOGIN, under TLS only\n\
         certificate  self-signed: clients have to be told to trust it\n\
         recommended  host relay.example, port 465, SSL/TLS\n\
         \n\
         PORTS  ENCRYPTION\n\
         25     STARTTLS\n\
         465    SSL/TLS\n\
         587    STARTTLS\n"
    );
    let system = running.out("system").await;
    for line in [
        "relay        relay.example\n",
        "state        ready: it takes mail\n",
        "The configuration in force, without its secrets:\n",
    ] {
        assert!(system.contains(line), "{line}: {system}");
    }
    let system = running.out("system --json").await;
    let system: Value = serde_json::from_str(&system).unwrap();
    assert_eq!(system["hostname"], "relay.example");
    assert_eq!(
        running.out("plugin ls").await,
        "NAME                SOURCE   DIGEST        CONTRACT  QUESTION  ON FAILURE  ANSWERS  FAILURES  \
         MEDIAN  BREAKER\n\
         authorized-senders  shipped  3f2a91b0c4d5  0.1.0     sender    defer       7        2         \
         20 µs   open for 1 user\n"
    );
    assert_eq!(
        running.out("plugin reset authorized-senders").await,
        running.out("plugin ls").await,
        "the component that was reset"
    );
    assert_eq!(
        running.err("plugin reset nobody").await,
        "there is no component nobody\n"
    );
}

#[tokio::test]
async fn admin_secrets_are_printed_once() {
    let running = Running::start().await;
    let token = running.surface.admin.clone();
    assert_eq!(running.out("admin token").await, format!("{token}\n"));
    for line in ["admin token --json", "admin token print --json"] {
        let printed: Value = serde_json::from_str(&running.out(line).await).unwrap();
        assert_eq!(printed, serde_json::json!({ "token": token }));
    }
    let made = running.out("admin token create --name grafana2").await;
    assert!(
        made.starts_with("name   grafana2\ntoken  outpost_"),
        "{made}"
    );
    assert!(
        running
            .out("admin token ls")
            .await
            .contains("grafana2     read     2023")
    );
    assert_eq!(
        running.out("admin token rm grafana2").await,
        "token grafana2 is removed\n"
    );
    let added = running.out("admin add admin --role admin").await;
    assert!(added.starts_with("console user  admin\n"), "{added}");
    running.out("admin add ann@a.example").await;
    let listed = running.out("admin ls").await;
    assert!(listed.contains("ann@a.example  read   never"), "{listed}");
    let set = running.out("admin set ann@a.example --role operate").await;
    assert!(set.contains("ann@a.example  operate  never"), "{set}");
    assert_eq!(
        running.out("admin rm ann@a.example").await,
        "admin ann@a.example is removed\n"
    );
    assert_eq!(
        running.err("admin rm admin").await,
        "admin is the last admin of role admin: without one nobody could make another in the console\n"
    );
    let reset = running.out("admin reset-password").await;
    assert!(
        reset.starts_with("console user  admin\npassword      "),
        "{reset}"
    );
}

#[tokio::test]
async fn where_no_relay_runs_it_says_what_was_tried_and_what_to_type() {
    let running = Running::start().await;
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let token_files = [
        running.access.token_file.clone(),
        running.folder.path().join("none"),
    ];
    for token_file in token_files {
        let running = Running {
            access: Access {
                address,
                token_file,
                tls: None,
            },
            surface: Surface::start().await,
            folder: tempfile::tempdir().unwrap(),
        };
        let said = running.err("user ls").await;
        assert!(
            said.contains(&format!("no relay answers at {address}")),
            "{said}"
        );
        assert!(said.contains("outpost serve"), "{said}");
    }
}

#[tokio::test]
async fn without_a_good_token_it_says_where_the_token_should_be() {
    let running = Running::start().await;
    std::fs::write(&running.access.token_file, "wrong\n").unwrap();
    let said = running.err("user ls").await;
    assert!(
        said.starts_with("this token is not known\nit is the one in "),
        "{said}"
    );
    std::fs::write(&running.access.token_file, "two\nlines\n").unwrap();
    let said = running.err("user ls").await;
    assert!(said.contains("admin-token is not a token"), "{said}");
    std::fs::remove_file(&running.access.token_file).unwrap();
    let said = running.err("user ls").await;
    assert!(said.contains("a relay answers at 127.0.0.1:"), "{said}");
    assert!(said.contains("admin-token cannot be read"), "{said}");
    assert!(
        said.contains("run this in the folder that the relay was started in"),
        "{said}"
    );
}

#[tokio::test]
async fn without_a_token_another_program_is_not_taken_for_a_relay() {
    use tokio::io::AsyncWriteExt as _;

    let other = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = other.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = other.accept().await.unwrap();
        stream.write_all(b"220 mail.example ESMTP\r\n").await
    });
    let folder = tempfile::tempdir().unwrap();
    let running = Running {
        access: Access {
            address,
            token_file: folder.path().join("none"),
            tls: None,
        },
        surface: Surface::start().await,
        folder,
    };
    let said = running.err("user ls").await;
    let expected = format!("what answers at {address} is not the admin API of a relay");
    assert!(said.starts_with(&expected), "{said}");
}

#[tokio::test]
async fn an_answer_that_cannot_be_written_is_told_unless_nobody_listens() {
    let running = Running::start().await;
    for (kind, said) in [
        (
            io::ErrorKind::StorageFull,
            "what was asked is done, but the answer cannot be written: no storage space\n",
        ),
        (io::ErrorKind::BrokenPipe, ""),
    ] {
        let mut person = Script {
            deaf: Some(kind),
            ..Script::default()
        };
        assert!(!running.typed_by(&["user", "add"], &mut person).await);
        assert_eq!(person.err, said);
    }
}

#[tokio::test]
async fn a_reload_is_told_line_by_line_and_so_is_what_stands_against_one() {
    let running = Running::start().await;
    let mut person = Script::default();
    assert!(running.typed_by(&["reload"], &mut person).await);
    assert_eq!(
        person.out,
        "outpost.toml was read again\nchanged: tls\nchanged: plugin\nneeds a restart: admin.address\n\
         note: line 3: plugin: nobody decides\n"
    );
    let mut person = Script::default();
    assert!(!running.typed_by(&["reload"], &mut person).await);
    assert_eq!(
        person.err,
        "line 3: hostname: `a b` is not a host name\n\
         outpost.toml has 2 mistakes: everything stays as it was\n"
    );
}
