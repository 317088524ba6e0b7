//! Reads dialogue files.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Asked, Decision, Dialogue, Event, Pattern, Variables, Verdict};

/// A line of a dialogue file that means nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialogueError {
    /// Its number.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
}

impl fmt::Display for DialogueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.problem)
    }
}

impl std::error::Error for DialogueError {}

/// Reads a dialogue file.
///
/// # Errors
/// [`DialogueError`] names the first line that means nothing.
pub fn parse(text: &str, variables: &Variables) -> Result<Dialogue, DialogueError> {
    let mut dialogue = Dialogue {
        runs_on_relay: false,
        starttls: true,
        plaintext_auth: true,
        implicit_tls: false,
        limits: Vec::new(),
        login: false,
        events: Vec::new(),
    };
    let mut content: Option<Vec<u8>> = None;
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let wrong = |problem: String| DialogueError {
            line: number,
            problem,
        };
        let (mark, rest) = line.split_once(' ').unwrap_or((line, ""));
        if mark == "M:" {
            let line = unescape(&expand(rest, variables).map_err(wrong)?).map_err(wrong)?;
            let content = content.get_or_insert_default();
            content.extend(line);
            content.extend(b"\r\n");
            continue;
        }
        if let Some(content) = content.take() {
            dialogue.events.push((index, Event::Content(content)));
        }
        if line.trim().is_empty() || mark.starts_with('#') {
            continue;
        }
        if mark == "@" {
            set(&mut dialogue, rest).map_err(wrong)?;
            continue;
        }
        let event = event(mark, rest, variables).map_err(wrong)?;
        dialogue.events.push((number, event));
    }
    if let Some(content) = content {
        dialogue
            .events
            .push((text.lines().count(), Event::Content(content)));
    }
    if dialogue.login {
        dialogue.events.splice(0..0, login(variables));
    }
    Ok(dialogue)
}

/// One `@` line.
fn set(dialogue: &mut Dialogue, rest: &str) -> Result<(), String> {
    let words: Vec<&str> = rest.split_whitespace().collect();
    match words.as_slice() {
        ["runs", "core"] => dialogue.runs_on_relay = false,
        ["runs", "core", "relay"] => dialogue.runs_on_relay = true,
        ["starttls", "off"] => dialogue.starttls = false,
        ["plaintext-auth", "off"] => dialogue.plaintext_auth = false,
        ["implicit-tls"] => dialogue.implicit_tls = true,
        ["login"] => dialogue.login = true,
        ["limit", name, number] => {
            let number = number
                .parse()
                .map_err(|_| "a limit is a number".to_owned())?;
            dialogue.limits.push(((*name).to_owned(), number));
        }
        _ => return Err(format!("nothing is set by {rest:?}")),
    }
    Ok(())
}

/// Any other line.
fn event(mark: &str, rest: &str, variables: &Variables) -> Result<Event, String> {
    let expanded = expand(rest, variables)?;
    Ok(match mark {
        "C:" => Event::Send([unescape(&expanded)?.as_slice(), b"\r\n"].concat()),
        "R:" => Event::Send(unescape(&expanded)?),
        "R64:" => Event::Send(
            STANDARD
                .decode(expanded)
                .map_err(|_| "not base64".to_owned())?,
        ),
        "S:" => Event::Line(pattern(&expanded)?),
        "S*:" => Event::Reply(expanded),
        "+" => Event::Has(pattern(&expanded)?),
        "-" => Event::Lacks(pattern(&expanded)?),
        "!" => directive(&expanded)?,
        _ => return Err(format!("no line starts with {mark:?}")),
    })
}

/// Escapes make a blank at the end of a line visible.
fn pattern(text: &str) -> Result<Pattern, String> {
    let text = String::from_utf8(unescape(text)?).map_err(|_| "not UTF-8".to_owned())?;
    Ok(Pattern(text))
}

fn directive(text: &str) -> Result<Event, String> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let verdict = match word {
        "tls" => return Ok(Event::Tls),
        "closed" => return Ok(Event::Closed),
        "messages" => {
            return rest
                .parse()
                .map(Event::Messages)
                .map_err(|_| "how many messages?".to_owned());
        }
        "accept" => Verdict::Accept,
        "refuse" => Verdict::Refuse,
        "close" => Verdict::Close,
        _ => return Err(format!("no directive is called {word:?}")),
    };
    let (question, reply) = rest
        .split_once(' ')
        .ok_or("a decision needs a question and a reply")?;
    let question = match question {
        "auth" => Asked::Authenticate,
        "mail" => Asked::Mail,
        "recipient" => Asked::Recipient,
        "data" => Asked::Data,
        "message" => Asked::Message,
        _ => return Err(format!("no question is called {question:?}")),
    };
    Ok(Event::Decide(Decision {
        question,
        verdict,
        reply: reply.to_owned(),
    }))
}

/// What `@ login` stands for.
fn login(variables: &Variables) -> Vec<(usize, Event)> {
    let message = format!("\0{}\0{}", variables.user, variables.secret);
    let auth = format!("AUTH PLAIN {}\r\n", STANDARD.encode(message));
    vec![
        (0, Event::Reply("220".into())),
        (0, Event::Send(b"EHLO client.example\r\n".to_vec())),
        (0, Event::Reply("250".into())),
        (0, Event::Send(auth.into_bytes())),
        (0, Event::Reply("235".into())),
    ]
}

