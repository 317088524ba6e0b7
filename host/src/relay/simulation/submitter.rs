//! Submitters: log in, send a few messages over one connection, and sometimes break off.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::World;
use super::contents::{content, stuffed};
use super::house::{PASSWORD, User};
use super::life::Life;
use super::weather::{DOMAINS, HOME};
use super::witness::{Mail, Recipient, Standing};
use crate::message::{Class, MessageId};

/// Octets that are sent at once.
const PIECE: usize = 16 << 10;

/// A submitter's side of a connection.
struct Submitter<'a> {
    world: &'a World,
    life: &'a Life,
    user: &'a User,
    stream: DuplexStream,
    read: Vec<u8>,
}

/// Lets one submitter come, who sends a few messages.
pub(super) async fn come(world: Arc<World>, life: Arc<Life>) {
    let user = &world.house.users[world.dice.index(world.house.users.len())];
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    life.serve(theirs, user.client);
    let mut submitter = Submitter {
        world: &world,
        life: &life,
        user,
        stream: ours,
        read: Vec::new(),
    };
    // A connection may break at any moment; what was said until then is known.
    drop(submitter.converse().await);
}

impl Submitter<'_> {
    async fn converse(&mut self) -> io::Result<()> {
        self.reply().await?;
        self.ask("EHLO submitter.example\r\n").await?;
        let name = &self.user.name;
        let response =
            base64::engine::general_purpose::STANDARD.encode(format!("\0{name}\0{PASSWORD}"));
        let reply = self.ask(&format!("AUTH PLAIN {response}\r\n")).await?;
        if !reply.starts_with("235") {
            self.wrong(&format!("a login was answered {reply}"));
        }
        for _ in 0..=self.world.dice.below(5) {
            self.send().await?;
            tokio::time::sleep(self.world.dice.pause(Duration::from_secs(2))).await;
        }
        self.ask("QUIT\r\n").await.map(drop)
    }

    async fn send(&mut self) -> io::Result<()> {
        let dice = &self.world.dice;
        let is_foreign = dice.happens(20);
        let octets = match dice.happens(self.world.weather.large) {
            true => dice.index(120_000),
            false => dice.index(2_500),
        };
        let priority = dice.happens(400).then(|| 1 + dice.below(5) as u8);
        let own = priority.and_then(Class::from_number);
        let class = own.map_or(self.user.priority, |own| own.min(self.user.priority));
        let (mail, key, content, envelope) = {
            let mut seen = self.world.witness.seen();
            let key = seen.mails.len();
            // So a next hop knows at MAIL what comes.
            let from = match is_foreign {
                true => "somebody@elsewhere.example".to_owned(),
                false => format!("{}+k{key}@{}", self.user.name, DOMAINS[HOME]),
            };
            let mut mail = Mail::new(from.clone(), priority, class, octets);
            let mut envelope = format!("MAIL FROM:<{from}>\r\n");
            for index in 0..=dice.index(4).min(dice.index(4)) {
                let domain = DOMAINS[1 + dice.index(DOMAINS.len() - 1)];
                let address = format!("r{index}.k{key}@{domain}");
                envelope.push_str(&format!("RCPT TO:<{address}>\r\n"));
                mail.recipients.push(Recipient::new(address));
            }
            envelope.push_str("DATA\r\n");
            let content = stuffed(&content(key, &mail.from, priority, octets));
            seen.mails.push(mail.clone());
            (mail, key, content, envelope)
        };
        self.stream.write_all(envelope.as_bytes()).await?;
        let mut is_asked = true;
        for command in 0..mail.recipients.len() + 2 {
            let reply = self.reply().await?;
            is_asked &= reply.starts_with(['2', '3']);
            if command == 0 && is_foreign == reply.starts_with('2') {
                self.wrong(&format!(
                    "MAIL of {key}, foreign: {is_foreign}, was answered {reply}"
                ));
            }
        }
        if !is_asked {
            self.world.witness.seen().tally.refused += 1;
            return self.ask("RSET\r\n").await.map(drop);
        }
        self.content(key, &content).await?;
        // From here on it may be the relay's, whether or not anybody hears so.
        self.set(key, Standing::Unsure);
        self.stream.write_all(b".\r\n").await?;
        if dice.happens(self.world.weather.breaking_off / 4) {
            return self.breaks_off();
        }
        let reply = match self.reply().await {
            Ok(reply) => reply,
            Err(error) => {
                self.world.witness.seen().tally.unsure += 1;
                return Err(error);
            }
        };
        let id = reply
            .strip_prefix("250 2.0.0 Queued as ")
            .map(str::trim_end);
        match id.and_then(|id| id.parse().ok()) {
            Some(id) => self.accepted(key, id, &mail),
            // Nobody hears what a machine without power says.
            None if self.life.is_out() => {}
            None => self.refused(key),
        }
        Ok(())
    }

    async fn content(&mut self, key: usize, content: &[u8]) -> io::Result<()> {
        let dice = &self.world.dice;
        let breaks_at = dice
            .happens(self.world.weather.breaking_off)
            .then(|| dice.index(content.len()));
        for (index, piece) in content.chunks(PIECE).enumerate() {
            if let Some(at) = breaks_at.filter(|at| *at < (index + 1) * PIECE) {
                self.stream.write_all(&piece[..at - index * PIECE]).await?;
                return self.breaks_off();
            }
            self.stream.write_all(piece).await?;
            if dice.happens(100) {
                tokio::time::sleep(dice.pause(Duration::from_secs(20))).await;
            }
        }
        debug_assert!(self.world.witness.seen().mails[key].standing == Standing::Void);
        Ok(())
    }

    fn accepted(&self, key: usize, id: MessageId, mail: &Mail) {
        self.world.witness.seen().accepted(key, id);
        if let [only] = mail.recipients.as_slice()
            && let Some((_, domain)) = only.address.split_once('@')
        {
            let user = &self.user.name;
            self.life.watched.waits(id, mail.class, user, domain);
        }
    }

    fn refused(&self, key: usize) {
        let mut seen = self.world.witness.seen();
        seen.mails[key].standing = Standing::Void;
        seen.tally.refused += 1;
    }

    fn set(&self, key: usize, standing: Standing) {
        self.world.witness.seen().mails[key].standing = standing;
    }

    fn wrong(&self, what: &str) {
        self.world.witness.seen().wrong(what.to_owned());
    }

    fn breaks_off(&self) -> io::Result<()> {
        Err(io::ErrorKind::ConnectionAborted.into())
    }

    async fn ask(&mut self, line: &str) -> io::Result<String> {
        self.stream.write_all(line.as_bytes()).await?;
        self.reply().await
    }

    /// The last line of the next reply.
    async fn reply(&mut self) -> io::Result<String> {
        loop {
            while let Some(end) = memchr::memchr(b'\n', &self.read) {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                if line.get(3) == Some(&b' ') {
                    return Ok(String::from_utf8_lossy(&line).into_owned());
                }
            }
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}
