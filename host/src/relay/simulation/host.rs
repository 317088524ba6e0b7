//! A next hop: takes mail as a host does, and breaks off, refuses, dawdles or falls silent as its temper has it.
//!
//! It is written line by line and not on the protocol core, so that it can do what no host should.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, timeout};

use super::World;
use super::contents::{KEY, field, unstuffed};
use super::road::WireId;
use super::weather::{DOMAINS, HOME, Temper};
use super::witness::{Seen, Taken};

/// For how long a host that greylists has to be waited for.
const GREY: Duration = Duration::from_secs(300);

/// So long a host in stress waits for the next octet of a content.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection to a next hop, from its side.
pub(super) struct Host {
    world: Arc<World>,
    hop: usize,
    wire: WireId,
    stream: DuplexStream,
    read: Vec<u8>,
    /// So much of it has been used.
    used: usize,
    transaction: Transaction,
}

/// What has been said of a message so far.
#[derive(Default)]
struct Transaction {
    has_begun: bool,
    is_report: bool,
    /// Keys and indexes, as the addresses name them.
    recipients: Vec<(usize, usize)>,
    chunks: Vec<u8>,
    /// Whether a chunk was refused, so that the others are too.
    is_spoiled: bool,
}

/// The conversation is over.
type Over = io::Error;

fn over() -> Over {
    io::ErrorKind::ConnectionAborted.into()
}

/// Opens a connection to a next hop, or says why there is none.
pub(super) fn dial(world: &Arc<World>, hop: usize) -> io::Result<(DuplexStream, WireId)> {
    let temper = &world.weather.hops[hop];
    let is_down = temper.spells.is_some_and(|minutes| {
        let now = world.witness.seen().now();
        now.as_secs() / 60 / minutes % 2 == 1
    });
    if is_down || world.dice.happens(temper.unreachable) {
        return Err(match world.dice.happens(300) {
            true => io::ErrorKind::WouldBlock.into(),
            false => io::ErrorKind::ConnectionRefused.into(),
        });
    }
    let buffered = temper.reads.map_or(64 * 1024, |_| 4 * 1024);
    let (ours, theirs) = tokio::io::duplex(buffered);
    let wire = world.road.connect(hop);
    let host = Host {
        world: Arc::clone(world),
        hop,
        wire,
        stream: theirs,
        read: Vec::new(),
        used: 0,
        transaction: Transaction::default(),
    };
    drop(tokio::spawn(host.serve()));
    Ok((ours, wire))
}

impl Host {
    async fn serve(mut self) {
        // However it ends, what counts was witnessed.
        drop(self.converse().await);
        // The relay may not know of it at once.
        self.world.road.refuses(self.wire);
    }

    fn temper(&self) -> &Temper {
        &self.world.weather.hops[self.hop]
    }

    fn happens(&self, odds: impl Fn(&Temper) -> u64) -> bool {
        self.world.dice.happens(odds(self.temper()))
    }

    async fn converse(&mut self) -> Result<(), Over> {
        if self.happens(|temper| temper.unwelcoming) {
            match self.world.dice.below(3) {
                0 => self.say("421 4.3.2 Not now\r\n").await?,
                1 => self.say("554 5.3.2 Not you\r\n").await?,
                _ => return self.hang().await,
            }
            return Ok(());
        }
        self.say("220 host ESMTP\r\n").await?;
        loop {
            let idle = self.world.dice.pause(self.temper().idle) + Duration::from_millis(1);
            let is_idle = self.transaction.recipients.is_empty() && !self.transaction.has_begun;
            let line = match is_idle {
                true => match timeout(idle, self.line()).await {
                    Ok(line) => line?,
                    Err(_) if self.world.dice.happens(500) => {
                        return self.say("421 4.4.2 You were idle\r\n").await;
                    }
                    Err(_) => return Ok(()),
                },
                false => self.line().await?,
            };
            self.dawdle().await;
            let verb = line.split([' ', ':']).next().unwrap_or_default();
            match verb {
                "EHLO" => {
                    let mut reply = "250-host\r\n250-8BITMIME\r\n250-SIZE\r\n".to_owned();
                    if self.temper().pipelining {
                        reply.push_str("250-PIPELINING\r\n");
                    }
                    if self.temper().chunking {
                        reply.push_str("250-CHUNKING\r\n");
                    }
                    reply.push_str("250 ENHANCEDSTATUSCODES\r\n");
                    self.say(&reply).await?;
                }
                "MAIL" => self.mail(&line).await?,
                "RCPT" => self.rcpt(&line).await?,
                "DATA" => self.data().await?,
                "BDAT" => self.chunk(&line).await?,
                "RSET" => {
                    self.transaction = Transaction::default();
                    self.say("250 2.0.0 Forgotten\r\n").await?;
                }
                "QUIT" => return self.say("221 2.0.0 Bye\r\n").await,
                _ => self.say("250 2.0.0 Well\r\n").await?,
            }
        }
    }

