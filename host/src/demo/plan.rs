//! What is sent: the password reset, and the copies of a newsletter that it passes.
//!
//! Contents are made line by line while they are sent, so that no copy stands in memory, and are the same each time.

use std::fmt::Write as _;
use std::num::NonZeroU64;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::Options;
use crate::message::Class;
use crate::spool::{Content, Pending};

/// The place of the password reset among the letters.
pub(super) const RESET: usize = 0;

/// The users, who are also the senders at [`DOMAIN`].
pub(super) const SHOP: &str = "shop";
/// The other one.
pub(super) const NEWSLETTER: &str = "newsletter";
/// What both may send as.
pub(super) const DOMAIN: &str = "shop.example";

/// The classes of the newsletter in turn, so that it can be seen how they share the link.
const CLASSES: [Class; 3] = [Class::Normal, Class::Low, Class::VeryLow];

/// How long the password reset takes on the link. A real one would be through before the eye sees anything.
const RESET_SECONDS: u64 = 2;

/// Everything that is sent.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Octets per second of the link.
    pub capacity: NonZeroU64,
    /// The letters: [`RESET`] first, then the newsletter.
    pub letters: Vec<Letter>,
}

/// One message to one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Letter {
    /// What it is called on the screen.
    pub label: String,
    /// Its class, which it asks for itself.
    pub class: Class,
    /// The user that submits it.
    pub user: &'static str,
    /// To whom; nobody else gets anything.
    pub recipient: String,
    /// Lines of the body.
    lines: u64,
}

/// Octets of a line of the body, with its end.
const LINE_OCTETS: usize = 80;

/// Lines in a piece of content.
const PIECE_LINES: u64 = 512;

const _: () = assert!(LINE_OCTETS * PIECE_LINES as usize <= crate::spool::PIECE_OCTETS_MAX);

impl Plan {
    /// What these options ask for.
    pub(super) fn new(options: &Options) -> Self {
        let reset = Letter::new(
            "password reset".to_owned(),
            Class::VeryHigh,
            SHOP,
            "customer@reader.example".to_owned(),
            options.capacity.get().saturating_mul(RESET_SECONDS),
        );
        let newsletter = (1..=options.messages).map(|number| {
            Letter::new(
                format!("newsletter {number}"),
                CLASSES[(number - 1) % CLASSES.len()],
                NEWSLETTER,
                format!("subscriber-{number}@reader.example"),
                options.octets,
            )
        });
        Self {
            capacity: options.capacity,
            letters: std::iter::once(reset).chain(newsletter).collect(),
        }
    }

    /// What is about to be seen, in words.
    pub(super) fn opening(&self) -> String {
        let newsletter = &self.letters[RESET + 1];
        format!(
            "A newsletter is sent, {} times {}, over a link of {}/s which its classes\n\
             share. Then comes a password reset: very high, and {} large, so that it takes\n\
             long enough to be seen. Relay and next hop run in this process, on loopback.",
            self.letters.len() - 1,
            octets_text(newsletter.octets()),
            octets_text(self.capacity.get()),
            octets_text(self.letters[RESET].octets()),
        )
    }
}

impl Letter {
    fn new(
        label: String,
        class: Class,
        user: &'static str,
        recipient: String,
        octets: u64,
    ) -> Self {
        let mut letter = Self {
            label,
            class,
            user,
            recipient,
            lines: 0,
        };
        let room = octets.saturating_sub(letter.header().len() as u64);
        letter.lines = (room / LINE_OCTETS as u64).max(1);
        letter
    }

    /// Who it is from.
    pub(super) fn sender(&self) -> String {
        format!("{}@{DOMAIN}", self.user)
    }

    /// Octets of the content.
    pub(super) fn octets(&self) -> u64 {
        self.header().len() as u64 + self.lines * LINE_OCTETS as u64
    }

    /// The content from its beginning.
    pub(super) fn content(&self) -> Text {
        Text {
            header: Some(self.header()),
            letter: self.clone(),
            next_line: 0,
        }
    }

    /// SHA-256 of what follows the first empty line, in hexadecimal, as a sink tells it.
    pub(super) fn body_digest(&self) -> String {
        let mut digest = Sha256::new();
        let mut text = self.content();
        text.header = None;
        while let Some(piece) = text.piece() {
            digest.update(&piece);
        }
        let mut hexadecimal = String::new();
        for octet in digest.finalize() {
            // Writing to a string does not fail.
            let _ = write!(hexadecimal, "{octet:02x}");
        }
        hexadecimal
    }

