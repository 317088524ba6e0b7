//! The authors of a message: every mailbox of From, Sender, Resent-From and Resent-Sender.
//!
//! What this reader accepts must mean the same to every other reader, since the next one shows the
//! author to a person. So it takes the grammar of RFC 5322 §3.4 without its obsolete parts, without
//! groups, without routes, with comments only where mail clients put them (behind the address), and
//! refuses a display name that turns into something like an address when it is decoded.

use super::words::{are_charsets_known, decoded};
use super::{Field, Fields};
use crate::message::Address;

/// Who a message says it is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authors {
    /// Every mailbox of From, in order; never empty.
    pub from: Vec<Address>,
    /// Every mailbox of Sender, Resent-From and Resent-Sender.
    pub senders: Vec<Address>,
}

/// Why the authors of a message cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorProblem {
    /// No From field.
    #[error("the message has no From field")]
    MissingFrom,
    /// More than one From field.
    #[error("the message has more than one From field")]
    RepeatedFrom,
    /// A From field that is not a plain list of mailboxes.
    #[error("the From field is not a plain list of addresses")]
    UnparsableFrom,
    /// More than one Sender field.
    #[error("the message has more than one Sender field")]
    RepeatedSender,
    /// A Sender field that is not one plain mailbox.
    #[error("the Sender field is not one plain address")]
    UnparsableSender,
    /// A Resent-From or Resent-Sender field that is not a plain list of mailboxes.
    #[error("a Resent field is not a plain list of addresses")]
    UnparsableResent,
}

/// Stands for a fold while a field is read.
const FOLD: &str = "\n";

/// What may stand between the parts of a mailbox: the blanks and the fold.
const BLANKS: [char; 3] = [' ', '\t', '\n'];

/// Every author costs a rule check; a message with more than this many is no letter.
const AUTHORS_MAX: usize = 100;

impl Authors {
    /// Reads the authors of a message.
    ///
    /// # Errors
    /// See [`AuthorProblem`]; the message must be refused then.
    pub fn read(fields: &Fields<'_>) -> Result<Self, AuthorProblem> {
        let from =
            only(fields, "From", AuthorProblem::RepeatedFrom)?.ok_or(AuthorProblem::MissingFrom)?;
        let from = mailbox_list(from).ok_or(AuthorProblem::UnparsableFrom)?;
        let mut senders = Vec::new();
        if let Some(sender) = only(fields, "Sender", AuthorProblem::RepeatedSender)? {
            let sender = mailbox_list(sender).filter(|mailboxes| mailboxes.len() == 1);
            senders.extend(sender.ok_or(AuthorProblem::UnparsableSender)?);
        }
        for name in ["Resent-From", "Resent-Sender"] {
            for field in fields.named(name) {
                senders.extend(mailbox_list(field).ok_or(AuthorProblem::UnparsableResent)?);
            }
        }
        if senders.len() > AUTHORS_MAX {
            return Err(AuthorProblem::UnparsableResent);
        }
        Ok(Self { from, senders })
    }

    /// All of them, those of From first.
    pub fn into_addresses(self) -> Vec<Address> {
        let mut addresses = self.from;
        addresses.extend(self.senders);
        addresses
    }
}

fn only<'s, 'a>(
    fields: &'s Fields<'a>,
    name: &'s str,
    repeated: AuthorProblem,
) -> Result<Option<&'s Field<'a>>, AuthorProblem> {
    let mut named = fields.named(name);
    let first = named.next();
    if named.next().is_some() {
        Err(repeated)
    } else {
        Ok(first)
    }
}

