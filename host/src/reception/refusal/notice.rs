//! The text of a domain sender notification.
//!
//! Whoever is refused chooses the addresses in it, and a list of rules may be long: no line is longer than
//! mail may be (RFC 5322 §2.1.1), or the next hop would refuse the notification and nobody be told.

use super::bursts::Telling;
use crate::message::Address;
use crate::message::own::ascii;

/// Senders that are named; a message may claim to be from a hundred.
const SENDERS_NAMED_MAX: usize = 5;

/// Longest text of a line in octets. With what stands around it a line stays below 998.
const TEXT_OCTETS_MAX: usize = 800;

/// A notification to be written.
pub(super) struct Notice<'a> {
    pub telling: &'a Telling,
    /// What the user may send as already, written as the command line takes it.
    pub senders_now: &'a str,
}

impl Notice<'_> {
    pub(super) fn subject(&self) -> String {
        let senders = &self.telling.last.senders;
        let first = senders
            .first()
            .map_or_else(|| "<>".to_owned(), |sender| ascii(&sender.to_string()));
        let others = match senders.len() {
            0 | 1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        format!(
            "User {} was refused as {first}{others}",
            self.telling.last.user
        )
    }

    /// What it says, in lines.
    pub(super) fn body(&self) -> String {
        let refused = &self.telling.last;
        format!(
            "{opening}\n\
             \n\
             User:    {user} (list {list})\n\
             {senders}\
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
            opening = self.opening(),
            user = refused.user,
            list = refused.list,
            senders = self.senders(),
            client = refused.client.to_canonical(),
            reasons = self.reasons(),
            rules = one_word(&self.senders_then()),
            closing = self.closing(),
        )
    }

    /// The user's authorized senders once those that are named here are among them.
    fn senders_then(&self) -> Vec<String> {
        let now = self.senders_now.split(';').filter(|now| !now.is_empty());
        let refused = self.named().iter().map(Address::to_string);
        now.map(str::to_owned)
            .chain(refused)
            .map(|sender| ascii(&sender))
            .collect()
    }

    /// The refused senders that are named.
    fn named(&self) -> &[Address] {
        let senders = &self.telling.last.senders;
        senders.get(..SENDERS_NAMED_MAX).unwrap_or(senders)
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
            .map(|reason| {
                let reason: String = ascii(reason).chars().take(TEXT_OCTETS_MAX).collect();
                format!("Reason:  {reason}\n")
            })
            .collect()
    }

    fn senders(&self) -> String {
        let named = self.named();
        let mut lines: String = named
            .iter()
            .map(|sender| format!("Sender:  {}\n", ascii(&sender.to_string())))
            .collect();
        if named.is_empty() {
            lines.push_str("Sender:  <>\n");
        }
        match self.telling.last.senders.len() - named.len() {
            0 => {}
            more => lines.push_str(&format!("         and {more} more\n")),
        }
        lines
    }
}

/// The items, with `;` between, as one word of a shell, on as many lines as it needs. An address may hold
/// `$` and backquotes, and the command is there to be pasted: between apostrophes nothing is special but the
/// apostrophe.
fn one_word(items: &[String]) -> String {
    let mut lines = Vec::new();
    let mut line = String::new();
    for item in items {
        let item = item.replace('\'', "'\\''");
        if !line.is_empty() {
            line.push(';');
        }
        if !line.is_empty() && line.len() + item.len() > TEXT_OCTETS_MAX {
            lines.push(format!("'{line}'"));
            line.clear();
        }
        line.push_str(&item);
    }
    lines.push(format!("'{line}'"));
    // What goes on at the very beginning of a line belongs to the word.
    lines.join("\\\n")
}

#[cfg(test)]
mod tests {
    use super::super::RefusedSender;
    use super::*;

    #[test]
    fn an_address_in_the_command_is_a_word_and_nothing_that_a_shell_runs() {
        let word = |item: &str| one_word(&[item.to_owned()]);
        assert_eq!(word("`id`$x@a.example"), "'`id`$x@a.example'");
        assert_eq!(word("o'neil@a.example"), r"'o'\''neil@a.example'");
    }

    fn content(senders: Vec<Address>, senders_now: &str, reason: &str) -> String {
        let telling = Telling {
            last: RefusedSender {
                list: "default".into(),
                user: "printer".into(),
                client: "::ffff:192.0.2.1".parse().unwrap(),
                senders,
                reasons: vec![reason.into()],
            },
            count: 7,
            is_first: false,
            is_mixed: false,
        };
        let notice = Notice {
            telling: &telling,
            senders_now,
        };
        let content = format!("Subject: {}\n{}", notice.subject(), notice.body());
        assert!(content.is_ascii() && !content.contains('\r'));
        assert!(content.lines().all(|line| line.len() <= 900));
        content
    }

    #[test]
    fn it_says_who_as_whom_from_where_and_what_to_do() {
        let senders = vec![Address::new("ce\u{f6}", "victim.example").unwrap()];
        let content = content(
            senders,
            "old@a.example",
            "not-authorized: no rule covers it",
        );
        for expected in [
            "Subject: User printer was refused as ce\\u{f6}@victim.example\n",
            "It happened 7 more times since the last notification.\n",
            "User:    printer (list default)\n",
            "Client:  192.0.2.1\n",
            "Reason:  not-authorized: no rule covers it\n",
            "    outpost user set printer --senders 'old@a.example;ce\\u{f6}@victim.example'\n",
        ] {
            assert!(content.contains(expected), "{expected:?} in\n{content}");
        }
    }

    #[test]
    fn many_senders_and_long_rules_make_no_line_that_mail_may_not_have() {
        let local = "\u{f6}".repeat(32);
        let senders: Vec<Address> = (0..100)
            .map(|n| Address::new(&local, &format!("v{n}.example")).unwrap())
            .collect();
        let rules: Vec<String> = (0..1_000).map(|n| format!("o'{n}@a.example")).collect();
        let content = content(senders, &rules.join(";"), &"x".repeat(5_000));
        for expected in [
            "@v0.example and 99 more\n",
            "@v4.example\n         and 95 more\nClient: ",
            "    outpost user set printer --senders 'o'\\''0@a.example;",
            ";'\\\n'o'\\''",
        ] {
            assert!(content.contains(expected), "{expected:?} in\n{content}");
        }
    }
}
