//! The text of a domain sender notification.

use outpost_smtp::Mailbox;

use super::bursts::Telling;
use crate::message::{Address, MessageId, Timestamp};

/// A notification to be written.
pub(super) struct Notice<'a> {
    pub hostname: &'a str,
    pub id: MessageId,
    pub at: Timestamp,
    pub recipients: &'a [Mailbox],
    pub telling: &'a Telling,
    /// What the user may send as already, written as the command line takes it.
    pub senders_now: &'a str,
}

impl Notice<'_> {
    pub(super) fn subject(&self) -> String {
        format!(
            "User {} was refused as {}",
            self.telling.last.user,
            ascii(&self.senders())
        )
    }

    /// The whole message, header and body.
    pub(super) fn content(&self) -> String {
        let refused = &self.telling.last;
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
             {opening}\n\
             \n\
             User:    {user} (list {list})\n\
             Sender:  {senders}\n\
             Client:  {client}\n\
             {reasons}\
             \n\
             The mail was refused and nothing of it was kept. If this user may send as\n\
             this sender, authorize it on the relay:\n\
             \n\
             \x20   outpost user show {user}\n\
             \x20   outpost user set {user} --senders {rules}\n\
             \n\
             (--senders replaces the whole list: these are the user's senders of now, and\n\
             the new one.)\n\
             If nobody of yours tried to send this, reset the user's password:\n\
             \n\
             \x20   outpost user reset-password {user}\n\
             \n\
             {closing}\n",
            hostname = self.hostname,
            to = recipients.join(",\n "),
            subject = self.subject(),
            date = self.at.to_rfc5322(),
            id = self.id,
            opening = self.opening(),
            user = refused.user,
            list = refused.list,
            senders = ascii(&self.senders()),
            client = refused.client.to_canonical(),
            reasons = self.reasons(),
            rules = quoted(&self.senders_then()),
            closing = self.closing(),
        );
        text.replace('\n', "\r\n")
    }

    /// The user's authorized senders once these are among them.
    fn senders_then(&self) -> String {
        let refused = self.telling.last.senders.iter().map(Address::to_string);
        let now = Some(self.senders_now.to_owned()).filter(|senders| !senders.is_empty());
        ascii(&now.into_iter().chain(refused).collect::<Vec<_>>().join(";"))
    }

    fn opening(&self) -> String {
        if self.telling.is_mixed && self.telling.count > 1 {
            return format!(
                "Senders that are not authorized were tried {} times more; this was the last.",
                self.telling.count
            );
        }
        match (self.telling.is_first, self.telling.count) {
            (true, 1) => "A user tried to send mail as a sender that is not authorized.".to_owned(),
            (true, count) => format!(
                "A user tried {count} times to send mail as a sender that is not authorized."
            ),
            (false, 1) => "It happened once more since the last notification.".to_owned(),
            (false, count) => {
                format!("It happened {count} more times since the last notification.")
            }
        }
    }

    fn closing(&self) -> &'static str {
        "Further attempts are counted and told together, in growing intervals."
    }

    fn reasons(&self) -> String {
        self.telling
            .last
            .reasons
            .iter()
            .map(|reason| format!("Reason:  {}\n", ascii(reason)))
            .collect()
    }

    fn senders(&self) -> String {
        let senders: Vec<String> = self
            .telling
            .last
            .senders
            .iter()
            .map(Address::to_string)
            .collect();
        if senders.is_empty() {
            "<>".to_owned()
        } else {
            senders.join(", ")
        }
    }
}

/// The text as one word of a shell. An address may hold `$` and backquotes, and the command is there
/// to be pasted: between apostrophes nothing is special but the apostrophe.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// The text in US-ASCII, on one line: what else there is stands as escapes.
fn ascii(text: &str) -> String {
    text.chars()
        .map(|c| {
            if matches!(c, ' '..='~') {
                c.to_string()
            } else {
                c.escape_default().to_string()
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::RefusedSender;
    use super::*;

    #[test]
    fn an_address_in_the_command_is_a_word_and_nothing_that_a_shell_runs() {
        assert_eq!(quoted("`id`$x@a.example"), "'`id`$x@a.example'");
        assert_eq!(quoted("o'neil@a.example"), r"'o'\''neil@a.example'");
    }

    #[test]
    fn it_says_who_as_whom_from_where_and_what_to_do() {
        let telling = Telling {
            last: RefusedSender {
                list: "default".into(),
                user: "printer".into(),
                client: "::ffff:192.0.2.1".parse().unwrap(),
                senders: vec![Address::new("ce\u{f6}", "victim.example").unwrap()],
                reasons: vec!["not-authorized: no rule covers it".into()],
            },
            count: 7,
            is_first: false,
            is_mixed: false,
        };
        let recipients = [Mailbox {
            local: "ops".into(),
            domain: "a.example".into(),
        }];
        let at = Timestamp::from_unix_milliseconds(1_700_000_000_000);
        let notice = Notice {
            hostname: "relay.example",
            id: MessageId::new(at, 1),
            at,
            recipients: &recipients,
            telling: &telling,
            senders_now: "old@a.example",
        };
        let content = notice.content();
        for expected in [
            "To: <ops@a.example>\r\n",
            "Subject: User printer was refused as ce\\u{f6}@victim.example\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "It happened 7 more times since the last notification.\r\n",
            "User:    printer (list default)\r\n",
            "Client:  192.0.2.1\r\n",
            "Reason:  not-authorized: no rule covers it\r\n",
            "    outpost user set printer --senders 'old@a.example;ce\\u{f6}@victim.example'\r\n",
        ] {
            assert!(content.contains(expected), "{expected:?} in\n{content}");
        }
        assert!(content.is_ascii());
        assert!(!content.replace("\r\n", "").contains(['\r', '\n']));
        assert!(content.lines().all(|line| line.len() <= 900));
    }
}
