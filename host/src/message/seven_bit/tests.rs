//! Contents with what they become, and what others read in both.

#![allow(clippy::unwrap_used)]

use std::io::Write as _;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;

use super::*;

fn survey(content: &[u8], cut: usize) -> Surveyed {
    let mut survey = Survey::new();
    for piece in content.chunks(cut) {
        survey.feed(piece);
    }
    survey.finish()
}

fn convert(content: &[u8], cut: usize) -> Result<Vec<u8>, Barrier> {
    let plan = survey(content, cut).plan?;
    let mut converter = Converter::new(&plan);
    let mut converted = Vec::new();
    for piece in content.chunks(cut) {
        converted.extend(converter.feed(piece)?);
    }
    converted.extend(converter.finish()?);
    Ok(converted)
}

/// The same content with LF alone, which reads better here.
fn wire(text: &str) -> Vec<u8> {
    text.replace('\n', "\r\n").into_bytes()
}

#[track_caller]
fn check(content: &str, converted: &str) {
    let content = wire(content);
    for cut in [1, 2, 3, 7, 64, content.len().max(1)] {
        let found = convert(&content, cut).map(|octets| String::from_utf8(octets).unwrap());
        let found = found.map(|text| text.replace("\r\n", "\n"));
        assert_eq!(found.as_deref(), Ok(converted), "cut by {cut}");
    }
}

#[track_caller]
fn check_barrier(content: &str, barrier: Barrier) {
    let content = wire(content);
    for cut in [1, 5, content.len()] {
        assert_eq!(convert(&content, cut), Err(barrier), "cut by {cut}");
    }
}

#[test]
fn a_text_is_quoted_and_says_so() {
    check(
        "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\
         Content-Transfer-Encoding: 8bit\nSubject: x\n\ngrün\n",
        "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\
         Content-Transfer-Encoding: quoted-printable\nSubject: x\n\ngr=C3=BCn\n",
    );
    check(
        "MIME-Version: 1.0\nContent-Type: text/html;\n charset=utf-8\n\ngrün",
        "MIME-Version: 1.0\nContent-Type: text/html;\n charset=utf-8\n\
         Content-Transfer-Encoding: quoted-printable\n\ngr=C3=BCn",
    );
}

#[test]
fn a_text_that_does_not_say_what_it_is_gets_a_type() {
    check(
        "Subject: x\n\ngrün\n",
        "Subject: x\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\
         Content-Transfer-Encoding: quoted-printable\n\ngr=C3=BCn\n",
    );
    let latin1 = b"Subject: x\r\n\r\ngr\xfcn\r\n";
    let converted = String::from_utf8(convert(latin1, 1).unwrap()).unwrap();
    assert!(
        converted.contains("charset=unknown-8bit\r\n"),
        "{converted}"
    );
    assert!(converted.ends_with("\r\n\r\ngr=FCn\r\n"), "{converted}");
}

#[test]
fn of_a_multipart_each_part_is_encoded_that_needs_it_and_the_rest_stays() {
    check(
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\
         Content-Transfer-Encoding: 8bit\n\npreämble\n--b\n\nplain = \n--b  \n\
         Content-Type: text/plain; charset=utf-8\n\ngrün\n\n--b\n\
         Content-Type: application/x\nContent-Transfer-Encoding: 8bit\n\nöctets\n--bc\n--b--\nend\n",
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\
         Content-Transfer-Encoding: 7bit\n\npre??mble\n--b\n\nplain = \n--b  \n\
         Content-Type: text/plain; charset=utf-8\n\
         Content-Transfer-Encoding: quoted-printable\n\ngr=C3=BCn\n\n--b\n\
         Content-Type: application/x\nContent-Transfer-Encoding: base64\n\nw7ZjdGV0cw0KLS1iYw==\
         \n--b--\nend\n",
    );
}

#[test]
fn messages_inside_of_messages_are_followed() {
    check(
        "MIME-Version: 1.0\nContent-Type: multipart/digest; boundary=o\n\n--o\n\n\
         Subject: inner\n\ngrün\n--o\nContent-Type: message/rfc822\n\n\
         Content-Type: multipart/alternative; boundary=i\nMIME-Version: 1.0\n\n--i\n\nä\n--o--\n",
        "MIME-Version: 1.0\nContent-Type: multipart/digest; boundary=o\n\n--o\n\n\
         Subject: inner\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\
         Content-Transfer-Encoding: quoted-printable\n\ngr=C3=BCn\n\
         --o\nContent-Type: message/rfc822\n\n\
         Content-Type: multipart/alternative; boundary=i\nMIME-Version: 1.0\n\n--i\n\
         Content-Type: text/plain; charset=utf-8\n\
         Content-Transfer-Encoding: quoted-printable\n\n=C3=A4\n--o--\n",
    );
}

