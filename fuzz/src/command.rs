//! Commands: what is read of a line reads back from what is written of it.

use std::time::Duration;

use outpost_smtp::parameter::xtext;
use outpost_smtp::server::fuzzing::{Command, command as read};
use outpost_smtp::time::{date_time, parse_date_time};
use outpost_smtp::{ByMode, Hold, MailParameters, RcptParameters};

/// A command line without its CRLF.
pub fn command(octets: &[u8]) {
    match read(octets) {
        Command::NoText => {
            let is_text =
                std::str::from_utf8(octets).is_ok() && !octets.iter().any(u8::is_ascii_control);
            assert!(!is_text, "text was taken for none");
        }
        Command::Hello(name) => check_hello(name.as_deref()),
        Command::Mail(Some((path, behind))) => {
            let again = read(format!("MAIL FROM:{path}{behind}").as_bytes());
            assert_eq!(again, Command::Mail(Some((path, behind.clone()))));
            check_mail_parameters(&behind);
        }
        Command::Rcpt(Some((path, behind))) => {
            let again = read(format!("RCPT TO:{path}{behind}").as_bytes());
            assert_eq!(again, Command::Rcpt(Some((path, behind.clone()))));
            check_rcpt_parameters(&behind);
        }
        Command::Mail(None) | Command::Rcpt(None) | Command::Other => {}
    }
}

fn check_hello(name: Option<&str>) {
    let Some(name) = name else { return };
    assert!((1..=255).contains(&name.len()), "{name}");
    let is_harmless = |c: char| c.is_ascii_alphanumeric() || "-._:[]?".contains(c);
    assert!(name.chars().all(is_harmless), "{name}");
}

fn check_mail_parameters(text: &str) {
    let Ok(parameters) = MailParameters::parse(text) else {
        return;
    };
    if let Some(envid) = parameters.envid {
        check_xtext(&envid);
        assert!(envid.is_ascii(), "{envid}");
    }
    let is_known = |priority: i8| (-9..=9).contains(&priority);
    assert!(parameters.mt_priority.is_none_or(is_known), "{text}");
    if let Some(by) = parameters.by {
        let again = MailParameters::parse(&format!("BY={by}")).map(|again| again.by);
        assert_eq!(again, Ok(Some(by)), "{text}");
        assert!(by.mode == ByMode::Notify || by.seconds > 0, "{text}");
    }
    if let Some(Hold::Until(time)) = parameters.hold {
        // What is written has whole seconds.
        let seconds = Duration::from_secs(time.as_secs());
        assert_eq!(parse_date_time(&date_time(time)), Some(seconds), "{text}");
    }
}

fn check_rcpt_parameters(text: &str) {
    let Ok(parameters) = RcptParameters::parse(text) else {
        return;
    };
    if let Some(notify) = parameters.notify {
        let others = notify.success || notify.failure || notify.delay;
        assert_ne!(notify.never, others, "NEVER stands alone: {text}");
    }
    if let Some(orcpt) = parameters.orcpt {
        assert!(!orcpt.address_type.is_empty());
        check_xtext(&orcpt.address);
        let is_utf8 = orcpt.address_type.eq_ignore_ascii_case("utf-8");
        assert!(is_utf8 || orcpt.address.is_ascii(), "{text}");
        assert!(!orcpt.address.contains(char::is_control), "{text}");
    }
}

/// What a client wrote in xtext leaves in xtext again, and says the same to the next hop.
fn check_xtext(text: &str) {
    let encoded = xtext::encode(text);
    assert!(
        encoded.bytes().all(|octet| octet.is_ascii_graphic()),
        "{encoded}"
    );
    let decoded = xtext::decode_octets(&encoded);
    assert_eq!(decoded.as_deref(), Some(text.as_bytes()));
}