    async fn mail(&mut self, line: &str) -> Result<(), Over> {
        if self.happens(|temper| temper.busy) {
            return self.say("451 4.3.2 Later\r\n").await;
        }
        self.transaction = Transaction {
            has_begun: true,
            is_report: line.starts_with("MAIL FROM:<>"),
            ..Transaction::default()
        };
        self.say("250 2.1.0 Go on\r\n").await
    }

    async fn rcpt(&mut self, line: &str) -> Result<(), Over> {
        if !self.transaction.has_begun {
            return self.say("503 5.5.1 From whom?\r\n").await;
        }
        let address = line
            .strip_prefix("RCPT TO:<")
            .and_then(|line| line.split('>').next())
            .unwrap_or_default()
            .to_owned();
        let is_of_here = address.ends_with(&format!("@{}", DOMAINS[self.hop]));
        let recipient = match self.transaction.is_report {
            true => Some((usize::MAX, 0)),
            false => named(&address),
        };
        let Some(recipient) = recipient.filter(|_| is_of_here) else {
            let hop = DOMAINS[self.hop];
            self.world
                .witness
                .seen()
                .wrong(format!("{line} came to {hop}"));
            return Err(over());
        };
        if self.happens(|temper| temper.busy) {
            return self.say("450 4.2.1 Busy\r\n").await;
        }
        if self.temper().greylists && self.world.is_grey(&address, GREY) {
            return self.say("451 4.7.1 Greylisted\r\n").await;
        }
        // The same recipient is refused each time, or never.
        let refusing = self.temper().refusing;
        let draw = (recipient.0 as u64)
            .wrapping_mul(31)
            .wrapping_add(recipient.1 as u64 * 7);
        if self.hop != HOME && draw.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32 & 1_023 < refusing {
            return self.say("550 5.1.1 Nobody\r\n").await;
        }
        self.transaction.recipients.push(recipient);
        self.say("250 2.1.5 Fine\r\n").await
    }

    async fn data(&mut self) -> Result<(), Over> {
        if self.transaction.recipients.is_empty() {
            return self.say("503 5.5.1 To whom?\r\n").await;
        }
        self.say("354 Go on\r\n").await?;
        let cut = self.happens(|temper| temper.cutting);
        let cut = cut.then(|| self.world.dice.index(40_000));
        let mut from = 0;
        let end = loop {
            let unread = &self.read[self.used..];
            if cut.is_some_and(|octets| unread.len() >= octets) {
                return Err(over());
            }
            if let Some(at) = memchr::memmem::find(&unread[from..], b"\r\n.\r\n") {
                break from + at;
            }
            from = unread.len().saturating_sub(4);
            self.more_content().await?;
        };
        let content = unstuffed(&self.read[self.used..self.used + end + 2]);
        self.used += end + 5;
        self.end_of_content(&content).await
    }

    async fn chunk(&mut self, line: &str) -> Result<(), Over> {
        let mut words = line.split(' ').skip(1);
        let octets: usize = words
            .next()
            .and_then(|word| word.parse().ok())
            .ok_or_else(over)?;
        let is_last = words.next().is_some();
        if self.happens(|temper| temper.cutting) {
            let octets = self.world.dice.index(octets + 1);
            self.fill(octets).await?;
            return Err(over());
        }
        self.fill(octets).await?;
        let chunk = &self.read[self.used..self.used + octets];
        self.transaction.chunks.extend_from_slice(chunk);
        self.used += octets;
        self.transaction.is_spoiled |= self.transaction.recipients.is_empty();
        if self.transaction.is_spoiled {
            return self.say("503 5.5.1 To whom?\r\n").await;
        }
        if !is_last {
            return self.say("250 2.0.0 Got it\r\n").await;
        }
        let content = std::mem::take(&mut self.transaction.chunks);
        self.end_of_content(&content).await
    }

    /// The whole content is here: what becomes of it?
    async fn end_of_content(&mut self, content: &[u8]) -> Result<(), Over> {
        let transaction = std::mem::take(&mut self.transaction);
        let is_home = self.hop == HOME;
        if self.happens(|temper| temper.putting_off) {
            return self.say("452 4.3.1 Full\r\n").await;
        }
        if !is_home && self.happens(|temper| temper.refusing / 4) {
            return self.say("554 5.7.1 Not this\r\n").await;
        }
        let is_cut = self.happens(|temper| temper.cutting_last);
        let is_silent = self.happens(|temper| temper.silent);
        let is_lost = (is_cut || is_silent) && self.world.dice.happens(500);
        let taken = match is_lost {
            true => Taken::Nothing,
            false => self.take(&transaction, content),
        };
        if is_cut {
            return Err(over());
        }
        if is_silent {
            return self.hang().await;
        }
        self.dawdle().await;
        self.world.road.ends(self.wire);
        self.say("250 2.0.0 Taken\r\n").await?;
        self.world.witness.seen().answered(&taken);
        Ok(())
    }

