//! The second reading: the content as it goes out.

use super::encoder::{Base64, QuotedPrintable};
use super::structure::{Found, Visitor, Walker};
use super::{Action, Barrier, Charset, Plan};
use crate::message::header::Fields;

/// Converts a content in pieces of any cut.
#[derive(Debug)]
pub struct Converter<'p> {
    walker: Walker,
    output: Output<'p>,
}

#[derive(Debug)]
struct Output<'p> {
    actions: std::slice::Iter<'p, Action>,
    encoder: Encoder,
    octets: Vec<u8>,
}

/// What the body that is being read passes.
#[derive(Debug)]
enum Encoder {
    None,
    Quoted(QuotedPrintable),
    Base64(Base64),
}

impl<'p> Converter<'p> {
    /// A converter that follows the plan of the same content.
    pub fn new(plan: &'p Plan) -> Self {
        Self {
            walker: Walker::new(),
            output: Output {
                actions: plan.0.iter(),
                encoder: Encoder::None,
                octets: Vec::new(),
            },
        }
    }

    /// Takes the next piece of the content, and returns the next of what it becomes, which may be empty.
    ///
    /// # Errors
    /// [`Barrier`], when the content is not the one of the plan.
    pub fn feed(&mut self, piece: &[u8]) -> Result<Vec<u8>, Barrier> {
        self.walker.feed(piece, &mut self.output)?;
        self.output.taken()
    }

    /// The content has ended: the rest of what it becomes.
    ///
    /// # Errors
    /// [`Barrier`], when the content is not the one of the plan.
    pub fn finish(mut self) -> Result<Vec<u8>, Barrier> {
        self.walker.finish(&mut self.output)?;
        self.output.taken()
    }
}

impl Output<'_> {
    fn taken(&mut self) -> Result<Vec<u8>, Barrier> {
        let octets = std::mem::take(&mut self.octets);
        // Whatever the plan says: nothing else leaves here.
        match octets.is_ascii() {
            true => Ok(octets),
            false => Err(Barrier::Structure),
        }
    }
}

impl Visitor for Output<'_> {
    fn header(&mut self, found: &Found<'_>) -> Result<(), Barrier> {
        let action = *self.actions.next().ok_or(Barrier::Structure)?;
        self.encoder = match action {
            Action::Keep | Action::Relabel => Encoder::None,
            Action::Quote(_) => Encoder::Quoted(QuotedPrintable::default()),
            Action::Base64 => Encoder::Base64(Base64::default()),
        };
        if action == Action::Keep && (!found.is_message || found.is_protected) {
            self.octets.extend_from_slice(found.section);
            return Ok(());
        }
        rewrite(found, action, &mut self.octets)
    }

    fn body(&mut self, piece: &[u8]) {
        match &mut self.encoder {
            Encoder::None => self.octets.extend_from_slice(piece),
            Encoder::Quoted(encoder) => encoder.encode(piece, &mut self.octets),
            Encoder::Base64(encoder) => encoder.encode(piece, &mut self.octets),
        }
    }

    fn body_end(&mut self) -> Result<(), Barrier> {
        match std::mem::replace(&mut self.encoder, Encoder::None) {
            Encoder::None => {}
            Encoder::Quoted(encoder) => encoder.finish(&mut self.octets),
            Encoder::Base64(encoder) => encoder.finish(&mut self.octets),
        }
        Ok(())
    }

    /// What stands before, between and behind parts is read by nobody (RFC 2046 §5.1.1), and cannot be encoded.
    /// Where there are no parts, nothing of that comes here.
    fn between(&mut self, piece: &[u8]) {
        let seven_bit = piece.iter().map(|octet| match octet.is_ascii() {
            true => *octet,
            false => b'?',
        });
        self.octets.extend(seven_bit);
    }
}

/// Writes a header with the encoding of its body. A message that did not say that it is MIME says so now
/// (RFC 2045 §4), if it has a type to say.
fn rewrite(found: &Found<'_>, action: Action, output: &mut Vec<u8>) -> Result<(), Barrier> {
    let section = found.section;
    // The empty line is the last one: a field has a name.
    let (section, empty_line) = match section.strip_suffix(b"\r\n") {
        Some(b"") => (&b""[..], &b"\r\n"[..]),
        Some(fields) if fields.ends_with(b"\r\n") => (fields, &b"\r\n"[..]),
        _ => (section, &b""[..]),
    };
    let fields = Fields::parse(section).map_err(|_| Barrier::Structure)?;
    let is_typed = fields.named("Content-Type").next().is_some();
    let is_mime = fields.named("MIME-Version").next().is_some();
    let encoding = match action {
        Action::Keep => None,
        Action::Relabel => Some("7bit"),
        Action::Quote(_) => Some("quoted-printable"),
        Action::Base64 => Some("base64"),
    };
    let mut unwritten = encoding;
    for field in fields.iter() {
        let is_encoding = field.name.eq_ignore_ascii_case("Content-Transfer-Encoding");
        match encoding.filter(|_| is_encoding) {
            Some(encoding) => {
                write(field.name, format!(" {encoding}").as_bytes(), output);
                unwritten = None;
            }
            None => write(field.name, field.body, output),
        }
    }
    if found.is_message && !is_mime && (is_typed || unwritten.is_some()) {
        write("MIME-Version", b" 1.0", output);
    }
    if let Action::Quote(Some(charset)) = action {
        let charset = match charset {
            Charset::Utf8 => "utf-8",
            Charset::Unknown => "unknown-8bit",
        };
        let value = format!(" text/plain; charset={charset}");
        write("Content-Type", value.as_bytes(), output);
    }
    if let Some(encoding) = unwritten {
        let value = format!(" {encoding}");
        write("Content-Transfer-Encoding", value.as_bytes(), output);
    }
    output.extend_from_slice(empty_line);
    Ok(())
}

fn write(name: &str, body: &[u8], output: &mut Vec<u8>) {
    output.extend_from_slice(name.as_bytes());
    output.push(b':');
    output.extend_from_slice(body);
    output.extend_from_slice(b"\r\n");
}
