//! What each command means at its time (RFC 5321 §4.1.4), and the facts that outlive a transaction.
//!
//! A command that is out of order or malformed leaves the state as it was, unless octets of a message may be
//! lost with it. The commands of a transaction are in `envelope`, those of a login in `exchange`.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::command::{self, Verb};
use super::input::{Line, Start};
use super::state::{Phase, Refusal, State, Turn, Void};
use super::{Security, Settings, replies};
use crate::time::date_time;

/// Everything about a session but its input and its state.
#[derive(Debug)]
pub(super) struct Conversation {
    pub(super) settings: Arc<Settings>,
    pub(super) security: Security,
    pub(super) hello: Option<Hello>,
    pub(super) is_authenticated: bool,
    /// Whether mail is taken only after a login. If not, the session counts as logged in.
    pub(super) needs_login: bool,
    pub(super) output: Vec<u8>,
    /// What time it is, as far as was told.
    pub(super) now: Duration,
    /// What has become void and was not told yet.
    pub(super) void: Option<Void>,
    /// Names what is awaited.
    pub(super) wait: u64,
    /// Octets of content since `wait` changed.
    pub(super) progress: usize,
    pub(super) errors: u32,
    /// Recipients whose addresses cannot be one, and commands behind a refusal, of which the client may not have
    /// known yet, since the last MAIL.
    pub(super) in_vain: u32,
    pub(super) auth_failures: u32,
    /// The session ends while the client may still be sending.
    pub(super) is_cut_off: bool,
    /// Commands that brought no mail since the login, or since the last accepted message.
    pub(super) commands_without_mail: u32,
    commands_before_login: u32,
}

/// The client's EHLO or HELO.
#[derive(Debug)]
pub(super) struct Hello {
    pub(super) name: Box<str>,
    /// It was EHLO.
    pub(super) is_extended: bool,
}

impl Conversation {
    pub(super) fn new(settings: Arc<Settings>, security: Security) -> Conversation {
        Conversation {
            settings,
            security,
            hello: None,
            is_authenticated: false,
            needs_login: true,
            output: Vec::new(),
            now: Duration::ZERO,
            void: None,
            wait: 0,
            progress: 0,
            errors: 0,
            in_vain: 0,
            auth_failures: 0,
            is_cut_off: false,
            commands_without_mail: 0,
            commands_before_login: 0,
        }
    }

    /// RFC 5321 §4.2: the greeting has the name and, by custom, `ESMTP`.
    pub(super) fn greet(&mut self) {
        write_line(
            &mut self.output,
            format_args!("220 {} ESMTP", self.settings.hostname),
        );
    }

    /// Takes one command line.
    pub(super) fn command(&mut self, phase: Phase, line: Line<'_>) -> Turn {
        self.wait += 1;
        if !self.is_authenticated {
            self.commands_before_login += 1;
            if self.commands_before_login > self.settings.limits.commands_before_login_max {
                return self.close(replies::TOO_MANY_COMMANDS);
            }
        }
        let octets = match line {
            Line::Octets(octets) => octets,
            Line::TooLong(Start::Auth) => return self.error(phase, replies::AUTH_LINE_TOO_LONG),
            Line::TooLong(start) => return self.unreadable(phase, start, replies::LINE_TOO_LONG),
            Line::BareLf(start) => return self.unreadable(phase, start, replies::NOT_TEXT),
        };
        let Some((verb, arguments)) = command::split(octets) else {
            return self.unreadable(phase, Start::of(octets), replies::NOT_TEXT);
        };
        let arguments = arguments.as_ref();
        if self.is_authenticated && verb.brings_no_mail() && self.is_one_without_mail_too_many() {
            return self.close(replies::TOO_MANY_IDLE_COMMANDS);
        }
        match verb {
            Verb::Ehlo => self.hello(phase, arguments, true),
            Verb::Helo => self.hello(phase, arguments, false),
            Verb::Mail => self.mail(phase, arguments),
            Verb::Rcpt => self.rcpt(phase, arguments),
            Verb::Data => self.start_data(phase, arguments),
            Verb::Bdat => self.bdat(phase, arguments),
            Verb::Rset => self.rset(phase, arguments),
            Verb::Noop => self.reply(phase, replies::OK),
            Verb::Help => self.reply(phase, replies::HELP),
            Verb::Vrfy if arguments.is_empty() => self.error(phase, replies::VRFY_SYNTAX),
            Verb::Vrfy => self.reply(phase, replies::VRFY),
            Verb::Quit => self.quit(phase, arguments),
            Verb::Auth => self.auth(phase, arguments),
            Verb::StartTls => self.starttls(phase, arguments),
            Verb::Unimplemented => self.error(phase, replies::UNIMPLEMENTED),
            Verb::Unknown => self.unreadable(phase, Start::Other, replies::UNKNOWN_COMMAND),
        }
    }

