//! Authors: what is read, and what is refused since readers differ about it.

#![allow(clippy::unwrap_used)]

use std::io::Write as _;
use std::process::{Command, Stdio};

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

/// A line of the corpus: the field, and the addresses that are read of it, if it is not refused.
struct Sample {
    field: Vec<u8>,
    addresses: Option<Vec<String>>,
}

fn corpus() -> Vec<Sample> {
    let lines = include_str!("corpus.txt").lines();
    let samples = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    samples.map(sample).collect()
}

fn sample(line: &str) -> Sample {
    let (verdict, field) = line.split_once(" |").unwrap_or_else(|| panic!("{line}"));
    let addresses = match verdict.split_once(' ') {
        Some(("+", addresses)) => Some(addresses.split(',').map(str::to_owned).collect()),
        None if verdict == "-" => None,
        _ => panic!("{line}"),
    };
    Sample {
        field: octets(field.strip_prefix(' ').unwrap_or(field)),
        addresses,
    }
}

/// Reads the escapes of the corpus.
fn octets(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('\\') {
        octets.extend_from_slice(before.as_bytes());
        let (kind, behind) = escape.split_at(1);
        rest = behind;
        match kind {
            "r" => octets.push(b'\r'),
            "n" => octets.push(b'\n'),
            "t" => octets.push(b'\t'),
            "\\" => octets.push(b'\\'),
            "x" => {
                octets.push(u8::from_str_radix(&behind[..2], 16).unwrap());
                rest = &behind[2..];
            }
            "u" => {
                let (digits, behind) = behind[1..].split_once('}').unwrap();
                let code = u32::from_str_radix(digits, 16).unwrap();
                let character = char::from_u32(code).unwrap();
                octets.extend_from_slice(character.to_string().as_bytes());
                rest = behind;
            }
            _ => panic!("{text}"),
        }
    }
    octets.extend_from_slice(rest.as_bytes());
    octets
}

fn section(field: &[u8]) -> Vec<u8> {
    [b"From: ", field, b"\r\n"].concat()
}

#[test]
fn honest_fields_are_read_and_what_readers_differ_about_is_refused() {
    let mut wrong = Vec::new();
    let corpus = corpus();
    assert!(corpus.len() >= 150);
    for sample in &corpus {
        let section = section(&sample.field);
        let fields = Fields::parse(&section).unwrap();
        let read = Authors::read(&fields).map(|authors| {
            let addresses = authors.into_addresses();
            addresses.iter().map(ToString::to_string).collect()
        });
        let expected = sample
            .addresses
            .clone()
            .ok_or(AuthorProblem::UnparsableFrom);
        if read != expected {
            let field = String::from_utf8_lossy(&sample.field);
            wrong.push(format!("{field:?}: {read:?}, not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every address that readers of Python's email package see in each field, in comparable form:
/// the one of today, the one of compat32, and one that decodes words before it looks for addresses.
const PYTHON: &str = r#"
import email, email.policy, sys
from email.header import decode_header, make_header
from email.utils import getaddresses, parseaddr

def comparable(address):
    address = address.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    local, _, domain = address.rpartition("@")
    if len(local) > 1 and local[0] == local[-1] == '"':
        local = local[1:-1]
    try:
        domain = domain.encode("idna").decode()
    except UnicodeError:
        pass
    return (local + "@" + domain).lower()

def seen(field):
    message = b"From: " + field + b"\r\n\r\n"
    new = email.message_from_bytes(message, policy=email.policy.default)["From"]
    yield from (address.addr_spec for address in new.addresses)
    old = email.message_from_bytes(message)["From"]
    # A header with octets beyond ASCII is no text there, and has replacement characters as one.
    readings = [field.decode("utf-8", "surrogateescape")] + ([old] if isinstance(old, str) else [])
    for text in list(readings):
        try:
            readings.append(str(make_header(decode_header(text))))
        except (UnicodeError, LookupError, email.errors.HeaderParseError):
            pass
    for text in readings:
        yield from (address for _, address in getaddresses([text]))
        yield parseaddr(text)[1]

for line in sys.stdin:
    found = {comparable(a) for a in seen(bytes.fromhex(line)) if "@" in a}
    print(",".join(a.encode().hex() for a in sorted(found)))
"#;

#[test]
fn python_sees_no_address_that_is_not_checked() {
    let accepted: Vec<Sample> = corpus()
        .into_iter()
        .filter(|sample| sample.addresses.is_some())
        .collect();
    let mut python = Command::new("python3")
        .args(["-c", PYTHON])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("tests/install.sh installs python3");
    let lines = accepted.iter().map(|sample| hex(&sample.field) + "\n");
    let mut input = python.stdin.take().unwrap();
    input
        .write_all(lines.collect::<String>().as_bytes())
        .unwrap();
    drop(input);
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed.lines().count(), accepted.len());
    for (sample, line) in accepted.iter().zip(printed.lines()) {
        let checked = sample.addresses.as_deref().unwrap_or_default();
        let seen: Vec<String> = line.split(',').map(unhex).collect();
        let field = String::from_utf8_lossy(&sample.field);
        for address in &seen {
            let is_checked = checked.iter().any(|one| one.to_lowercase() == *address);
            assert!(is_checked, "{field:?}: Python sees {address}");
        }
        assert_eq!(seen.len(), checked.len(), "{field:?}: Python sees {seen:?}");
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn unhex(text: &str) -> String {
    let digits = text.as_bytes().chunks(2);
    let octets = digits.map(|pair| {
        let pair = std::str::from_utf8(pair).unwrap();
        u8::from_str_radix(pair, 16).unwrap()
    });
    String::from_utf8_lossy(&octets.collect::<Vec<u8>>()).into_owned()
}

#[test]
fn exactly_one_from_is_needed() {
    assert_eq!(read("To: a@b.example\r\n"), Err(AuthorProblem::MissingFrom));
    let twice = "From: a@b.example\r\nSubject: x\r\nfRoM: a@b.example\r\n";
    assert_eq!(read(twice), Err(AuthorProblem::RepeatedFrom));
    // Some readers take it for the field that a mailbox file has quoted.
    for quoted in [">From", ">from", ">FROM"] {
        let field = format!("{quoted}: c@d.example\r\n");
        let with = format!("{field}From: a@b.example\r\n");
        assert_eq!(read(&with), Err(AuthorProblem::RepeatedFrom), "{quoted}");
        let with = format!("From: a@b.example\r\n{field}");
        assert_eq!(read(&with), Err(AuthorProblem::RepeatedFrom), "{quoted}");
        assert_eq!(read(&field), Err(AuthorProblem::MissingFrom), "{quoted}");
    }
    let others = "X>From: c@d.example\r\n>>From: c@d.example\r\nFrom: a@b.example\r\n";
    assert_eq!(read(others), Ok(vec![String::from("a@b.example")]));
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
