//! The envelope as a sink shows it: what was said in MAIL and RCPT.

use std::fmt::Write as _;
use std::net::SocketAddr;

use outpost_smtp::time::date_time;
use outpost_smtp::{
    Body, ForwardPath, Hold, MailParameters, Notify, RcptParameters, Ret, ReversePath,
};
use serde_json::{Value, json};

use super::record::Digests;
use super::store::Number;

/// A transaction so far.
#[derive(Clone, Debug)]
pub(super) struct Envelope {
    pub(super) reverse_path: ReversePath,
    pub(super) parameters: MailParameters,
    pub(super) recipients: Vec<(ForwardPath, RcptParameters)>,
}

/// Who sends.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) address: SocketAddr,
    pub(super) ehlo: String,
}

impl Envelope {
    /// An envelope without recipients.
    pub(super) fn new(reverse_path: ReversePath, parameters: MailParameters) -> Self {
        Self {
            reverse_path,
            parameters,
            recipients: Vec::new(),
        }
    }

    /// All that is known, for programs.
    pub(super) fn to_json(&self, number: Number, client: &Client, digests: &Digests) -> Value {
        let recipients = self.recipients.iter().map(|(forward_path, parameters)| {
            json!({
                "to": bare(&forward_path.to_string()),
                "notify": parameters.notify.as_ref().map(notify),
                "orcpt": parameters.orcpt.as_ref()
                    .map(|orcpt| format!("{};{}", orcpt.address_type, orcpt.address)),
            })
        });
        json!({
            "connection": number.connection,
            "message": number.message,
            "client": client.address.to_string(),
            "ehlo": client.ehlo,
            "from": bare(&self.reverse_path.to_string()),
            "size": self.parameters.size,
            "body": body(&self.parameters.body),
            "smtputf8": self.parameters.smtputf8,
            "ret": self.parameters.ret.as_ref().map(ret),
            "envid": self.parameters.envid,
            "mt_priority": self.parameters.mt_priority,
            "by": self.parameters.by.map(|by| by.to_string()),
            "hold": self.parameters.hold.map(hold),
            "require_tls": self.parameters.require_tls,
            "recipients": recipients.collect::<Vec<Value>>(),
            "octets": digests.octets,
            "sha256": digests.content,
            "body_sha256": digests.body,
        })
    }

    /// What MAIL asked for beside the usual, as it is said.
    fn asked(&self) -> String {
        let parameters = &self.parameters;
        let asked = [
            parameters.mt_priority.map(|n| format!(" MT-PRIORITY={n}")),
            parameters.by.map(|by| format!(" BY={by}")),
            parameters.hold.map(|asked| format!(" {}", hold(asked))),
            parameters.require_tls.then(|| " REQUIRETLS".to_owned()),
        ];
        asked.into_iter().flatten().collect()
    }

    /// The whole message, for people; `content` is as much of its `octets` as was kept.
    pub(super) fn to_text(
        &self,
        number: Number,
        client: &Client,
        content: &[u8],
        octets: u64,
    ) -> String {
        let mut text = format!(
            "=== {number} from {} ({})\n",
            client.address,
            readable(client.ehlo.as_bytes())
        );
        // Writing to a string does not fail.
        let _ = writeln!(text, "MAIL FROM:{}{}", self.reverse_path, self.asked());
        for (forward_path, _) in &self.recipients {
            let _ = writeln!(text, "RCPT TO:{forward_path}");
        }
        let _ = write!(text, "\n{}", readable(content));
        let left = octets.saturating_sub(u64::try_from(content.len()).unwrap_or(u64::MAX));
        if left > 0 {
            let _ = write!(text, "\n[{left} more octets]\n");
        }
        text
    }
}

/// The address without its brackets; empty for the null reverse-path.
pub(super) fn bare(path: &str) -> &str {
    path.strip_prefix('<')
        .and_then(|path| path.strip_suffix('>'))
        .unwrap_or(path)
}

fn body(body: &Body) -> &'static str {
    match body {
        Body::SevenBit => "7BIT",
        Body::EightBitMime => "8BITMIME",
    }
}

fn ret(ret: &Ret) -> &'static str {
    match ret {
        Ret::Full => "FULL",
        Ret::Headers => "HDRS",
    }
}

/// `HOLDFOR=60`, or `HOLDUNTIL=` with the date and time in UTC.
fn hold(hold: Hold) -> String {
    match hold {
        Hold::For(interval) => format!("HOLDFOR={}", interval.as_secs()),
        Hold::Until(time) => format!("HOLDUNTIL={}", date_time(time)),
    }
}

fn notify(notify: &Notify) -> String {
    if notify.never {
        return "NEVER".to_owned();
    }
    let wishes = [
        (notify.success, "SUCCESS"),
        (notify.failure, "FAILURE"),
        (notify.delay, "DELAY"),
    ];
    let wishes = wishes.into_iter().filter(|(is_wanted, _)| *is_wanted);
    wishes.map(|(_, name)| name).collect::<Vec<_>>().join(",")
}

/// Content for a terminal: what could move its cursor or change its colours is made visible.
fn readable(content: &[u8]) -> String {
    let text = String::from_utf8_lossy(content);
    let mut readable = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\r' if characters.peek() == Some(&'\n') => {}
            '\n' | '\t' => readable.push(character),
            control if control.is_control() => readable.extend(control.escape_default()),
            other => readable.push(other),
        }
    }
    readable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_mail_asks_for_is_shown_as_it_is_said() {
        let parse = |text| MailParameters::parse(text).unwrap();
        for (said, shown) in [
            ("SIZE=7", ""),
            ("BY=60;rt MT-PRIORITY=-3", " MT-PRIORITY=-3 BY=60;RT"),
            ("requiretls HOLDFOR=60", " HOLDFOR=60 REQUIRETLS"),
            (
                "HOLDUNTIL=2023-11-15T00:13:20+02:00",
                " HOLDUNTIL=2023-11-14T22:13:20Z",
            ),
        ] {
            let envelope = Envelope::new(ReversePath::Null, parse(said));
            assert_eq!(envelope.asked(), shown);
        }
    }

    #[test]
    fn what_a_terminal_would_obey_is_made_visible() {
        assert_eq!(
            readable(b"a\r\nb\tc\x1b[2J\rd\x00\xff\n"),
            "a\nb\tc\\u{1b}[2J\\rd\\u{0}\u{fffd}\n"
        );
    }
}
