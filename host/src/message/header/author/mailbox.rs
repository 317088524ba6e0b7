//! The grammar of a list of authors: what may stand in From, Sender and their Resent forms.
//!
//! What this reader accepts must name the same addresses to every other reader, whether that one
//! knows comments or not, decodes first or last, or only looks for brackets. So every `@` of an
//! accepted field stands in an address that is returned, or in quotes. It takes the grammar of
//! RFC 5322 §3.4 without its obsolete parts (§4.4), groups and routes; comments beside names and
//! addresses but never inside an address; and no display name that turns into something like an
//! address when it is decoded. What an address may be sent as is not decided here.

use super::AUTHORS_MAX;
use crate::message::Address;
use crate::message::header::Field;
use crate::message::header::words::{Word, decoded, with_blanks_joined, words};

/// Stands for a fold while a field is read.
const FOLD: &str = "\n";

/// What may stand between the parts of a mailbox: the blanks and the fold. Only these are blanks to
/// every reader.
const BLANKS: [char; 3] = [' ', '\t', '\n'];

/// How deep comments may stand in one another. Nobody honest goes beyond two.
const COMMENT_DEPTH_MAX: usize = 4;

/// The mailboxes of a field, in comparable form; none when it is anything but a plain list.
pub(super) fn mailbox_list(field: &Field<'_>) -> Option<Vec<Address>> {
    // Octets that are not UTF-8 are from a time before it: some printers and scripts write their
    // name in a character set of their own.
    let text = String::from_utf8_lossy(field.body);
    let is_legacy = std::str::from_utf8(field.body).is_err();
    let lines: Vec<&str> = text.split("\r\n").collect();
    // A line of blanks alone ends the header for some readers.
    if lines.len() > 1 && lines.iter().skip(1).any(|line| line.trim().is_empty()) {
        return None;
    }
    if lines.iter().any(|line| {
        line.chars()
            .any(|c| (c.is_control() && c != '\t') || is_disguise(c))
    }) {
        return None;
    }
    let text = lines.join(FOLD);
    if !are_quotes_plain(&text, is_legacy) {
        return None;
    }
    let mut rest = Reader(text.trim_matches(BLANKS));
    let mut mailboxes = Vec::new();
    loop {
        mailboxes.push(rest.mailbox()?);
        if rest.0.is_empty() {
            return Some(mailboxes);
        }
        if mailboxes.len() == AUTHORS_MAX {
            return None;
        }
        rest.take(',')?;
    }
}

/// Whether quotes are the same to all readers, in the whole field, where an `@` stands in them. To some
/// a fold ends them, to some a quote behind a backslash does, be that escaped itself; in a character set of two
/// octets a backslash may be half of a letter; who decodes words before anything else sees what they hold as
/// quotes and commas; and one who does not know the character set of a word leaves out the quotes around others.
/// What was inside is outside then.
fn are_quotes_plain(text: &str, is_legacy: bool) -> bool {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let (mut is_odd, mut has_at) = (is_legacy, false);
    for c in text.chars() {
        match c {
            _ if is_escaped => {
                is_escaped = false;
                is_odd |= matches!(c, '"' | '\\');
            }
            '\\' if is_legacy => return false,
            '\\' => is_escaped = is_quoted,
            '"' => is_quoted = !is_quoted,
            '\n' => is_odd |= is_quoted,
            '@' => has_at |= is_quoted,
            _ => {}
        }
    }
    !has_at || !(is_odd || change_quotes(text))
}

/// Whether the encoded words of a field may change what its quotes are around: they are none by the letter, not
/// every reader knows their character set, or they hold any of the characters that part a field.
fn change_quotes(text: &str) -> bool {
    let text = text.replace(FOLD, "");
    let joined = with_blanks_joined(&text);
    let specials = |text: &str| -> String {
        text.chars()
            .filter(|c| "\"\\(),:;<>@[]".contains(*c))
            .collect()
    };
    words(&joined).is_none_or(|words| !words.iter().all(Word::is_common))
        || specials(&decoded(&joined)) != specials(&text)
}

/// Characters that are not seen, and white space beyond the blank. They may stand in a name, where
/// scripts and emoji need some of them and copying brings in others; an address that has one looks
/// like another address.
fn is_invisible(c: char) -> bool {
    (c.is_whitespace() && !BLANKS.contains(&c))
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}'
        )
}

/// Characters that change the order of what surrounds them, that end lines for some readers, or that
/// hide text: no place in a field that says who somebody is.
fn is_disguise(c: char) -> bool {
    matches!(c, '\u{2028}'..='\u{202e}' | '\u{2061}'..='\u{2069}' | '\u{e0000}'..='\u{e007f}')
}

/// What is left of the field.
struct Reader<'a>(&'a str);

impl<'a> Reader<'a> {
    /// `name <address>`, `<address>` or `address`, with comments around; and the blanks behind it.
    fn mailbox(&mut self) -> Option<Address> {
        self.comments()?;
        let address = match self.address_alone() {
            Some(address) => address,
            None => {
                let name = self.display_name()?;
                let address = self.angle_address()?;
                (is_harmless(&name) || is_twice(&name, &address)).then_some(address)?
            }
        };
        self.comments()?;
        Some(address)
    }

    /// An address without angle brackets; takes nothing when there is none. Programs that have no name
    /// write the address twice, as in `a@b.example <a@b.example>`; two that differ are neither.
    fn address_alone(&mut self) -> Option<Address> {
        let mut ahead = Reader(self.0);
        let address = ahead.address()?;
        let mut behind = Reader(ahead.0);
        behind.blanks();
        if behind.0.starts_with('<') {
            // Where a fold stands between them, some readers see both as one address.
            let between = &ahead.0[..ahead.0.len() - behind.0.len()];
            if between.contains(FOLD) {
                return None;
            }
            let same = behind.angle_address().filter(|same| {
                same.domain() == address.domain()
                    && same.local().eq_ignore_ascii_case(address.local())
            })?;
            self.0 = behind.0;
            return Some(same);
        }
        let ends = behind.0.is_empty() || behind.0.starts_with([',', '(']);
        ends.then(|| self.0 = ahead.0)?;
        Some(address)
    }

