//! Writing a dialogue down while it is said.
//!
//! Says nothing of time itself: whoever listens tells when. Commands are noted as they are sent and replies as they
//! come; each reply belongs to the oldest command that waits for one. Bounded, whatever is said: where there is too
//! much, the first exchanges stay, the last ones and those that were refused, and what is left out is counted.

use std::fmt::Write as _;
use std::ops::Range;
use std::time::Duration;

use super::{Speaker, TIME, Transcript, phrases};

/// Octets of one line that are kept: what a command or a line of a reply may have (RFC 5321 §4.5.3.1).
pub(super) const LINE_OCTETS_MAX: usize = 512;

/// Lines of one reply that are kept. The longest EHLO replies in the field have about thirty.
pub(super) const REPLY_LINES_MAX: usize = 40;

/// Octets of one reply that are kept, beyond its first line. A longer one is meant for nobody who reads it.
pub(super) const REPLY_OCTETS_MAX: usize = 2 << 10;

/// Exchanges that are kept from the beginning: the opening with STARTTLS and login, MAIL, and some recipients.
const FIRST: Part = Part {
    exchanges: 24,
    octets: 4 << 10,
};

/// And of those behind them, refused ones: the trail tells what became of each recipient.
const REFUSED: Part = Part {
    exchanges: 64,
    octets: 8 << 10,
};

/// And the last ones: the last recipients and the end of the content.
const LAST: Part = Part {
    exchanges: 16,
    octets: 4 << 10,
};

/// Exchanges of a dialogue that are kept: a command and its reply each.
pub(super) const EXCHANGES_MAX: usize = FIRST.exchanges + REFUSED.exchanges + LAST.exchanges;

/// Octets of all of them that are kept, as they were said; the last exchange of each part may reach beyond it.
pub(super) const DIALOGUE_OCTETS_MAX: usize = FIRST.octets + REFUSED.octets + LAST.octets;

/// From so much on it is looked at what is too much, and then again each time that there is half as much again as
/// was kept: to look costs as much as all that is there. A client that talks for ever costs no more memory than that.
const LOOKED_AT: Part = Part {
    exchanges: 64,
    octets: 8 << 10,
};

/// Octets that a dialogue over a connection that is open already takes, mostly, and its exchanges. Buffers of a
/// scribe that go on with the next message have room for so much, and keep no more than twice that.
const USUAL: Part = Part {
    exchanges: 8,
    octets: 512,
};

/// How much of a dialogue is kept.
struct Part {
    exchanges: usize,
    octets: usize,
}

/// Writes down what is said over one connection.
#[derive(Debug, Default)]
pub struct Scribe {
    /// Everything that was said.
    text: String,
    exchanges: Vec<Exchange>,
    /// Those before this one wait for no reply.
    awaited: usize,
    /// The exchange that the last transaction began with.
    mark: Option<usize>,
    /// What was kept when it was last looked at what is too much: exchanges and octets.
    kept: (usize, usize),
    partial: Partial,
}

/// Something that was said, and what was said to it.
#[derive(Debug)]
struct Exchange {
    what: What,
    sent: u32,
    came: u32,
    said: Range<u32>,
    reply: Range<u32>,
    replies: u32,
    is_refused: bool,
}

#[derive(Debug)]
enum What {
    Command,
    /// A content: octets, and the chunks that they went in, where it was not DATA.
    Content(u64, u32),
    /// The greeting, or another reply that nobody has asked for.
    Unasked,
    Note,
    /// So many exchanges were left out, and so many of them had been refused.
    LeftOut(u64, u64),
}

/// A reply that has not come to its end.
#[derive(Debug, Default)]
struct Partial {
    text: String,
    lines: usize,
    left_out: usize,
}

impl Exchange {
    /// Replies that are still to come.
    fn awaited(&self) -> u32 {
        let expected = match self.what {
            What::Command => 1,
            What::Content(_, chunks) => chunks.max(1),
            What::Unasked | What::Note | What::LeftOut(..) => 0,
        };
        expected.saturating_sub(self.replies)
    }

    fn is_awaited(&self) -> bool {
        self.awaited() > 0
    }

    fn octets(&self) -> usize {
        self.said.len() + self.reply.len()
    }
}