#[test]
fn what_is_seven_bit_already_stays_as_it_is() {
    for content in [
        "MIME-Version: 1.0\nContent-Type: multipart/signed; boundary=b\n\n--b\n\n signed  \n--b--\n",
        "Content-Type: multipart/mixed; boundary=b\nMIME-Version: 1.0\n\n--b\nX: y\n--b\n\n--b--\n",
        "Subject: nothing else\n\n",
        "Subject: no body\n",
    ] {
        check(content, content);
    }
}

#[test]
fn what_cannot_be_converted_is_said_to_be() {
    let signed = "MIME-Version: 1.0\nContent-Type: multipart/signed; boundary=b\n\n";
    check_barrier(&format!("{signed}--b\n\nä\n--b--\n"), Barrier::Protected);
    check_barrier(
        &format!("{signed}--b\nContent-Type: message/rfc822\n\nSubject: x\n\nä\n--b--\n"),
        Barrier::Protected,
    );
    check_barrier("Subject: grün\n\nx\n", Barrier::Header);
    check_barrier(
        "Content-Type: message/rfc822\n\nSubject: grün\n\nx\n",
        Barrier::Header,
    );
    for header in [
        "Content-Transfer-Encoding: base64",
        "Content-Transfer-Encoding: quoted-printable",
        "Content-Transfer-Encoding: x-what",
        "Content-Type: message/delivery-status",
        "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64",
    ] {
        check_barrier(&format!("{header}\n\nä\n"), Barrier::Encoding);
    }
    check_barrier("Content-Type: multipart/mixed\n\nä\n", Barrier::Structure);
    check_barrier(
        "Content-Type: text/plain\nContent-Type: text/html\n\nä\n",
        Barrier::Structure,
    );
}

#[test]
fn a_multipart_without_parts_is_not_converted() {
    let mixed = "Content-Type: multipart/mixed; boundary=b\n\n";
    let inner = "--b\nContent-Type: multipart/alternative; boundary=i\n\n";
    for content in [
        format!("{mixed}--B\n\nä\n--B--\n"),
        format!("{mixed}ä"),
        format!("{mixed}ä\n--b--\n"),
        format!("{mixed}{inner}--x\n\nä\n--x--\n--b\n\nplain\n--b--\n"),
        format!("{mixed}{inner}ä\n--b--\n"),
        format!("{mixed}{inner}ä\n"),
    ] {
        check_barrier(&content, Barrier::Structure);
    }
    // Nothing is lost of those.
    for content in [
        format!("{mixed}--B\n\na\n--B--\n"),
        format!("{mixed}{inner}a\n--b--\n"),
    ] {
        let content = format!("MIME-Version: 1.0\n{content}");
        check(&content, &content);
    }
}

#[test]
fn only_the_first_header_tells_whether_smtputf8_is_needed() {
    let is_ascii = |text: &str| survey(&wire(text), 3).is_header_ascii;
    assert!(!is_ascii("Subject: grün\n\nx\n"));
    assert!(is_ascii("Subject: x\n\ngrün\n"));
    assert!(is_ascii(
        "Content-Type: message/rfc822\n\nSubject: grün\n\nx\n"
    ));
}

#[test]
fn what_nobody_needs_is_not_followed() {
    let mut deep = String::new();
    for level in 0..60 {
        deep += &format!("Content-Type: multipart/mixed; boundary=b{level}\n\n--b{level}\n");
    }
    check_barrier(&format!("{deep}\nä\n"), Barrier::Structure);
    let many = "--b\n\nx\n".repeat(10_001);
    let many = wire(&format!(
        "Content-Type: multipart/mixed; boundary=b\n\n{many}"
    ));
    assert_eq!(convert(&many, 4096), Err(Barrier::Structure));
    let large = wire(&format!("X: {}\n\nä\n", "y".repeat(300_000)));
    assert_eq!(convert(&large, 4096), Err(Barrier::Structure));
}

#[test]
fn long_lines_are_folded_where_they_can_be() {
    let long = "ä ".repeat(5_000);
    let content = wire(&format!("Subject: x\n\n{long}\n"));
    let converted = convert(&content, 4096).unwrap();
    assert!(
        converted
            .split(|octet| *octet == b'\n')
            .all(|line| line.len() <= 78)
    );
}