    fn header(&self) -> String {
        let (sender, recipient, label) = (self.sender(), &self.recipient, &self.label);
        let priority = self.class.number();
        format!(
            "From: {sender}\r\nTo: {recipient}\r\nSubject: {label}\r\nX-Priority: {priority}\r\n\
             Message-ID: <{}.{sender}>\r\n\r\n",
            label.replace(' ', "-")
        )
    }

    fn line(&self, number: u64) -> String {
        let text = format!("{}, line {number:08}", self.label);
        let mut line = format!("{text:.<width$.width$}", width = LINE_OCTETS - 2);
        line.push_str("\r\n");
        line
    }
}

/// A content on its way out.
#[derive(Debug)]
pub(super) struct Text {
    header: Option<String>,
    letter: Letter,
    next_line: u64,
}

impl Text {
    fn piece(&mut self) -> Option<Bytes> {
        if let Some(header) = self.header.take() {
            return Some(header.into());
        }
        let end = self.letter.lines.min(self.next_line + PIECE_LINES);
        let lines: String = (self.next_line..end)
            .map(|number| self.letter.line(number))
            .collect();
        self.next_line = end;
        (!lines.is_empty()).then(|| lines.into())
    }
}

impl Content for Text {
    fn next(&mut self) -> Pending<'_, Option<Bytes>> {
        let piece = self.piece();
        Box::pin(std::future::ready(Ok(piece)))
    }
}

/// An amount as a person reads it: `2.0 MB`, `512 kB`, `600 octets`.
pub(super) fn octets_text(octets: u64) -> String {
    match octets {
        0..1_000 => format!("{octets} octets"),
        // Rounded to whole ones below.
        1_000..999_500 => format!("{} kB", (octets + 500) / 1_000),
        _ => format!("{:.1} MB", octets as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn plan(messages: usize) -> Plan {
        Plan::new(&Options {
            capacity: NonZeroU64::new(1_000_000).unwrap(),
            messages,
            octets: 1_500_000,
        })
    }

    #[test]
    fn a_content_is_as_long_as_it_says_and_has_the_digest_that_it_says() {
        for letter in plan(2).letters {
            let mut text = letter.content();
            let mut content = Vec::new();
            while let Some(piece) = text.piece() {
                content.extend_from_slice(&piece);
            }
            assert_eq!(content.len() as u64, letter.octets());
            assert!(
                letter
                    .octets()
                    .abs_diff(1_500_000)
                    .min(letter.octets().abs_diff(2_000_000))
                    < 80
            );
            let content = String::from_utf8(content).unwrap();
            let (_, body) = content.split_once("\r\n\r\n").unwrap();
            let digest: String = Sha256::digest(body)
                .iter()
                .map(|octet| format!("{octet:02x}"))
                .collect();
            assert_eq!(letter.body_digest(), digest);
            assert!(content.lines().all(|line| line.len() <= LINE_OCTETS));
        }
    }

    #[test]
    fn letters_differ_in_body_and_recipient_and_only_the_reset_is_very_high() {
        let letters = plan(5).letters;
        let mut digests: Vec<_> = letters.iter().map(Letter::body_digest).collect();
        digests.sort();
        digests.dedup();
        assert_eq!(digests.len(), 6);
        let very_high = letters
            .iter()
            .filter(|letter| letter.class == Class::VeryHigh);
        assert_eq!(very_high.count(), 1);
        assert_eq!(letters[RESET].class, Class::VeryHigh);
        let mut recipients: Vec<_> = letters.iter().map(|letter| &letter.recipient).collect();
        recipients.sort();
        recipients.dedup();
        assert_eq!(recipients.len(), 6);
    }

    #[test]
    fn amounts_are_short() {
        for (octets, text) in [
            (0, "0 octets"),
            (999, "999 octets"),
            (1_499, "1 kB"),
            (999_499, "999 kB"),
            (999_500, "1.0 MB"),
            (2_340_000, "2.3 MB"),
        ] {
            assert_eq!(octets_text(octets), text);
        }
    }
}
