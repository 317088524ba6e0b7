//! What is to be sent, and the commands that say so.

use std::io::Write as _;

use crate::address::{Mailbox, ReversePath};
use crate::parameter::{Body, By, ByMode, Notify, Orcpt, Ret, xtext};
use crate::reply::Reply;

use super::Extensions;

/// What is said of a message that is to be returned when it is late, where the peer does not know deadlines, and sees to
/// none however long it is (RFC 2852 §4.1.4.1).
pub const RETURNS_NOTHING_LATE: &str =
    "The next hop does not return messages that it cannot deliver in time";

/// One message to one peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// Where reports go.
    pub reverse_path: ReversePath,
    /// Whom it is for; at least one.
    pub recipients: Vec<TransactionRecipient>,
    /// Size of the content in octets, if it is known.
    pub size: Option<u64>,
    /// What the content is made of.
    pub body: Body,
    /// Whether addresses or header fields are in UTF-8.
    pub smtputf8: bool,
    /// How much comes back in a report.
    pub ret: Option<Ret>,
    /// The sender's name for the envelope.
    pub envid: Option<String>,
    /// The priority that it is handed on with: -9 to 9.
    pub mt_priority: Option<i8>,
    /// Within which time from now it is to be delivered.
    pub by: Option<By>,
    /// Whether it goes only to a peer that sees to TLS from there on (RFC 8689). That the connection is under TLS, and
    /// the peer the one that is meant, is for the caller to know. A report, which has no reverse-path, goes all the same.
    pub require_tls: bool,
}

/// One recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionRecipient {
    /// Its address.
    pub mailbox: Mailbox,
    /// When the sender wants to hear of it.
    pub notify: Option<Notify>,
    /// The recipient that the sender first named.
    pub orcpt: Option<Orcpt>,
}

impl Transaction {
    /// Why the peer cannot take it, going by what it lists. Sending it raw all the same would break
    /// RFC 6152 §3 and RFC 6531 §3.5, or only waste the transfer (RFC 1870 §6.2).
    pub(super) fn obstacle(&self, extensions: &Extensions) -> Option<Reply> {
        let reply = |code, (subject, detail), text: &str| {
            Some(Reply::new(code, (5, subject, detail), text))
        };
        if self.recipients.is_empty() {
            return reply(554, (5, 1), "No recipients");
        }
        if !self.is_sendable() {
            return reply(553, (1, 3), "An address cannot be written down");
        }
        if !extensions.smtputf8 {
            if !self.is_ascii() {
                return reply(550, (6, 7), "The next hop takes no addresses beyond ASCII");
            }
            if self.smtputf8 {
                return reply(550, (6, 9), "The next hop takes no header fields in UTF-8");
            }
        }
        if self.body == Body::EightBitMime && !extensions.eight_bit_mime {
            return reply(554, (6, 3), "The next hop takes no 8-bit content");
        }
        if let (Some(size), Some(size_max @ 1..)) = (self.size, extensions.size)
            && size > size_max
        {
            return reply(552, (3, 4), "The message is larger than the next hop takes");
        }
        if self.require_tls && !extensions.require_tls && self.reverse_path != ReversePath::Null {
            return reply(550, (7, 30), "REQUIRETLS support required");
        }
        self.lateness(extensions)
    }

    /// Why the peer cannot see to it that the message is returned in time, if that is wanted (RFC 2852 §4.1.4.1).
    fn lateness(&self, extensions: &Extensions) -> Option<Reply> {
        let by = self.by.filter(|by| by.mode == ByMode::Return)?;
        let time = u32::try_from(by.seconds).unwrap_or(0);
        let text = match extensions.deliver_by {
            _ if time == 0 => "The time is over within which the message was to be delivered",
            None => RETURNS_NOTHING_LATE,
            Some(least) if time < least => {
                let text = format!(
                    "The next hop needs {least} seconds for a message that is to be returned when it is late, and {time} \
                     are left"
                );
                return Some(Reply::new(554, (5, 4, 7), text));
            }
            Some(_) => return None,
        };
        Some(Reply::new(554, (5, 4, 7), text))
    }

