//! What a user is made of, and what a change changes.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::account::NO_SENDERS_WARNING;

const THEN: Timestamp = Timestamp::from_unix_milliseconds(1_000);
const NOW: Timestamp = Timestamp::from_unix_milliseconds(2_000);

fn user(draft: UserDraft) -> User {
    let hash = PasswordHash::new(String::from("$argon2id$…"));
    User::new(String::from("bob"), draft.check().unwrap(), hash, 7, THEN)
}

fn changed(patch: UserPatch) -> User {
    user(UserDraft::default()).changed(patch.check().unwrap(), || 8, NOW)
}

#[test]
fn a_user_of_whom_nothing_is_said_is_active_normal_and_may_send_as_nobody() {
    let user = user(UserDraft::default());
    assert_eq!((user.active, user.priority), (true, Class::Normal));
    assert_eq!((user.list.as_str(), user.note.as_str()), ("default", ""));
    assert_eq!(user.rules.warning(), Some(NO_SENDERS_WARNING));
    assert_eq!(
        (user.created, user.changed, user.last_login),
        (THEN, THEN, None)
    );
}

#[test]
fn a_change_that_changes_nothing_leaves_the_time_of_the_last_change() {
    let user = user(UserDraft::default());
    for patch in [
        UserPatch::default(),
        UserPatch {
            name: Some(String::from("bob")),
            list: Some(String::from("default")),
            active: Some(true),
            priority: Some(3),
            note: Some(String::new()),
            authorized_domains: Some(Items::default()),
            authorized_senders: Some(" ; ".into()),
            allowance: AllowancePatch {
                trusted_carriers: Some(None),
                priority_ceiling: Some(None),
                very_high_per_hour: Some(None),
            },
        },
    ] {
        assert_eq!(user.changed(patch.check().unwrap(), || 8, NOW), user);
    }
    let other = UserPatch {
        active: Some(false),
        ..UserPatch::default()
    };
    assert_eq!(user.changed(other.check().unwrap(), || 8, NOW).changed, NOW);
}

#[test]
fn all_problems_of_a_draft_are_told_at_once() {
    let draft = UserDraft {
        name: Some(String::from("b b")),
        list: Some(String::new()),
        active: true,
        priority: Some(6),
        note: "n".repeat(NOTE_OCTETS_MAX + 1),
        authorized_domains: "*".into(),
        authorized_senders: "x".into(),
        allowance: AllowancePatch {
            trusted_carriers: Some(Some("x".into())),
            priority_ceiling: Some(Some(6)),
            very_high_per_hour: Some(Some(0)),
        },
    };
    let patch = UserPatch {
        name: draft.name.clone(),
        list: draft.list.clone(),
        active: None,
        priority: draft.priority,
        note: Some(draft.note.clone()),
        authorized_domains: Some(draft.authorized_domains.clone()),
        authorized_senders: Some(draft.authorized_senders.clone()),
        allowance: draft.allowance.clone(),
    };
    let mut of_draft = draft.check().unwrap_err();
    let mut of_patch = patch.check().unwrap_err();
    of_draft.sort_by_key(|problem| problem.field);
    of_patch.sort_by_key(|problem| problem.field);
    let fields: Vec<_> = of_draft.iter().map(|problem| problem.field).collect();
    assert_eq!(
        fields,
        [
            "authorized_domains",
            "authorized_senders",
            "list",
            "name",
            "note",
            "priority",
            "priority_ceiling",
            "trusted_carriers",
            "very_high_per_hour"
        ]
    );
    assert_eq!(of_draft, of_patch);
}

#[test]
fn priorities_are_one_to_five() {
    for (number, class) in [
        (1, Some(Class::VeryHigh)),
        (5, Some(Class::VeryLow)),
        (0, None),
        (6, None),
        (-1, None),
        (257, None),
    ] {
        assert_eq!(check_class(User::PRIORITY, number).ok(), class, "{number}");
    }
    let problem = check_class(User::PRIORITY, 0).unwrap_err().unwrap();
    assert_eq!(
        problem.to_string(),
        "priority: 0 is not a priority: write 1 (very high) to 5 (very low)"
    );
}