/// The mailboxes of a field, in comparable form; none when it is anything but a plain list.
fn mailbox_list(field: &Field<'_>) -> Option<Vec<Address>> {
    let text = std::str::from_utf8(field.body).ok()?;
    let lines: Vec<&str> = text.split("\r\n").collect();
    // A line of blanks alone ends the header for some readers.
    if lines.len() > 1 && lines.iter().skip(1).any(|line| line.trim().is_empty()) {
        return None;
    }
    if lines.iter().any(|line| {
        line.chars()
            .any(|c| (c.is_control() && c != '\t') || is_invisible(c))
    }) {
        return None;
    }
    let text = lines.join(FOLD);
    if !are_quotes_plain(&text) {
        return None;
    }
    // Only these two are blanks to every reader; other white space would be part of the address.
    let mut rest = Reader(text.trim_matches(BLANKS));
    let mut mailboxes = Vec::new();
    loop {
        mailboxes.push(rest.mailbox()?);
        rest.blanks();
        if rest.0.is_empty() {
            return Some(mailboxes);
        }
        if mailboxes.len() == AUTHORS_MAX {
            return None;
        }
        rest.take(',')?;
        rest.blanks();
    }
}

/// Whether no fold stands in quotes while an `@` does, in the whole field: to some readers a fold ends
/// the quotes, so that behind it what was inside is outside.
fn are_quotes_plain(text: &str) -> bool {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let (mut has_fold, mut has_at) = (false, false);
    for c in text.chars() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = is_quoted,
            '"' => is_quoted = !is_quoted,
            '\n' => has_fold |= is_quoted,
            '@' => has_at |= is_quoted,
            _ => {}
        }
    }
    !(has_fold && has_at)
}

/// Characters that change the order or the look of what surrounds them, and blanks that are not
/// the blank: no place in a field that says who somebody is.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// What is left of the field.
struct Reader<'a>(&'a str);

impl<'a> Reader<'a> {
    /// `name <address>`, `<address>` or `address`, and a comment behind it.
    fn mailbox(&mut self) -> Option<Address> {
        let address = match self.address_alone() {
            Some(address) => address,
            None => {
                self.display_name()?;
                self.angle_address()?
            }
        };
        self.comment()?;
        Some(address)
    }

    /// An address without angle brackets; takes nothing when there is none.
    fn address_alone(&mut self) -> Option<Address> {
        let mut ahead = Reader(self.0);
        let address = ahead.address()?;
        let mut behind = Reader(ahead.0);
        behind.blanks();
        // `a@b.example <c@d.example>` names two addresses: it is neither one nor the other.
        let ends = behind.0.is_empty() || behind.0.starts_with([',', '(']);
        ends.then(|| self.0 = ahead.0)?;
        Some(address)
    }

    fn angle_address(&mut self) -> Option<Address> {
        self.take('<')?;
        let address = self.address()?;
        self.take('>')?;
        Some(address)
    }

    /// `local@domain` without blanks or comments inside.
    fn address(&mut self) -> Option<Address> {
        let local = if self.0.starts_with('"') {
            self.quoted_local()?
        } else {
            self.dot_atom()?
        };
        // Some readers decode encoded words even here, also one that was begun in the name.
        if local.contains("=?") || local.contains("?=") || local.len() > 64 {
            return None;
        }
        self.take('@')?;
        let domain = if self.0.starts_with('[') {
            self.literal()?
        } else {
            self.dot_atom()?
        };
        Address::new(local, domain).ok()
    }