    fn is_ascii(&self) -> bool {
        self.reverse_path.is_ascii()
            && self
                .recipients
                .iter()
                .all(|recipient| recipient.mailbox.is_ascii())
    }

    /// The fields of a [`Mailbox`] are open; nobody may write a second command into one.
    fn is_sendable(&self) -> bool {
        let is_sendable = |mailbox: &Mailbox| {
            !mailbox.local.chars().any(char::is_control)
                && !mailbox
                    .domain
                    .chars()
                    .any(|c| c.is_control() || c.is_whitespace() || c == '>')
        };
        let reverse = match &self.reverse_path {
            ReversePath::Null => true,
            ReversePath::Mailbox(mailbox) => is_sendable(mailbox),
        };
        reverse
            && self
                .recipients
                .iter()
                .all(|recipient| is_sendable(&recipient.mailbox))
    }

    /// Appends the MAIL command.
    pub(super) fn write_mail(&self, extensions: &Extensions, output: &mut Vec<u8>) {
        write(output, format_args!("MAIL FROM:{}", self.reverse_path));
        if let (Some(size), Some(_)) = (self.size, extensions.size) {
            write(output, format_args!(" SIZE={size}"));
        }
        if self.body == Body::EightBitMime && extensions.eight_bit_mime {
            write(output, format_args!(" BODY=8BITMIME"));
        }
        if self.smtputf8 && extensions.smtputf8 {
            write(output, format_args!(" SMTPUTF8"));
        }
        if extensions.dsn {
            match self.ret {
                Some(Ret::Full) => write(output, format_args!(" RET=FULL")),
                Some(Ret::Headers) => write(output, format_args!(" RET=HDRS")),
                None => {}
            }
            if let Some(envid) = &self.envid {
                write(output, format_args!(" ENVID={}", xtext::encode(envid)));
            }
        }
        if let (Some(priority), true) = (self.mt_priority, extensions.mt_priority) {
            write(
                output,
                format_args!(" MT-PRIORITY={}", priority.clamp(-9, 9)),
            );
        }
        if let (Some(by), Some(_)) = (self.by, extensions.deliver_by) {
            write(output, format_args!(" BY={by}"));
        }
        if self.require_tls && extensions.require_tls {
            write(output, format_args!(" REQUIRETLS"));
        }
        output.extend_from_slice(b"\r\n");
    }

    /// Appends the RCPT command of one recipient.
    pub(super) fn write_rcpt(
        &self,
        recipient: &TransactionRecipient,
        extensions: &Extensions,
        output: &mut Vec<u8>,
    ) {
        write(output, format_args!("RCPT TO:<{}>", recipient.mailbox));
        if extensions.dsn {
            if let Some(notify) = recipient
                .notify
                .map(Notify::encode)
                .filter(|notify| !notify.is_empty())
            {
                write(output, format_args!(" NOTIFY={notify}"));
            }
            if let Some(orcpt) = recipient
                .orcpt
                .as_ref()
                .map(|orcpt| orcpt.encode(self.smtputf8))
                && !orcpt.contains(|c: char| c.is_control() || c.is_whitespace() || c == '=')
            {
                write(output, format_args!(" ORCPT={orcpt}"));
            }
        }
        output.extend_from_slice(b"\r\n");
    }
}