    fn angle_address(&mut self) -> Option<Address> {
        self.take('<')?;
        self.blanks();
        let address = self.address()?;
        self.blanks();
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
            .find(|c| !is_address_text(c) && c != '.')
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
        let end = inside.find(|c| !is_address_text(c) && c != '.' && c != ' ')?;
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

    /// Atoms, dots, blanks, quoted strings and comments in front of `<`, an atom or a quoted string before the
    /// first dot (RFC 5322 §4.1): some readers see nothing otherwise. What of it must be harmless.
    fn display_name(&mut self) -> Option<String> {
        let (mut name, mut has_word) = (String::new(), false);
        loop {
            if self.blanks() {
                name.push(' ');
            }
            match self.0.chars().next()? {
                '<' => return Some(name),
                '"' => {
                    self.quoted_string(&mut name)?;
                    has_word = true;
                }
                '.' if !has_word => return None,
                '(' => {
                    name.push('(');
                    name.push_str(&self.comment()?);
                    name.push(')');
                }
                c if is_atext(c) || c == '.' || is_invisible(c) => {
                    name.push(c);
                    self.0 = &self.0[c.len_utf8()..];
                    has_word = true;
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
                    '@' | '<' | '>' | '\n' => return None,
                    c => quoted.push(c),
                },
                '\n' => {}
                c => quoted.push(c),
            }
        }
        None
    }

    /// Any number of comments, and the blanks around them.
    fn comments(&mut self) -> Option<()> {
        self.blanks();
        while self.0.starts_with('(') {
            self.comment()?;
            self.blanks();
        }
        Some(())
    }

    /// A comment, without anything that could be taken for an address or for a part of one by
    /// a reader that knows no comments, or none inside of others. Returns what it says.
    fn comment(&mut self) -> Option<String> {
        let mut depth = 0;
        for (at, c) in self.0.char_indices() {
            match c {
                '(' => depth += 1,
                ')' => depth -= 1,
                '\\' | '@' | '<' | '>' | '"' | ',' => return None,
                _ => {}
            }
            if depth > COMMENT_DEPTH_MAX {
                return None;
            }
            if c == ')' && depth > 0 && joins_an_address(&self.0[at + 1..]) {
                return None;
            }
            if depth == 0 {
                let said = self.0[1..at].replace(FOLD, "");
                self.0 = &self.0[at + 1..];
                let is_plain = is_harmless(&said) && ends_where_it_seems(&said);
                return is_plain.then_some(said);
            }
        }
        None
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

/// Whether what stands behind an inner comment would go on with an address, or begin one, where a reader
/// takes the end of the inner comment for that of all.
fn joins_an_address(behind: &str) -> bool {
    let next = behind.trim_start_matches(BLANKS);
    let is_apart = next.len() < behind.len() && !next.starts_with(['.', ';', ':']);
    !is_apart && !next.starts_with([')', '('])
}

/// RFC 5322 §3.2.3, and RFC 6532 §3.2 beyond US-ASCII.
fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || "!#$%&'*+-/=?^_`{|}~".contains(c)
        || (!c.is_ascii() && !c.is_whitespace())
}

/// Letters of which an address may be made. What was not UTF-8 means something else to each reader.
fn is_address_text(c: char) -> bool {
    is_atext(c) && !is_invisible(c) && !is_at(c) && c != char::REPLACEMENT_CHARACTER
}

/// `@`, and what becomes one where text is normalised and looks like one to a person.
fn is_at(c: char) -> bool {
    matches!(c, '@' | '\u{ff20}' | '\u{fe6b}')
}

/// Whether a comment still ends where it does when its encoded words are decoded first: what is behind an
/// earlier end would join the address.
fn ends_where_it_seems(comment: &str) -> bool {
    let shown = decoded(comment);
    shown == comment.trim() || !shown.contains(['(', ')', '\\', '"'])
}

/// Whether a name stays a name when its encoded words are decoded.
fn is_harmless(name: &str) -> bool {
    let Some(shown) = shown(name) else {
        return false;
    };
    // Half a pair of quotes turns what is quoted and what is not around, for a reader that decodes first.
    let is_half_quoted = shown != name.trim() && shown.matches('"').count() % 2 == 1;
    !is_half_quoted
        && !shown
            .chars()
            .any(|c| is_at(c) || matches!(c, '<' | '>') || c.is_control() || is_disguise(c))
}

/// Whether a name is the address itself in encoded words: what programs write that have no name and encode
/// whatever they have.
fn is_twice(name: &str, address: &Address) -> bool {
    shown(name).is_some_and(|shown| shown.eq_ignore_ascii_case(&address.to_string()))
}

/// The name with its encoded words decoded; none when readers differ about what they say.
fn shown(name: &str) -> Option<String> {
    let joined = with_blanks_joined(name);
    let shown = decoded(&joined);
    // A word that never ends, or that lacks its padding, is one to a more forgiving reader, and may go on
    // into the address.
    let words = words(&joined)?;
    // Without either an `@` makes no address of it, and honest names have such letters.
    let may_be_address = shown.contains(['.', ':']) && words.iter().any(Word::may_hold_at);
    let is_clear = !shown.contains("=?") && words.iter().all(Word::is_clear) && !may_be_address;
    is_clear.then(|| shown.into_owned())
}