    fn dot_atom(&mut self) -> Option<&'a str> {
        let end = self
            .0
            .find(|c| !is_atext(c) && c != '.')
            .unwrap_or(self.0.len());
        let (atom, rest) = self.0.split_at(end);
        let well_formed = !atom.is_empty() && atom.split('.').all(|part| !part.is_empty());
        well_formed.then(|| self.0 = rest)?;
        Some(atom)
    }

    /// A quoted local part of atoms, dots and blanks; a quoted `@` or `<` would be an address to
    /// a reader that does not know quotes.
    fn quoted_local(&mut self) -> Option<&'a str> {
        let inside = self.0.strip_prefix('"')?;
        let end = inside.find(|c| !is_atext(c) && c != '.' && c != ' ')?;
        let (local, rest) = inside.split_at(end);
        self.0 = rest.strip_prefix('"')?;
        Some(local)
    }

    /// `[192.0.2.1]`, `[IPv6:2001:db8::1]`.
    fn literal(&mut self) -> Option<&'a str> {
        let end = self.0.find(']')? + 1;
        let (literal, rest) = self.0.split_at(end);
        let inside = &literal[1..end - 1];
        let valid = match inside
            .get(..5)
            .filter(|tag| tag.eq_ignore_ascii_case("IPv6:"))
        {
            Some(_) => inside[5..].parse::<std::net::Ipv6Addr>().is_ok(),
            None => inside.parse::<std::net::Ipv4Addr>().is_ok(),
        };
        valid.then(|| self.0 = rest)?;
        Some(literal)
    }

    /// Atoms, dots, blanks and quoted strings in front of `<`.
    fn display_name(&mut self) -> Option<()> {
        let mut name = String::new();
        loop {
            let blanks = self.blanks();
            if blanks {
                name.push(' ');
            }
            match self.0.chars().next()? {
                '<' => return is_harmless(&name).then_some(()),
                '"' => self.quoted_string(&mut name)?,
                c if is_atext(c) || c == '.' => {
                    name.push(c);
                    self.0 = &self.0[c.len_utf8()..];
                }
                _ => return None,
            }
        }
    }

    fn quoted_string(&mut self, into: &mut String) -> Option<()> {
        let inside = self.0.strip_prefix('"')?;
        let mut quoted = String::new();
        let mut characters = inside.char_indices();
        while let Some((at, c)) = characters.next() {
            match c {
                '"' => {
                    // `"a@b.example" <c@d.example>` is what address books write, and every reader
                    // knows quotes; brackets inside them fool those that only look for brackets.
                    if quoted.contains(['<', '>']) && quoted.contains('@') {
                        return None;
                    }
                    if quoted.contains("=?") && !is_harmless(&quoted) {
                        return None;
                    }
                    into.extend(quoted.chars().filter(|c| *c != '@'));
                    self.0 = &inside[at + 1..];
                    return Some(());
                }
                '\\' => match characters.next()?.1 {
                    c @ ('"' | '\\') => quoted.push(c),
                    _ => return None,
                },
                '\n' => {}
                c => quoted.push(c),
            }
        }
        None
    }

    /// A comment behind an address, without anything that could be taken for another address.
    fn comment(&mut self) -> Option<()> {
        self.blanks();
        let Some(inside) = self.0.strip_prefix('(') else {
            return Some(());
        };
        let end = inside.find(['(', ')', '\\', '@', '<', '>', '"', ','])?;
        let (comment, rest) = inside.split_at(end);
        self.0 = rest.strip_prefix(')')?;
        is_harmless(&comment.replace(FOLD, "")).then_some(())
    }

    /// Takes blanks; whether there were any.
    fn blanks(&mut self) -> bool {
        let rest = self.0.trim_start_matches(BLANKS);
        let any = rest.len() < self.0.len();
        self.0 = rest;
        any
    }

    fn take(&mut self, c: char) -> Option<()> {
        self.0 = self.0.strip_prefix(c)?;
        Some(())
    }
}

/// RFC 5322 §3.2.3, and RFC 6532 §3.2 beyond US-ASCII.
fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || "!#$%&'*+-/=?^_`{|}~".contains(c)
        || (!c.is_ascii() && !c.is_whitespace())
}