fn write(output: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing into a Vec cannot fail.
    let _ = output.write_fmt(text);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn transaction() -> Transaction {
        Transaction {
            reverse_path: ReversePath::Mailbox(Mailbox::parse("a@b.example", false).unwrap()),
            recipients: vec![TransactionRecipient {
                mailbox: Mailbox::parse("c d@e.example".replace("c d", "\"c d\"").as_str(), false)
                    .unwrap(),
                notify: Some(Notify {
                    success: true,
                    delay: true,
                    ..Notify::default()
                }),
                orcpt: Some(Orcpt {
                    address_type: "rfc822".into(),
                    address: "x+y@z.example".into(),
                }),
            }],
            size: Some(10),
            body: Body::EightBitMime,
            smtputf8: true,
            ret: Some(Ret::Headers),
            envid: Some("a b".into()),
            mt_priority: Some(-3),
            by: Some(by(-7, ByMode::Notify)),
            require_tls: true,
        }
    }

    fn by(seconds: i32, mode: ByMode) -> By {
        By {
            seconds,
            mode,
            trace: true,
        }
    }

    fn everything() -> Extensions {
        Extensions::parse(
            "mx\nPIPELINING\nSIZE 1000\n8BITMIME\nSMTPUTF8\nDSN\nMT-PRIORITY\nDELIVERBY 60\nREQUIRETLS",
        )
    }

    fn commands(transaction: &Transaction, extensions: &Extensions) -> String {
        let mut output = Vec::new();
        transaction.write_mail(extensions, &mut output);
        transaction.write_rcpt(&transaction.recipients[0], extensions, &mut output);
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn parameters_are_sent_to_those_who_list_them() {
        assert_eq!(
            commands(&transaction(), &everything()),
            "MAIL FROM:<a@b.example> SIZE=10 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+20b \
             MT-PRIORITY=-3 BY=-7;NT REQUIRETLS\r\n\
             RCPT TO:<\"c d\"@e.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+2By@z.example\r\n"
        );
        assert_eq!(
            commands(&transaction(), &Extensions::default()),
            "MAIL FROM:<a@b.example>\r\nRCPT TO:<\"c d\"@e.example>\r\n"
        );
    }

    fn obstacle(change: impl Fn(&mut Transaction, &mut Extensions)) -> Option<String> {
        let (mut transaction, mut extensions) = (transaction(), everything());
        change(&mut transaction, &mut extensions);
        transaction
            .obstacle(&extensions)
            .map(|reply| reply.to_string()[..9].to_owned())
    }

    #[test]
    fn what_the_peer_cannot_take_is_not_sent_to_it() {
        assert_eq!(obstacle(|_, _| {}), None);
        assert_eq!(obstacle(|t, _| t.recipients.clear()).unwrap(), "554 5.5.1");
        assert_eq!(obstacle(|_, e| e.smtputf8 = false).unwrap(), "550 5.6.9");
        assert_eq!(
            obstacle(|_, e| e.eight_bit_mime = false).unwrap(),
            "554 5.6.3"
        );
        assert_eq!(obstacle(|t, _| t.size = Some(1001)).unwrap(), "552 5.3.4");
        assert_eq!(
            obstacle(|t, e| (t.size, e.size) = (Some(1001), Some(0))),
            None
        );
        assert_eq!(
            obstacle(|t, _| t.recipients[0].mailbox.local.push_str("\r\nQUIT")).unwrap(),
            "553 5.1.3"
        );
        assert_eq!(
            obstacle(|t, _| t.recipients[0].mailbox.domain.push_str("> X")).unwrap(),
            "553 5.1.3"
        );
        for (seconds, listed, refusal) in [
            (60, Some(60), None),
            (59, Some(60), Some("554 5.4.7")),
            (1, Some(0), None),
            (0, Some(0), Some("554 5.4.7")),
            (-1, Some(0), Some("554 5.4.7")),
            (600, None, Some("554 5.4.7")),
        ] {
            let returned = obstacle(|t, e| {
                t.by = Some(by(seconds, ByMode::Return));
                e.deliver_by = listed;
            });
            assert_eq!(returned.as_deref(), refusal, "{seconds} {listed:?}");
        }
        assert_eq!(obstacle(|_, e| e.deliver_by = None), None, "only told");
        let unprotected = obstacle(|_, e| e.require_tls = false);
        assert_eq!(unprotected.unwrap(), "550 5.7.3");
        let report = obstacle(|t, e| {
            t.reverse_path = ReversePath::Null;
            e.require_tls = false;
        });
        assert_eq!(report, None, "a report is not lost for it");
        let foreign = obstacle(|t, e| {
            t.recipients[0].mailbox.local.push('\u{e9}');
            e.smtputf8 = false;
        });
        assert_eq!(foreign.unwrap(), "550 5.6.7");
    }
}