#[test]
fn notes_are_text_of_several_lines() {
    assert_eq!(check_note("printer\r\n\tsecond floor ü <script>"), Ok(()));
    assert_eq!(check_note(&"n".repeat(NOTE_OCTETS_MAX)), Ok(()));
    assert_eq!(
        check_note("a\u{1b}[2J").unwrap_err().to_string(),
        "note: contains a control character: \"\\u{1b}\""
    );
}

#[test]
fn a_change_replaces_what_it_names_only() {
    let patch = UserPatch {
        authorized_domains: Some("a.example".into()),
        ..UserPatch::default()
    };
    let user = changed(patch);
    assert_eq!(user.rules.domains_text(), "a.example");
    let user = user.changed(
        UserPatch {
            authorized_senders: Some("x@b.example".into()),
            priority: Some(1),
            ..UserPatch::default()
        }
        .check()
        .unwrap(),
        || 9,
        NOW,
    );
    assert_eq!(user.rules.domains_text(), "a.example");
    assert_eq!(user.rules.senders_text(), "x@b.example");
    assert_eq!(
        (user.priority, user.created, user.changed),
        (Class::VeryHigh, THEN, NOW)
    );
}

#[test]
fn open_logins_are_void_after_a_reset_a_disable_and_a_new_name_and_nothing_else() {
    let epoch = |patch: UserPatch| changed(patch).credential_epoch;
    let note = Some(String::from("n"));
    assert_eq!(
        epoch(UserPatch {
            note,
            ..UserPatch::default()
        }),
        7
    );
    let active = Some(true);
    assert_eq!(
        epoch(UserPatch {
            active,
            ..UserPatch::default()
        }),
        7
    );
    let name = Some(String::from("bob"));
    assert_eq!(
        epoch(UserPatch {
            name,
            ..UserPatch::default()
        }),
        7
    );
    let active = Some(false);
    assert_eq!(
        epoch(UserPatch {
            active,
            ..UserPatch::default()
        }),
        8
    );
    let name = Some(String::from("alice"));
    assert_eq!(
        epoch(UserPatch {
            name,
            ..UserPatch::default()
        }),
        8
    );
    let hash = PasswordHash::new(String::from("$other"));
    let reset = user(UserDraft::default()).with_password(hash.clone(), 8, NOW);
    assert_eq!((reset.credential_epoch, reset.password_hash), (8, hash));
    assert_eq!((reset.created, reset.password_changed), (THEN, NOW));
}

#[test]
fn an_inactive_user_has_no_hash_to_log_in_with() {
    assert!(user(UserDraft::default()).login_hash().is_some());
    let inactive = UserDraft {
        active: false,
        ..UserDraft::default()
    };
    assert_eq!(user(inactive).login_hash(), None);
}

#[test]
fn a_hash_is_not_shown_by_debug() {
    let text = format!("{:?}", user(UserDraft::default()));
    assert!(
        text.contains("PasswordHash(…)") && !text.contains("argon2"),
        "{text}"
    );
}

#[test]
fn what_is_spent_stays_with_a_user_who_changes_and_a_new_one_has_spent_nothing() {
    let budget = |per_hour| UserPatch {
        allowance: AllowancePatch {
            very_high_per_hour: Some(per_hour),
            ..AllowancePatch::default()
        },
        ..UserPatch::default()
    };
    let counted = changed(budget(Some(3)));
    assert_eq!(counted.very_high_left(NOW), Some(3));
    let spent = counted.spent.with_one_more(3, NOW).unwrap();
    let user = User { spent, ..counted };
    let renamed = UserPatch {
        name: Some(String::from("alice")),
        ..UserPatch::default()
    };
    let user = user.changed(renamed.check().unwrap(), || 9, NOW);
    assert_eq!(user.very_high_left(NOW), Some(2));
    let user = user.changed(budget(None).check().unwrap(), || 9, NOW);
    assert_eq!(user.very_high_left(NOW), None);
    let user = user.changed(budget(Some(3)).check().unwrap(), || 9, NOW);
    assert_eq!(
        user.very_high_left(NOW),
        Some(2),
        "nothing is had anew that way"
    );
}
