//! Who may send as whom, and who tried to, as people read it.

use std::fmt::Write as _;

use super::{cut, facts, more, null_or, warn};
use crate::admin::refusals::{AuthorizedDocument, RefusalDocument, RefusalsDocument};
use crate::admin::senders::{
    RuleDocument, RulesDecide, SendersDocument, UserSendersDocument, VerdictDocument, VerdictName,
};
use crate::cli::text::Table;
use crate::message::wording::printable;

/// What a user may send as.
pub(super) fn of_user(document: &UserSendersDocument) -> String {
    let mut text = match document.active {
        true => String::new(),
        false => format!(
            "{} is disabled, and may not log in\n",
            printable(&document.user)
        ),
    };
    text.push_str(&rules(&document.rules));
    warn(&mut text, document.warning.as_deref());
    if document.rests_on.rules != RulesDecide::Alone {
        line(&mut text, &document.rests_on.text);
    }
    if let Some(found) = &document.verdict {
        text.push_str(&verdict(&document.user, found));
    }
    text
}

fn rules(rules: &[RuleDocument]) -> String {
    let mut table = Table::new(&["RULE", "COVERS", "FOR EXAMPLE"]);
    for rule in rules {
        table.row(vec![
            rule.rule.clone(),
            rule.text.clone(),
            rule.example.clone(),
        ]);
    }
    table.or("no rules")
}

fn verdict(user: &str, found: &VerdictDocument) -> String {
    let says = match found.answer {
        VerdictName::Permitted => "may send as",
        VerdictName::Deferred => "is told to come back later when sending as",
        VerdictName::Refused => "may not send as",
    };
    let mut text = String::new();
    line(&mut text, "");
    line(&mut text, &format!("{user} {says} {}", found.address));
    if let Some(reply) = &found.reply {
        let enhanced = reply.enhanced.as_deref().unwrap_or_default();
        let said = format!(
            "  the client is told: {} {enhanced} {}",
            reply.code, reply.text
        );
        line(&mut text, &said);
    }
    for decision in &found.decisions {
        let said = format!("  {} said {}", decision.component, decision.answer);
        line(&mut text, &said);
        for reason in &decision.reasons {
            line(&mut text, &format!("    {reason}"));
        }
    }
    line(&mut text, &format!("  ({})", found.text));
    text
}

/// Who may send as an address.
pub(super) fn of_address(document: &SendersDocument) -> String {
    let mut table = Table::new(&["USER", "LIST", "STATE", "BY"]);
    for user in &document.users {
        table.row(vec![
            user.user.clone(),
            user.list.clone(),
            if user.active { "active" } else { "disabled" }.to_owned(),
            user.rule.rule.clone(),
        ]);
    }
    let nobody = match document.cursor {
        None => "no rule of any user covers it",
        Some(_) => "none of those that were looked at so far",
    };
    let mut text = table.or(nobody);
    more(&mut text, document.cursor.as_deref());
    if document.rests_on.rules != RulesDecide::Alone {
        line(&mut text, &document.rests_on.text);
    }
    text
}

/// Refused senders.
pub(super) fn refused(document: &RefusalsDocument) -> String {
    let mut table = Table::new(&["ID", "USER", "AS", "COUNT", "LAST", "IN", "WHY"]);
    for refusal in &document.refusals {
        let why = match &refusal.covered_by {
            Some(rule) => format!("covered by {} now", rule.rule),
            None => refusal.reasons.first().cloned().unwrap_or_default(),
        };
        table.row(vec![
            refusal.id.clone(),
            refusal.user.clone(),
            null_or(&refusal.sender),
            refusal.count.to_string(),
            refusal.last.clone(),
            named_in(refusal),
            cut(&why, 60),
        ]);
    }
    let mut text = table.or("no refused senders");
    more(&mut text, document.cursor.as_deref());
    text
}

/// A refused sender.
pub(super) fn one(refusal: &RefusalDocument) -> String {
    let mut lines = vec![
        ("id", refusal.id.clone()),
        (
            "user",
            match refusal.user_is_there {
                true => refusal.user.clone(),
                false => format!("{}, who is gone", refusal.user),
            },
        ),
        ("list", refusal.list.clone()),
        ("sender", null_or(&refusal.sender)),
        ("named in", named_in(refusal)),
        ("count", refusal.count.to_string()),
        ("first", refusal.first.clone()),
        ("last", refusal.last.clone()),
        ("from", refusal.clients.join(", ")),
        ("why", refusal.reasons.join("\n")),
    ];
    if let Some(rule) = &refusal.covered_by {
        lines.push(("covered by", format!("{}, by now", rule.rule)));
    }
    facts(&lines)
}

fn named_in(refusal: &RefusalDocument) -> String {
    refusal.named_in.name().to_owned()
}

/// What authorizing came to.
pub(super) fn authorized(document: &AuthorizedDocument) -> String {
    let mut text = String::new();
    let user = &document.user.name;
    let rule = &document.rule.rule;
    let done = match (document.added, document.dry_run) {
        (true, false) => format!("{rule} is added to what {user} may send as"),
        (true, true) => format!("{rule} would be added to what {user} may send as"),
        (false, _) => format!("what {user} may send as covers {rule} already"),
    };
    line(&mut text, &done);
    for also in &document.also {
        line(&mut text, &format!("  {also}"));
    }
    let settles = match document.dry_run {
        true => "would settle",
        false => "settled",
    };
    for refusal in &document.settles {
        let said = format!(
            "{settles} {}: as {}, refused {}",
            refusal.id,
            null_or(&refusal.sender),
            times(refusal.count)
        );
        line(&mut text, &said);
    }
    text
}

/// `once`, `2 times`.
pub(super) fn times(count: u64) -> String {
    match count {
        1 => "once".to_owned(),
        count => format!("{count} times"),
    }
}

/// Adds a line that steers no terminal.
pub(super) fn line(text: &mut String, line: &str) {
    writeln!(text, "{}", printable(line)).expect("writing to a string does not fail");
}
