//! Answers of policy components: what the contract's rules let through is fit for a client and a log.

use outpost::policy::{
    Attribute, AttributeValue, Decision, Placement, PolicyReply, PolicyReplyKind, Reason, Verdict,
};

use crate::reply::check_lines;

/// Numbers first, then texts with an octet 0 between them.
pub fn answer(octets: &[u8]) {
    let [kind, code, class, subject, detail, urgency, texts @ ..] = octets else {
        return;
    };
    let kind = match kind & 1 {
        0 => PolicyReplyKind::Defer,
        _ => PolicyReplyKind::Refuse,
    };
    let texts: Vec<String> = texts
        .split(|octet| *octet == 0)
        .map(|text| String::from_utf8_lossy(text).into_owned())
        .collect();
    let first = texts.first().cloned().unwrap_or_default();
    // All codes that there are, and some that there are not.
    let code = 380 + u16::from(*code);
    let part = |octet: &u8| u16::from(*octet) * 5;
    let enhanced = (*class, part(subject), part(detail));
    if let Ok(reply) = PolicyReply::new(kind, code, enhanced, first) {
        check_reply(&reply);
    }
    let reasons = reasons(&texts);
    let notes = notes(&texts);
    if let Ok(decision) = Decision::new(Verdict::Pass, reasons.clone(), notes.clone()) {
        assert!(decision.reasons.len() <= 32 && decision.notes.len() <= 16);
    }
    if let Ok(placement) = Placement::new(*urgency, Some(u32::from(code)), reasons, notes) {
        assert!((1..=5).contains(&placement.class.number()));
        assert!(placement.all_reasons().iter().all(is_fit));
    }
}

/// One line of the class that the component may answer with, and the text as it was given.
fn check_reply(reply: &PolicyReply) {
    let reply = reply.clone().into_reply();
    let mut wire = Vec::new();
    reply.write_to(&mut wire);
    check_lines(&wire);
    let line = String::from_utf8_lossy(&wire);
    assert_eq!(line.matches("\r\n").count(), 1, "{line:?}");
    assert!(line.starts_with(['4', '5']), "{line:?}");
    assert!(
        line.trim_end_matches("\r\n").ends_with(&reply.text),
        "{line:?}"
    );
}

fn reasons(texts: &[String]) -> Vec<Reason> {
    let pairs = texts.chunks_exact(2);
    let reasons = pairs.filter_map(|pair| Reason::new(pair[0].clone(), &pair[1]).ok());
    reasons.inspect(|reason| assert!(is_fit(reason))).collect()
}

/// Whether it steers no terminal, and is as short as it must be.
fn is_fit(reason: &Reason) -> bool {
    let is_plain = |text: &str| !text.contains(char::is_control);
    reason.rule().len() <= 64
        && reason.detail().len() <= 512
        && is_plain(reason.rule())
        && is_plain(reason.detail())
}

fn notes(texts: &[String]) -> Vec<Attribute> {
    let pairs = texts.chunks_exact(2);
    pairs
        .filter_map(|pair| {
            let value = AttributeValue::Text(pair[1].clone());
            Attribute::new(pair[0].clone(), value).ok()
        })
        .inspect(|note| assert!(note.key().is_ascii() && note.key().len() <= 64))
        .collect()
}