    /// A line that makes no command. What may have been a chunk, or stands between chunks and may be the rest
    /// of one that was counted wrongly, fails the transaction: without those octets it would be another message
    /// (RFC 3030 §2). What may have been MAIL or RCPT is refused as one that can be read.
    fn unreadable(&mut self, phase: Phase, start: Start, reply: &'static str) -> Turn {
        let phase = match (phase, start) {
            (phase @ Phase::Chunks(_), _) | (phase @ Phase::Envelope(_), Start::Bdat) => {
                self.leave(&phase);
                Phase::Refused
            }
            (Phase::Envelope(envelope), Start::Rcpt) => {
                Phase::Envelope(envelope.with_recipient_refused())
            }
            (Phase::Idle, Start::Mail) => {
                self.in_vain = 0;
                Phase::Refused
            }
            (phase, _) => phase,
        };
        self.error(phase, reply)
    }

    /// EHLO and HELO void a transaction as RSET does (RFC 5321 §4.1.4). A refused one changes nothing.
    fn hello(&mut self, phase: Phase, arguments: &str, is_extended: bool) -> Turn {
        let Some(name) = command::hello_name(arguments) else {
            return self.error(phase, replies::HELLO_SYNTAX);
        };
        self.leave(&phase);
        self.hello = Some(Hello { name, is_extended });
        if is_extended {
            self.list_extensions();
        } else {
            write_line(
                &mut self.output,
                format_args!("250 {}", self.settings.hostname),
            );
        }
        Turn::command(Phase::Idle)
    }

    /// Lists what is honoured here and now, and nothing else (RFC 5321 §4.1.1.1).
    fn list_extensions(&mut self) {
        let may_start_tls = self.security == Security::Plain && self.settings.starttls;
        let may_log_in = self.may_authenticate() && !self.is_authenticated;
        let output = &mut self.output;
        write_line(output, format_args!("250-{}", self.settings.hostname));
        write_line(
            output,
            format_args!("250-SIZE {}", self.settings.limits.content_octets_max),
        );
        if may_start_tls {
            self.say("250-STARTTLS");
        }
        if may_log_in {
            self.say("250-AUTH PLAIN LOGIN");
        }
        if self.security == Security::Tls {
            self.say("250-REQUIRETLS");
        }
        self.list_times();
        self.list_limits();
        for line in [
            "250-MT-PRIORITY",
            "250-PIPELINING",
            "250-ENHANCEDSTATUSCODES",
            "250-8BITMIME",
            "250-DSN",
            "250-SMTPUTF8",
            "250 CHUNKING",
        ] {
            self.say(line);
        }
    }

    /// RFC 4865 §3 has the longest interval and the last date, RFC 2852 §3 the shortest time if there is one.
    fn list_times(&mut self) {
        let limits = &self.settings.limits;
        if !limits.future_release_max.is_zero() {
            let last = date_time(self.now.saturating_add(limits.future_release_max));
            let seconds = limits.future_release_max.as_secs();
            let line = format_args!("250-FUTURERELEASE {seconds} {last}");
            write_line(&mut self.output, line);
        }
        match limits.deliver_by_min.as_secs() {
            0 => self.say("250-DELIVERBY"),
            least => write_line(&mut self.output, format_args!("250-DELIVERBY {least}")),
        }
    }

    /// RFC 9422 §4.2 has six digits: more is told as nothing.
    fn list_limits(&mut self) {
        let recipients_max = self.settings.limits.recipients_max;
        if (1..=999_999).contains(&recipients_max) {
            let line = format_args!("250-LIMITS RCPTMAX={recipients_max}");
            write_line(&mut self.output, line);
        }
    }

    fn rset(&mut self, phase: Phase, arguments: &str) -> Turn {
        if !arguments.is_empty() {
            return self.error(phase, replies::NO_ARGUMENTS);
        }
        self.leave(&phase);
        self.reply(Phase::Idle, replies::OK)
    }

    fn quit(&mut self, phase: Phase, arguments: &str) -> Turn {
        if !arguments.is_empty() {
            return self.error(phase, replies::NO_ARGUMENTS);
        }
        self.leave(&phase);
        self.say(replies::BYE);
        State::Closing.into()
    }