/// Whether a name stays a name when its encoded words are decoded.
fn is_harmless(name: &str) -> bool {
    // UTF-7 writes an @ in letters; no reader needs it.
    let lower = name.to_ascii_lowercase();
    if lower.contains("=?utf-7") || lower.contains("=?unicode-1-1-utf-7") {
        return false;
    }
    let shown = decoded(name);
    // What is left of an encoded word here (one that never ends, or that lacks its padding) is one to a
    // more forgiving reader, and may go on into the address.
    if shown.contains("=?") || !are_charsets_known(name) {
        return false;
    }
    // Half a pair of quotes turns what is quoted and what is not around, for a reader that decodes first.
    let is_half_quoted = shown != name.trim() && shown.matches('"').count() % 2 == 1;
    !is_half_quoted
        && !shown.chars().any(|c| {
            matches!(c, '@' | '<' | '>' | '\u{ff20}' | '\u{fe6b}')
                || c.is_control()
                || is_invisible(c)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(section: &str) -> Result<Vec<String>, AuthorProblem> {
        let fields = Fields::parse(section.as_bytes()).unwrap();
        let authors = Authors::read(&fields)?;
        Ok(authors
            .into_addresses()
            .iter()
            .map(ToString::to_string)
            .collect())
    }

    #[test]
    fn plain_forms_are_read() {
        for (field, expected) in [
            ("a@b.example", &["a@b.example"] as &[&str]),
            ("<a@b.example>", &["a@b.example"]),
            ("Ann <a@B.example>", &["a@b.example"]),
            ("Ann B. Cee <a@b.example>", &["a@b.example"]),
            ("\"Cee, Ann\" <a@b.example>", &["a@b.example"]),
            ("\"a \\\"quoted\\\" name\" <a@b.example>", &["a@b.example"]),
            ("\"x@y.example\" <a@b.example>", &["a@b.example"]),
            ("\"x@y.example via list\" <a@b.example>", &["a@b.example"]),
            (
                "=?utf-8?q?M=C3=BCller=2C_Hans?= <a@b.example>",
                &["a@b.example"],
            ),
            ("Müller <a@b.example>", &["a@b.example"]),
            ("root@b.example (Cron Daemon)", &["root@b.example"]),
            (
                "a@b.example, Ann <c@d.example>",
                &["a@b.example", "c@d.example"],
            ),
            (
                "a@b.example,\r\n c@d.example",
                &["a@b.example", "c@d.example"],
            ),
            ("\r\n a@b.example", &["a@b.example"]),
            (
                "\"Ann\r\n Cee\"\r\n <a@b.example>\r\n (of\r\n B)",
                &["a@b.example"],
            ),
            ("\"john doe\"@b.example", &["john doe@b.example"]),
            ("a@[192.0.2.1]", &["a@[192.0.2.1]"]),
            ("a@bücher.example", &["a@xn--bcher-kva.example"]),
            ("grüße@b.example", &["grüße@b.example"]),
            ("a+tag@b.example", &["a+tag@b.example"]),
        ] {
            let expected: Vec<String> =
                expected.iter().map(|&address| address.to_owned()).collect();
            assert_eq!(read(&format!("From: {field}\r\n")), Ok(expected), "{field}");
        }
    }

    #[test]
    fn what_readers_could_read_differently_is_refused() {
        for field in [
            "",
            ",",
            "a@b.example,",
            ",a@b.example",
            "a@b.example,,c@d.example",
            "a@b.example c@d.example",
            "a@b.example <c@d.example>",
            "a@b.example; c@d.example",
            "<a@b.example> c@d.example",
            "<a@b.example",
            "a@b.example>",
            "<<a@b.example>>",
            "<@x.example:a@b.example>",
            "friends: a@b.example;",
            "undisclosed-recipients:;",
            "Ann (x <c@d.example>) <a@b.example>",
            "(c@d.example) a@b.example",
            "a@b.example (c@d.example)",
            "a@b.example (nested (comment))",
            "a(comment)@b.example",
            "a @b.example",
            "a@ b.example",
            "a@b. example",
            "a@b.example.",
            ".a@b.example",
            "a..b@b.example",
            "a@b..example",
            "a@b@c.example",
            "\"a@c.example\"@b.example",
            "\"a<c\"@b.example",
            "\"x <c@d.example>\" <a@b.example>",
            "\"unclosed <a@b.example>",
            "=?utf-8?q?c=40d.example?= <a@b.example>",
            "=?utf-8?b?Y0BkLmV4YW1wbGU=?= <a@b.example>",
            "\"=?utf-8?q?c=40d.example?=\" <a@b.example>",
            "=?utf-8?q?x=0D=0AFrom:_c?= <a@b.example>",
            "=?utf-7?q?+AEA-?= <a@b.example>",
            "=?utf-8?q?=22?= <a@b.example>, \"c@d.example\" <a@b.example>",
            "=?utf-8?q?a?=@b.example",
            "\"=?utf-8?q?=22=20=3Cc=40d.example=3E,=22\" <a?=@b.example>",
            "\"=?utf-8?q?=22=20=3Cc=40d.example=3E,=22\" <a@b.example>, \"?=\" <a@b.example>",
            "a@b.example (=?utf-8?q?=3Cc=40d.example=3E), b@b.example (?=)",
            "\"c@d.example\r\n \" <a@b.example>",
            "\"x\r\n c@d.example\" <a@b.example>",
            "\"c@d.example\" \"x\r\n y\" <a@b.example>",
            "\"x\r\n y\" <a@b.example>, \"c@d.example\" <a@b.example>",
            "=?cp037?b?g3yEhaeBlJeThQ==?= <a@b.example>",
            "=?unicode_escape?q?c\\x40d.example?= <a@b.example>",
            "\"=??q?=22=20=3Cc=40d.example=3E,=22?=\" <a@b.example>",
            "a@b.example\u{a0}",
            "\u{3000}a@b.example",
            "a@b.example\u{180e}",
            "a\u{ad}@b.example",
            "a@b.exam\u{ad}ple",
            "a@b\u{3002}example",
            "a@\u{ff42}.example",
            "ceo@x.example\u{202e} <a@b.example>",
            "Ann\u{7f} <a@b.example>",
            "a@b_c.example",
            "a@[300.0.0.1]",
            "a@b.example\r\n \r\n , c@d.example",
            "Ann <>",
            "Ann",
            "@b.example",
            "a@",
        ] {
            assert_eq!(
                read(&format!("From: {field}\r\n")),
                Err(AuthorProblem::UnparsableFrom),
                "{field:?}"
            );
        }
    }

    #[test]
    fn exactly_one_from_is_needed() {
        assert_eq!(read("To: a@b.example\r\n"), Err(AuthorProblem::MissingFrom));
        let twice = "From: a@b.example\r\nSubject: x\r\nfRoM: a@b.example\r\n";
        assert_eq!(read(twice), Err(AuthorProblem::RepeatedFrom));
    }

    #[test]
    fn every_sender_and_resender_is_an_author() {
        let section = "From: a@b.example\r\nSender: S <s@b.example>\r\n\
                       Resent-From: r@b.example, q@b.example\r\nResent-Sender: t@b.example\r\n";
        let expected = [
            "a@b.example",
            "s@b.example",
            "r@b.example",
            "q@b.example",
            "t@b.example",
        ];
        assert_eq!(read(section), Ok(expected.map(str::to_owned).to_vec()));
        for (sender, problem) in [
            (
                "Sender: a@b.example, c@d.example\r\n",
                AuthorProblem::UnparsableSender,
            ),
            ("Sender: nobody\r\n", AuthorProblem::UnparsableSender),
            (
                "Sender: a@b.example\r\nSender: a@b.example\r\n",
                AuthorProblem::RepeatedSender,
            ),
            ("Resent-From: x\r\n", AuthorProblem::UnparsableResent),
        ] {
            assert_eq!(
                read(&format!("From: a@b.example\r\n{sender}")),
                Err(problem),
                "{sender}"
            );
        }
    }
}