impl Scribe {
    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        self.exchanges.is_empty()
    }

    /// Exchanges that it holds at the moment.
    #[cfg(test)]
    pub(super) fn exchanges(&self) -> usize {
        self.exchanges.len()
    }

    /// Octets of memory that it holds for what was said.
    #[cfg(test)]
    pub(super) fn octets(&self) -> usize {
        self.text.capacity()
    }

    /// Forgets everything, and goes on with the same buffers where they are small.
    pub fn clear(&mut self) {
        let before = std::mem::take(self);
        if before.text.capacity() <= 2 * USUAL.octets
            && before.exchanges.capacity() <= 2 * USUAL.exchanges
        {
            (self.text, self.exchanges) = (before.text, before.exchanges);
            self.text.clear();
            self.exchanges.clear();
        }
    }

    /// A command was sent: a line, with or without its end.
    pub fn command(&mut self, after: Duration, line: &[u8]) {
        let said = self.write(line);
        self.push(What::Command, after, said);
    }

    /// A command was sent that begins a transaction, unless one is open.
    pub fn begin(&mut self, after: Duration, line: &[u8]) {
        let begun = self.mark.and_then(|mark| self.exchanges.get(mark));
        let is_open = begun.is_some_and(|mail| mail.replies > 0 && !mail.is_refused);
        self.command(after, line);
        if !is_open {
            self.mark = self.exchanges.len().checked_sub(1);
        }
    }

    /// Forgets what was said since the last transaction began. So many replies to that are still to come;
    /// `has_content`: one to a content as well, which was not noted unless it is in chunks.
    pub fn forget(&mut self, has_content: bool) -> u32 {
        let Some(mark) = self.mark.take() else {
            return 0;
        };
        let forgotten = self.exchanges.get(mark..).unwrap_or_default();
        let awaited: u32 = forgotten.iter().map(Exchange::awaited).sum();
        let is_answered = |exchange: &Exchange| !matches!(exchange.what, What::Command);
        let is_content_awaited = has_content && !forgotten.iter().any(is_answered);
        self.exchanges.truncate(mark);
        self.text.truncate(self.unclaimed());
        self.awaited = self.awaited.min(mark);
        awaited + u32::from(is_content_awaited)
    }

    /// A chunk of so many octets was announced.
    pub fn chunk(&mut self, after: Duration, octets: u64) {
        let (before, chunks) = match self.exchanges.last().map(|last| &last.what) {
            Some(What::Content(before, chunks)) => (*before, *chunks),
            _ => (0, 0),
        };
        self.content(
            after,
            before.saturating_add(octets),
            chunks.saturating_add(1),
        );
    }

    /// A content has come to its end, of so many octets if it was sent with DATA.
    pub fn content_ends(&mut self, after: Duration, octets: u64) {
        let last = self.exchanges.last().map(|last| &last.what);
        if !matches!(last, Some(What::Content(..))) {
            self.content(after, octets, 0);
        }
    }

    /// Content is being sent: so many octets up to now, and so many chunks where BDAT is used.
    pub fn content(&mut self, after: Duration, octets: u64, chunks: u32) {
        let last = self.exchanges.len().checked_sub(1);
        match (self.exchanges.last_mut(), last) {
            (Some(Exchange { what, .. }), Some(last)) if matches!(what, What::Content(..)) => {
                *what = What::Content(octets, chunks);
                self.awaited = self.awaited.min(last);
            }
            _ => self.push(What::Content(octets, chunks), after, 0..0),
        }
    }

    /// Something happened: one line, in brackets.
    pub fn note(&mut self, after: Duration, text: &str) {
        let start = self.end();
        printable(&mut self.text, text.as_bytes());
        let said = start..self.end();
        self.push(What::Note, after, said);
    }

    /// Lines of a reply have come; `is_whole`: the last of them ends it.
    pub fn reply(&mut self, after: Duration, octets: &[u8], is_whole: bool) {
        self.partial.take(octets);
        if !is_whole {
            return;
        }
        let at = match self.oldest_awaited() {
            Some(at) => at,
            None => {
                self.push(What::Unasked, after, 0..0);
                self.exchanges.len() - 1
            }
        };
        let is_refused = matches!(self.partial.text.as_bytes().first(), Some(b'4' | b'5'));
        let start = self.end();
        self.partial.give(&mut self.text);
        let reply = start..self.end();
        let Some(exchange) = self.exchanges.get_mut(at) else {
            return;
        };
        exchange.replies = exchange.replies.saturating_add(1);
        // Of chunks the first refusal says more than what is said to those behind it.
        if !exchange.is_refused {
            exchange.came = milliseconds(after);
            exchange.reply = reply;
            exchange.is_refused = is_refused;
        }
    }

    /// What was said up to now, within the limits.
    pub fn transcript(&mut self) -> Transcript {
        if self.exchanges.len() > EXCHANGES_MAX || self.text.len() > DIALOGUE_OCTETS_MAX {
            self.leave_out();
        }
        let mut kept = String::with_capacity(self.text.len() + 4 * self.exchanges.len());
        let mut times = [0; 3];
        let mut text = String::new();
        for exchange in &self.exchanges {
            let Exchange { sent, came, .. } = *exchange;
            let said = self.slice(&exchange.said);
            let (by, said) = match &exchange.what {
                What::Command => (Speaker::Client, said),
                What::Note => (Speaker::Note, said),
                What::Content(octets, chunks) => {
                    text.clear();
                    write_content(&mut text, *octets, *chunks);
                    (Speaker::Client, text.as_str())
                }
                What::LeftOut(count, refused) => {
                    text.clear();
                    write_left_out(&mut text, *count, *refused);
                    (Speaker::Note, text.as_str())
                }
                What::Unasked => (Speaker::Client, ""),
            };
            if !said.is_empty() {
                keep(&mut kept, &mut times, by, sent, said);
            }
            let reply = self.slice(&exchange.reply);
            if !reply.is_empty() {
                keep(&mut kept, &mut times, Speaker::Server, came, reply);
            }
        }
        Transcript(kept.into())
    }

    fn oldest_awaited(&mut self) -> Option<usize> {
        let awaited = self.exchanges.iter().skip(self.awaited);
        self.awaited += awaited
            .take_while(|exchange| !exchange.is_awaited())
            .count();
        (self.awaited < self.exchanges.len()).then_some(self.awaited)
    }

    fn push(&mut self, what: What, after: Duration, said: Range<u32>) {
        let much = |kept: usize, least: usize| (kept + kept / 2).max(least);
        if self.exchanges.len() >= much(self.kept.0, LOOKED_AT.exchanges)
            || self.text.len() >= much(self.kept.1, LOOKED_AT.octets)
        {
            self.leave_out();
        }
        if self.exchanges.capacity() == 0 {
            self.exchanges.reserve(USUAL.exchanges);
            self.text.reserve(USUAL.octets);
        }
        // What was written of this one came in before, and is the last of the text.
        let octets = said.len() as u32;
        let said = self.end().saturating_sub(octets)..self.end();
        let sent = milliseconds(after);
        self.exchanges.push(Exchange {
            what,
            sent,
            came: sent,
            said,
            reply: 0..0,
            replies: 0,
            is_refused: false,
        });
    }

    /// Appends a line to the text, and says where it stands.
    fn write(&mut self, line: &[u8]) -> Range<u32> {
        let start = self.end();
        cut(&mut self.text, line);
        start..self.end()
    }

    fn end(&self) -> u32 {
        u32::try_from(self.text.len()).unwrap_or(u32::MAX)
    }

    fn slice(&self, range: &Range<u32>) -> &str {
        let range = range.start as usize..range.end as usize;
        self.text.get(range).unwrap_or_default()
    }

    /// Leaves out what is too much. What waits for a reply stays, and so does what was written and belongs to no
    /// exchange yet.
    fn leave_out(&mut self) {
        let oldest_awaited = self.oldest_awaited().unwrap_or(self.exchanges.len());
        let last_from = self.last_from().min(oldest_awaited);
        let unclaimed = self.unclaimed();
        let room = String::with_capacity(2 * LOOKED_AT.octets);
        let text = std::mem::replace(&mut self.text, room);
        let mut gap = (0, 0);
        let mark = self.mark.take();
        let (mut first, mut refused) = (FIRST, REFUSED);
        let exchanges = std::mem::take(&mut self.exchanges);
        for (at, mut exchange) in exchanges.into_iter().enumerate() {
            let is_kept = match exchange.what {
                What::LeftOut(count, refused) => {
                    gap = (gap.0 + count, gap.1 + refused);
                    continue;
                }
                _ if at >= last_from || Some(at) == mark => true,
                _ if first.has_room_for(&exchange) => true,
                _ => {
                    first.exchanges = 0;
                    exchange.is_refused && refused.has_room_for(&exchange)
                }
            };
            if !is_kept {
                gap = (gap.0 + 1, gap.1 + u64::from(exchange.is_refused));
                continue;
            }
            self.close_gap(&mut gap, exchange.sent);
            if Some(at) == mark {
                self.mark = Some(self.exchanges.len());
            }
            for range in [&mut exchange.said, &mut exchange.reply] {
                let start = self.end();
                let kept = text.get(range.start as usize..range.end as usize);
                self.text.push_str(kept.unwrap_or_default());
                *range = start..self.end();
            }
            self.exchanges.push(exchange);
        }
        let sent = self.exchanges.last().map_or(0, |exchange| exchange.sent);
        self.close_gap(&mut gap, sent);
        self.text
            .push_str(text.get(unclaimed..).unwrap_or_default());
        self.awaited = 0;
        self.kept = (self.exchanges.len(), self.text.len());
    }

    fn close_gap(&mut self, gap: &mut (u64, u64), sent: u32) {
        let (count, refused) = std::mem::take(gap);
        if count > 0 {
            self.exchanges.push(Exchange {
                what: What::LeftOut(count, refused),
                sent,
                came: sent,
                said: 0..0,
                reply: 0..0,
                replies: 0,
                is_refused: false,
            });
        }
    }

    /// Where the last part begins.
    fn last_from(&self) -> usize {
        let mut last = LAST;
        let kept = self.exchanges.iter().rev();
        let kept = kept.take_while(|exchange| last.has_room_for(exchange));
        self.exchanges.len() - kept.count()
    }

    /// Where the text begins that belongs to no exchange.
    fn unclaimed(&self) -> usize {
        let ends = self.exchanges.iter();
        let ends = ends.map(|exchange| exchange.said.end.max(exchange.reply.end));
        ends.max().unwrap_or(0) as usize
    }
}