    fn starttls(&mut self, phase: Phase, arguments: &str) -> Turn {
        let refusal = if !arguments.is_empty() {
            replies::NO_ARGUMENTS
        } else if self.security == Security::Tls {
            replies::TLS_ALREADY
        } else if !self.settings.starttls {
            replies::TLS_NOT_OFFERED
        } else if !self.is_extended() {
            replies::HELLO_FIRST
        } else if let Phase::Chunks(_) = phase {
            replies::AFTER_BDAT
        } else {
            // RFC 3207 §4.2: everything that was said in clear is forgotten.
            self.leave(&phase);
            self.hello = None;
            self.is_authenticated = !self.needs_login;
            self.say(replies::TLS_READY);
            return State::Handshake.into();
        };
        self.error(phase, refusal)
    }

    pub(super) fn is_extended(&self) -> bool {
        self.hello.as_ref().is_some_and(|hello| hello.is_extended)
    }

    /// `reply`, or before EHLO and HELO that they come first (RFC 5321 §4.1.4).
    pub(super) fn unless_hello(&self, reply: &'static str) -> &'static str {
        if self.hello.is_none() {
            replies::HELLO_FIRST
        } else {
            reply
        }
    }

    /// Whether AUTH is offered on this connection.
    pub(super) fn may_authenticate(&self) -> bool {
        self.security == Security::Tls || self.settings.plaintext_auth
    }

    /// A transaction is over before its time: the driver is told what is void.
    pub(super) fn leave(&mut self, phase: &Phase) {
        self.void = match phase {
            Phase::Idle | Phase::Refused => None,
            Phase::Envelope(_) => Some(Void::Envelope),
            Phase::Chunks(_) => Some(Void::Content(None)),
        };
    }

    /// Counts a command that brings no mail, and says whether it is one too many.
    pub(super) fn is_one_without_mail_too_many(&mut self) -> bool {
        self.commands_without_mail += 1;
        self.commands_without_mail > self.settings.limits.commands_without_mail_max
    }

    /// There is no transaction for the command.
    pub(super) fn without_transaction(&self, phase: &Phase) -> Refusal {
        let reply = self.unless_hello(replies::MAIL_FIRST);
        match phase {
            Phase::Refused => Refusal::InVain(reply),
            Phase::Idle | Phase::Envelope(_) | Phase::Chunks(_) => Refusal::Error(reply),
        }
    }

    /// Refuses a command, or a chunk that has passed.
    pub(super) fn refuse(&mut self, phase: Phase, refusal: Refusal) -> Turn {
        match refusal {
            Refusal::Error(reply) => self.error(phase, reply),
            Refusal::InVain(reply) => self.in_vain(phase, reply),
            Refusal::Message(reply) => self.reply(phase, reply),
            Refusal::Decided(reply) => {
                reply.write_to(&mut self.output);
                Turn::command(phase)
            }
        }
    }

    /// A group of commands may go out before the reply to its first one has come (RFC 2920 §3.1): what stands
    /// behind a refusal is no mistake, so long as it is no more than a transaction may have.
    pub(super) fn in_vain(&mut self, phase: Phase, reply: &'static str) -> Turn {
        self.in_vain += 1;
        if self.in_vain > self.settings.limits.recipients_max {
            return self.error(phase, reply);
        }
        self.reply(phase, reply)
    }

    /// The client's mistake: it counts, and one too many ends the session.
    pub(super) fn error(&mut self, phase: Phase, reply: &'static str) -> Turn {
        self.errors += 1;
        if self.errors > self.settings.limits.errors_max {
            return self.close(replies::TOO_MANY_ERRORS);
        }
        self.reply(phase, reply)
    }

    /// Says `reply` and waits for the next command.
    pub(super) fn reply(&mut self, phase: Phase, reply: &'static str) -> Turn {
        self.say(reply);
        Turn::command(phase)
    }

    /// Says `reply` and closes, whatever the client has sent behind.
    pub(super) fn close(&mut self, reply: &'static str) -> Turn {
        self.is_cut_off = true;
        self.say(reply);
        State::Closing.into()
    }

    pub(super) fn say(&mut self, reply: &'static str) {
        self.output.extend_from_slice(reply.as_bytes());
        self.output.extend_from_slice(b"\r\n");
    }
}

fn write_line(output: &mut Vec<u8>, line: std::fmt::Arguments<'_>) {
    // Writing into a Vec cannot fail.
    let _ = write!(output, "{line}\r\n");
}
