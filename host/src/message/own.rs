//! Mail of the relay itself: the header of what it writes to people, and the form that their mail may have.
//!
//! Who writes chooses recipients, subject and text; what reports look like is `report`'s business.

use outpost_smtp::Mailbox;

use super::{MessageId, Timestamp};

/// A line of text at most (RFC 5322 §2.1.1 allows 998); whoever reads it in a terminal sees it whole.
const COLUMNS: usize = 76;

/// Mail from the relay to people who look after it.
#[derive(Clone, Copy, Debug)]
pub struct OwnMail<'a> {
    /// The name of the relay.
    pub hostname: &'a str,
    /// Names the message.
    pub id: MessageId,
    /// When it is written.
    pub at: Timestamp,
    /// To whom.
    pub recipients: &'a [Mailbox],
    /// In US-ASCII, on one line.
    pub subject: &'a str,
}

impl OwnMail<'_> {
    /// The whole message; `body` has lines that end with a line feed.
    pub fn content(&self, body: &str) -> String {
        let recipients: Vec<String> = self
            .recipients
            .iter()
            .map(|mailbox| format!("<{mailbox}>"))
            .collect();
        let text = format!(
            "From: Outpost <postmaster@{hostname}>\n\
             To: {to}\n\
             Subject: {subject}\n\
             Date: {date}\n\
             Message-ID: <{id}@{hostname}>\n\
             Auto-Submitted: auto-generated\n\
             MIME-Version: 1.0\n\
             Content-Type: text/plain; charset=us-ascii\n\
             \n\
             {body}",
            hostname = self.hostname,
            to = recipients.join(",\n "),
            subject = self.subject,
            date = self.at.to_rfc5322(),
            id = self.id,
        );
        text.replace('\n', "\r\n")
    }
}

/// The text in US-ASCII, on one line: what else there is stands as escapes.
pub fn ascii(text: &str) -> String {
    let mut ascii = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            ' '..='~' => ascii.push(c),
            other => ascii.extend(other.escape_default()),
        }
    }
    ascii
}

/// A text in lines that are not too long, each behind `indent`. A word that is longer is cut.
pub fn wrapped(text: &str, indent: &str) -> String {
    let room = COLUMNS.saturating_sub(indent.len()).max(1);
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let fits = |line: &String| line.len() + 1 + word.len() <= room;
        match lines.last_mut().filter(|line| fits(line)) {
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => {
                let characters: Vec<char> = word.chars().collect();
                lines.extend(
                    characters
                        .chunks(room)
                        .map(|piece| piece.iter().collect::<String>()),
                );
            }
        }
    }
    lines
        .iter()
        .map(|line| format!("{indent}{line}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stands_in_lines_that_a_terminal_shows_whole() {
        assert_eq!(wrapped("", "  "), "");
        assert_eq!(wrapped("a  b\nc", "  "), "  a b c\n");
        let long = format!("{} {} tail", "x".repeat(200), "word ".repeat(40));
        let lines = wrapped(&long, "   ");
        assert!(
            lines
                .lines()
                .all(|line| line.len() <= COLUMNS && line.starts_with("   "))
        );
        let joined: String = lines.split_whitespace().collect();
        assert_eq!(joined, long.split_whitespace().collect::<String>());
    }

    #[test]
    fn what_is_not_ascii_stands_as_escapes_and_on_one_line() {
        assert_eq!(ascii("a\u{f6}\r\nBcc: x"), "a\\u{f6}\\r\\nBcc: x");
    }
}