impl Part {
    /// Takes an exchange in, while there is any room.
    fn has_room_for(&mut self, exchange: &Exchange) -> bool {
        if self.exchanges == 0 || self.octets == 0 {
            return false;
        }
        self.exchanges -= 1;
        self.octets = self.octets.saturating_sub(exchange.octets());
        true
    }
}

impl Partial {
    fn take(&mut self, octets: &[u8]) {
        let octets = octets.strip_suffix(b"\n").unwrap_or(octets);
        for line in octets.split(|octet| *octet == b'\n') {
            if self.lines >= REPLY_LINES_MAX || self.text.len() >= REPLY_OCTETS_MAX {
                self.left_out += 1;
                continue;
            }
            if self.lines > 0 {
                self.text.push('\n');
            }
            self.lines += 1;
            cut(&mut self.text, line);
        }
    }

    fn give(&mut self, text: &mut String) {
        text.push_str(&self.text);
        if self.left_out > 0 {
            // Writing to a string does not fail.
            let _ = write!(text, "\n[and {} more lines]", grouped(self.left_out as u64));
        }
        self.text.clear();
        (self.lines, self.left_out) = (0, 0);
    }
}

/// Appends a line in its short form, with its time where that is another one.
fn keep(kept: &mut String, times: &mut [u32; 3], by: Speaker, at: u32, text: &str) {
    let time = &mut times[by as usize];
    if *time != at {
        *time = at;
        // Writing to a string does not fail.
        let _ = write!(kept, "{TIME}{at}");
    }
    kept.push(by.mark());
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            kept.push('\n');
        }
        phrases::shorten(line, kept);
    }
}