/// What Python's email package reads: a line for each part with its type and its octets.
fn read_by_python(contents: &[Vec<u8>]) -> Vec<String> {
    const PROGRAM: &str = "
import sys, email, email.policy
for length in sys.stdin.buffer:
    content = sys.stdin.buffer.read(int(length))
    message = email.message_from_bytes(content, policy=email.policy.compat32)
    parts = []
    for part in message.walk():
        body = None if part.is_multipart() else part.get_payload(decode=True)
        parts.append((part.get_content_type(), body))
    print(ascii(parts), flush=True)
";
    let mut python = Command::new("python3")
        .args(["-c", PROGRAM])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = python.stdin.take().unwrap();
    let contents = contents.to_vec();
    let writer = std::thread::spawn(move || {
        for content in contents {
            input
                .write_all(format!("{}\n", content.len()).as_bytes())
                .unwrap();
            input.write_all(&content).unwrap();
        }
    });
    let output = python.wait_with_output().unwrap();
    writer.join().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// A part with its header, of some depth.
fn entity() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        6 => "[a-zäöü=\\-. \t]{0,40}",
        1 => Just("--b".to_owned()),
        1 => "[a-zé]{1,3}".prop_map(|text| text.repeat(400)),
    ];
    let body = prop::collection::vec(line, 0..6).prop_map(|lines| lines.join("\r\n").into_bytes());
    let header = prop::sample::select(vec![
        "\r\n",
        "Content-Type: text/plain; charset=utf-8\r\n\r\n",
        "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n",
        "Content-Type: application/x-thing\r\nContent-Transfer-Encoding: binary\r\n\r\n",
        "Content-Type: image/png\r\nContent-Disposition: attachment\r\n\r\n",
        "Content-Transfer-Encoding: 7bit\r\n\r\n",
    ]);
    let leaf = (header, body).prop_map(|(header, body)| [header.as_bytes(), &body].concat());
    leaf.prop_recursive(4, 24, 4, |inner| {
        let parts = prop::collection::vec(inner.clone(), 1..4);
        let boundary = "[a-z]{1,5}=?_[0-9]{3}";
        let multipart =
            (boundary, parts, any::<bool>()).prop_map(|(boundary, parts, is_closed)| {
                let mut content = format!(
                    "Content-Type: multipart/mixed; boundary=\"{boundary}\"\r\n\
                 Content-Transfer-Encoding: 8bit\r\n\r\nbefore"
                )
                .into_bytes();
                for part in parts {
                    content.extend(format!("\r\n--{boundary}\r\n").as_bytes());
                    content.extend(part);
                }
                if is_closed {
                    content.extend(format!("\r\n--{boundary}--\r\n").as_bytes());
                }
                content
            });
        let message = inner.prop_map(|content| {
            [
                b"Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n",
                &content[..],
            ]
            .concat()
        });
        prop_oneof![2 => multipart, 1 => message]
    })
}

#[test]
fn what_is_converted_reads_as_what_was_sent() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut pairs = Vec::new();
    for _ in 0..400 {
        let entity = entity().new_tree(&mut runner).unwrap().current();
        let content = [b"From: a@b.example\r\nMIME-Version: 1.0\r\n", &entity[..]].concat();
        let converted = convert(&content, 4096).unwrap();
        assert_eq!(convert(&content, 13).unwrap(), converted, "by another cut");
        assert!(converted.is_ascii());
        let lines = converted.split(|octet| *octet == b'\n');
        assert!(lines.into_iter().all(|line| line.len() <= 999));
        pairs.push(content);
        pairs.push(converted);
    }
    let read = read_by_python(&pairs);
    assert_eq!(read.len(), pairs.len());
    for (at, both) in read.chunks(2).enumerate() {
        let text = String::from_utf8_lossy(&pairs[2 * at]);
        assert_eq!(both[0], both[1], "{text}");
    }
}

proptest! {
    #[test]
    fn whatever_comes_nothing_beyond_ascii_leaves_and_the_cut_is_of_no_matter(
        content in prop::collection::vec(prop_oneof![
            Just("Content-Type: multipart/mixed; boundary=b\r\n".to_owned()),
            Just("Content-Type: message/rfc822\r\n".to_owned()),
            Just("Content-Transfer-Encoding: 8bit\r\n".to_owned()),
            Just("\r\n".to_owned()), Just("\r\n--b\r\n".to_owned()), Just("--b--".to_owned()),
            Just("\r".to_owned()), Just("\n".to_owned()), "[ -~ü]{0,20}", "\\PC{0,5}",
        ], 0..30),
        cut in 1usize..40,
    ) {
        let content = content.concat().into_bytes();
        let converted = convert(&content, cut);
        prop_assert_eq!(&converted, &convert(&content, 4096));
        if let Ok(converted) = converted {
            prop_assert!(converted.is_ascii());
        }
    }
}