/// Puts values in the place of `$` words, then repeats what stands in `$repeat(count,text)`, counts the
/// octets of what stands in `$bytes(…)`, and encodes what stands in `$base64(…)`.
fn expand(text: &str, variables: &Variables) -> Result<String, String> {
    let mut text = text.to_owned();
    for (word, value) in [
        ("$hostname", variables.hostname.clone()),
        ("$size", variables.size.to_string()),
        ("$user", variables.user.clone()),
        ("$secret", variables.secret.clone()),
        ("$sender", variables.sender.clone()),
        ("$recipient", variables.recipient.clone()),
    ] {
        text = text.replace(word, &value);
    }
    text = call(&text, "$repeat(", |arguments| {
        let (count, text) = arguments.split_once(',')?;
        Some(text.repeat(count.parse().ok()?))
    })?;
    text = call(&text, "$bytes(", |argument| {
        Some(unescape(argument).ok()?.len().to_string())
    })?;
    call(&text, "$base64(", |argument| {
        Some(STANDARD.encode(unescape(argument).ok()?))
    })
}

/// Replaces `name…)` by what `value` makes of `…`.
fn call(text: &str, name: &str, value: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let (mut done, mut rest) = (String::new(), text);
    while let Some((before, behind)) = rest.split_once(name) {
        let (arguments, behind) = behind
            .split_once(')')
            .ok_or(format!("{name} is not closed"))?;
        done.push_str(before);
        done.push_str(&value(arguments).ok_or(format!("{name}{arguments}) means nothing"))?);
        rest = behind;
    }
    done.push_str(rest);
    Ok(done)
}

/// `\r`, `\n`, `\t`, `\0`, `\s` (a blank), `\\` and `\xHH`.
fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            octets.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        octets.push(match characters.next() {
            Some('r') => b'\r',
            Some('n') => b'\n',
            Some('t') => b'\t',
            Some('0') => 0,
            Some('s') => b' ',
            Some('\\') => b'\\',
            Some('x') => {
                let digits: String = characters.by_ref().take(2).collect();
                u8::from_str_radix(&digits, 16).map_err(|_| "\\x needs two digits".to_owned())?
            }
            _ => return Err("a lone backslash".into()),
        });
    }
    Ok(octets)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn variables() -> Variables {
        Variables {
            hostname: "mx.example".into(),
            size: 1000,
            user: "u".into(),
            secret: "p".into(),
            sender: "s@a.example".into(),
            recipient: "r@b.example".into(),
        }
    }

    #[test]
    fn a_file_becomes_what_happens() {
        let text = "# A title.\n@ runs core relay\n@ limit errors_max 3\n\nS: 220 $hostname ...\n\
                    C: EHLO c\nS*: 250\n+ SIZE $size\n- AUTH...\nC: AUTH PLAIN $base64(\\0$user\\0$secret)\n\
                    R: a\\r\\n\\x2e\\\\\n! refuse mail 550 5.7.1 No\n! messages 1\nM: a\nM: \n! closed\n";
        let dialogue = parse(text, &variables()).unwrap();
        assert!(dialogue.runs_on_relay);
        assert_eq!(dialogue.limits, [("errors_max".to_owned(), 3)]);
        let pattern = |text: &str| Pattern(text.to_owned());
        let events: Vec<Event> = dialogue
            .events
            .into_iter()
            .map(|(_, event)| event)
            .collect();
        assert_eq!(
            events,
            [
                Event::Line(pattern("220 mx.example ...")),
                Event::Send(b"EHLO c\r\n".to_vec()),
                Event::Reply("250".into()),
                Event::Has(pattern("SIZE 1000")),
                Event::Lacks(pattern("AUTH...")),
                Event::Send(b"AUTH PLAIN AHUAcA==\r\n".to_vec()),
                Event::Send(b"a\r\n.\\".to_vec()),
                Event::Decide(Decision {
                    question: Asked::Mail,
                    verdict: Verdict::Refuse,
                    reply: "550 5.7.1 No".into(),
                }),
                Event::Messages(1),
                Event::Content(b"a\r\n\r\n".to_vec()),
                Event::Closed,
            ]
        );
    }

    #[test]
    fn a_line_that_means_nothing_is_named() {
        for (text, line) in [
            ("X: a", 1),
            ("\n@ runs relay", 2),
            ("C: a\nC: \\q", 2),
            ("! dance", 1),
            ("! refuse mail", 1),
            ("! refuse lunch 550 5.0.0 x", 1),
            ("R64: ???", 1),
            ("C: $base64(a", 1),
            ("@ limit errors_max many", 1),
        ] {
            assert_eq!(parse(text, &variables()).unwrap_err().line, line, "{text}");
        }
    }

    #[test]
    fn repetitions_and_counts_are_written_out() {
        let dialogue = parse("C: NOOP $repeat(3,ab) $bytes(a\\r\\n)", &variables()).unwrap();
        assert_eq!(
            dialogue.events[0].1,
            Event::Send(b"NOOP ababab 3\r\n".to_vec())
        );
    }
}