    fn take(&self, transaction: &Transaction, content: &[u8]) -> Taken {
        let mut seen = self.world.witness.seen();
        let key = |content| field(content, KEY).and_then(|key| key.parse::<usize>().ok());
        if transaction.is_report {
            return take_report(&mut seen, content, key(content));
        }
        let head = &content[..content.len().min(2_000)];
        match key(head) {
            Some(key) if transaction.recipients.iter().all(|(of, _)| *of == key) => {
                let indexes: Vec<usize> =
                    transaction.recipients.iter().map(|(_, at)| *at).collect();
                seen.takes(key, &indexes, content)
            }
            key => {
                let recipients = &transaction.recipients;
                seen.wrong(format!("the content of {key:?} came for {recipients:?}"));
                Taken::Nothing
            }
        }
    }

    async fn dawdle(&self) {
        let pause = self.world.dice.pause(self.temper().slow);
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }

    /// Says nothing any more until the other side has gone.
    async fn hang(&mut self) -> Result<(), Over> {
        loop {
            self.more().await?;
            self.used = self.read.len();
        }
    }

    async fn say(&mut self, reply: &str) -> Result<(), Over> {
        if reply.starts_with(['4', '5']) {
            self.world.road.refuses(self.wire);
        }
        self.stream.write_all(reply.as_bytes()).await
    }

    async fn line(&mut self) -> Result<String, Over> {
        loop {
            let unread = &self.read[self.used..];
            if let Some(end) = memchr::memchr(b'\n', unread) {
                let line = String::from_utf8_lossy(&unread[..end])
                    .trim_end()
                    .to_owned();
                self.used += end + 1;
                return Ok(line);
            }
            self.more().await?;
        }
    }

    async fn fill(&mut self, octets: usize) -> Result<(), Over> {
        while self.read.len() - self.used < octets {
            self.more_content().await?;
        }
        Ok(())
    }

    /// Reads on as fast as it can. Whatever the relay pauses for, it is not silent for long.
    async fn more_content(&mut self) -> Result<(), Over> {
        let before = self.read.len() - self.used;
        let since = Instant::now();
        let read = timeout(PATIENCE, self.more()).await;
        let rules = self.world.rules();
        if let Some(what) = self.world.road.has_waited(self.wire, since, rules) {
            self.world.witness.seen().wrong(what);
        }
        match read {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                // Or when the message is removed; nothing else that it does is a reason.
                let may_hang_up = self.world.may_hang_up();
                let recipient = self.transaction.recipients.first();
                let mut seen = self.world.witness.seen();
                let may_be_gone = recipient.is_some_and(|(key, _)| seen.has_been_removed(*key));
                if !may_hang_up && !may_be_gone {
                    let hop = DOMAINS[self.hop];
                    seen.wrong(format!("{hop} heard only a part of a content: {error}"));
                }
                return Err(error);
            }
            Err(_) => {
                // Where there is a capacity, those of lower classes wait for their share of it.
                if self.world.weather.gate.capacity.is_none() {
                    let hop = DOMAINS[self.hop];
                    let mut seen = self.world.witness.seen();
                    seen.wrong(format!("{hop} heard nothing of a content for {PATIENCE:?}"));
                }
                return Err(over());
            }
        }
        if let Some(reads) = self.temper().reads {
            let octets = self.read.len() - self.used - before;
            let takes = Duration::from_secs_f64(octets as f64 / reads as f64);
            tokio::time::sleep(takes).await;
        }
        Ok(())
    }

    async fn more(&mut self) -> Result<(), Over> {
        if self.used == self.read.len() {
            self.read.clear();
            self.used = 0;
        }
        self.read.reserve(4_096);
        match self.stream.read_buf(&mut self.read).await? {
            0 => Err(over()),
            _ => Ok(()),
        }
    }
}

fn take_report(seen: &mut Seen, content: &[u8], key: Option<usize>) -> Taken {
    let id = field(content, "Message-ID: ")
        .unwrap_or_default()
        .to_owned();
    let Some(key) = key else {
        seen.wrong(format!(
            "the report {id} does not say of which message it is"
        ));
        return Taken::Nothing;
    };
    let mut failed = Vec::new();
    let mut recipient = None;
    for line in content.split(|octet| *octet == b'\n') {
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end();
        if let Some(address) = line.strip_prefix("Final-Recipient: rfc822; ") {
            recipient = named(address);
        }
        if line == "Action: failed" {
            match recipient.filter(|(of, _)| *of == key) {
                Some((_, index)) => failed.push(index),
                None => seen.wrong(format!(
                    "the report {id} about message {key} is about another one"
                )),
            }
        }
    }
    match failed.is_empty() {
        // Of a delay, or of nobody.
        true => Taken::Nothing,
        false => seen.takes_report(&id, key, &failed),
    }
}

/// The message and the recipient that an address names.
pub(super) fn named(address: &str) -> Option<(usize, usize)> {
    let (local, _) = address.split_once('@')?;
    let (index, key) = local.strip_prefix('r')?.split_once(".k")?;
    Some((key.parse().ok()?, index.parse().ok()?))
}