/// Appends the beginning of a line, without its end, and how much more it had.
fn cut(text: &mut String, line: &[u8]) {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let kept = line.len().min(LINE_OCTETS_MAX);
    printable(text, &line[..kept]);
    if kept < line.len() {
        // Writing to a string does not fail.
        let _ = write!(
            text,
            " [and {} more octets]",
            grouped((line.len() - kept) as u64)
        );
    }
}

/// Appends text in which nothing is a control.
fn printable(text: &mut String, octets: &[u8]) {
    let is_plain = octets.iter().all(|octet| (b' '..=b'~').contains(octet));
    match std::str::from_utf8(octets) {
        Ok(plain) if is_plain => text.push_str(plain),
        _ => text.extend(
            String::from_utf8_lossy(octets)
                .chars()
                .map(|c| match c.is_control() {
                    true => char::REPLACEMENT_CHARACTER,
                    false => c,
                }),
        ),
    }
}

fn milliseconds(after: Duration) -> u32 {
    u32::try_from(after.as_millis()).unwrap_or(u32::MAX)
}

/// What stands in place of a content. Writing to a string does not fail.
fn write_content(text: &mut String, octets: u64, chunks: u32) {
    let octets = grouped(octets);
    let _ = match chunks {
        0 => write!(text, "[content, {octets} octets]"),
        1 => write!(text, "BDAT [content, {octets} octets]"),
        more => write!(text, "BDAT, {more} chunks [content, {octets} octets]"),
    };
}

fn write_left_out(text: &mut String, count: u64, refused: u64) {
    let (are, reply) = match count {
        1 => ("command is", "its reply"),
        _ => ("commands are", "their replies"),
    };
    let _ = write!(text, "[{} {are} left out with {reply}", grouped(count));
    let _ = match refused {
        0 => write!(text, "]"),
        refused => write!(text, ", {} of them refused]", grouped(refused)),
    };
}

/// A number with a comma before each three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
