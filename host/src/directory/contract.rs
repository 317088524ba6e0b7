//! What every backend of the directory has to do: one suite, run on each.

#![allow(clippy::unwrap_used)]

use tempfile::TempDir;

use super::*;
use crate::account::{
    AllowancePatch, DEFAULT_LIST, ITEMS_MAX, Items, ListDraft, ListPatch, Rule, UserDraft,
    UserPatch,
};
use crate::message::Address;

const THEN: Timestamp = Timestamp::from_unix_milliseconds(1_000);
const NOW: Timestamp = Timestamp::from_unix_milliseconds(2_000);

/// Where a directory is kept between two openings.
enum Medium {
    Memory(MemoryRows),
    File(TempDir),
}

impl Medium {
    fn memory() -> Self {
        Self::Memory(MemoryRows::default())
    }

    fn file() -> Self {
        Self::File(tempfile::tempdir().unwrap())
    }

    fn open(&self) -> Directory {
        self.try_open().unwrap()
    }

    fn try_open(&self) -> Result<Directory, OpenError> {
        match self {
            Medium::Memory(rows) => Directory::on_memory(rows.clone(), THEN),
            Medium::File(folder) => Directory::open(&folder.path().join("directory.redb"), THEN),
        }
    }

    async fn reopen(&self, directory: Directory) -> Directory {
        directory.close().await.unwrap();
        self.open()
    }

    /// Changes a row behind the directory's back.
    fn put(&self, kind: Kind, key: &str, octets: &[u8]) {
        let change = RowChange {
            kind,
            key: key.to_owned(),
            octets: Some(octets.to_vec()),
        };
        match self {
            Medium::Memory(rows) => rows.clone().write(&[change]).unwrap(),
            Medium::File(folder) => {
                let path = folder.path().join("directory.redb");
                redb::RedbRows::open(&path)
                    .unwrap()
                    .write(&[change])
                    .unwrap();
            }
        }
    }
}

/// Each of these is a test of every backend.
macro_rules! contract {
    ($($fact:ident,)*) => {
        mod on_memory {
            $(#[tokio::test] async fn $fact() { super::$fact(super::Medium::memory()).await; })*
        }
        mod on_redb {
            $(#[tokio::test] async fn $fact() { super::$fact(super::Medium::file()).await; })*
        }
    };
}

contract! {
    the_list_default_always_exists_and_stays,
    everything_survives_a_restart,
    a_user_is_found_in_any_case_and_nobody_else_is,
    names_are_taken_in_any_case,
    a_name_is_generated_when_none_is_given,
    a_user_belongs_to_a_list_that_exists,
    a_change_tells_what_was_and_what_is,
    a_user_can_be_renamed_and_keeps_one_row,
    an_epoch_is_never_given_out_twice,
    what_is_unknown_is_said_to_be,
    a_list_with_users_cannot_be_removed,
    lists_know_how_many_users_they_have,
    pages_hold_each_user_once_in_order,
    pages_hold_what_passes_the_filter,
    logins_are_written_with_the_next_change_and_at_the_end,
    very_high_messages_are_spent_once_and_stay_spent,
    very_high_messages_are_not_had_twice_by_many_who_ask_at_once,
    a_row_of_the_first_version_is_read_and_changed,
    rules_that_are_added_at_once_are_all_there_and_each_once,
    a_rule_more_than_there_can_be_is_refused_by_name,
    tokens_are_known_by_their_secret_until_removed,
    the_last_admin_token_stays_whoever_asks_at_once,
    a_token_is_replaced_in_any_case_and_beyond_the_limit,
    an_admin_has_a_role_and_a_password_that_is_replaced,
    the_last_admin_of_role_admin_stays_one,
    there_are_not_more_admins_than_are_shown_whole,
    the_password_of_the_console_becomes_that_of_the_first_admin,
    a_change_and_its_entry_are_written_together_or_not_at_all,
    entries_are_numbered_on_after_a_restart_and_shown_the_latest_first,
    entries_that_are_too_old_are_shown_no_more_and_go,
    what_has_changed_meanwhile_is_not_overwritten,
    changes_at_the_same_time_are_all_made,
    after_the_end_reads_go_on_and_writes_do_not,
    a_damaged_row_is_named_and_nothing_is_opened,
}

fn sender(local: &str) -> Rule {
    Rule::for_sender(&Address::new(local, "b.example").unwrap()).unwrap()
}

async fn rules_that_are_added_at_once_are_all_there_and_each_once(medium: Medium) {
    let directory = medium.open();
    create(&directory, named("ann")).await.unwrap();
    let add = |rule: Rule| directory.authorize("ANN", rule, NOW);
    let patch = UserPatch {
        note: Some("hers".to_owned()),
        ..UserPatch::default()
    };
    let (x, same, y, domain, patched) = tokio::join!(
        add(sender("x")),
        add(sender("X")),
        add(sender("y")),
        add(Rule::Domain("a.example".to_owned())),
        change(&directory, "ann", patch),
    );
    patched.unwrap();
    let changed = |changed: Result<Changed<User>, DirectoryError>| {
        let Changed { before, after } = changed.unwrap();
        before != after
    };
    assert_ne!(changed(x), changed(same), "one of them has added it");
    assert!(changed(y) && changed(domain));
    let directory = medium.reopen(directory).await;
    let ann = directory.user("ann").unwrap();
    assert_eq!(ann.rules.senders_text(), "x@b.example;y@b.example");
    assert_eq!(ann.rules.domains_text(), "a.example");
    assert_eq!((ann.note.as_str(), ann.changed), ("hers", NOW));
}

async fn a_rule_more_than_there_can_be_is_refused_by_name(medium: Medium) {
    let directory = medium.open();
    let senders: Vec<String> = (0..ITEMS_MAX).map(|n| format!("s{n}@b.example")).collect();
    let full = UserDraft {
        authorized_senders: Items::List(senders),
        ..named("ann")
    };
    let before = create(&directory, full).await.unwrap();
    let refused = directory.authorize("ann", sender("x"), NOW).await;
    let Err(DirectoryError::Invalid(problems)) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(problems[0].field, "authorized_senders");
    let there = directory.authorize("ann", sender("s7"), NOW).await.unwrap();
    assert_eq!(there.before, there.after, "nothing is written for it");
    assert_eq!(directory.user("ann").unwrap(), before);
    let unknown = directory.authorize("bob", sender("x"), NOW).await;
    assert!(matches!(unknown, Err(DirectoryError::Unknown { .. })));
}

fn hash(text: &str) -> PasswordHash {
    PasswordHash::new(text.to_owned())
}

fn named(name: &str) -> UserDraft {
    UserDraft {
        name: Some(name.to_owned()),
        ..UserDraft::default()
    }
}

async fn create(directory: &Directory, draft: UserDraft) -> Result<Arc<User>, DirectoryError> {
    directory
        .create_user(draft.check().unwrap(), hash("$h"), THEN)
        .await
}

async fn change(
    directory: &Directory,
    name: &str,
    patch: UserPatch,
) -> Result<Changed<User>, DirectoryError> {
    directory
        .change_user(name, patch.check().unwrap(), NOW)
        .await
}

async fn create_list(directory: &Directory, name: &str) -> Result<Arc<List>, DirectoryError> {
    let draft = ListDraft {
        name: name.to_owned(),
        notify: "Ops@a.example".into(),
    };
    directory.create_list(draft.check().unwrap(), THEN).await
}

fn refusal<T>(result: Result<T, DirectoryError>) -> String {
    match result {
        Err(error) => error.to_string(),
        Ok(_) => panic!("was done"),
    }
}

async fn the_list_default_always_exists_and_stays(medium: Medium) {
    let directory = medium.open();
    let list = directory.list("default").unwrap();
    assert_eq!((list.name.as_str(), list.created), ("default", THEN));
    assert_eq!(
        refusal(directory.delete_list("Default").await),
        "the list \"default\" always exists and cannot be removed"
    );
    let patch = ListPatch {
        notify: Some("x@a.example".into()),
    };
    directory
        .change_list("default", patch.check().unwrap(), NOW)
        .await
        .unwrap();
    let directory = medium.reopen(directory).await;
    assert_eq!(
        directory.list("default").unwrap().notify_text(),
        "x@a.example"
    );
    assert_eq!(directory.lists().len(), 1);
}

async fn everything_survives_a_restart(medium: Medium) {
    let directory = medium.open();
    let list = create_list(&directory, "News").await.unwrap();
    let draft = UserDraft {
        list: Some(String::from("news")),
        active: false,
        priority: Some(1),
        note: String::from("the printer\non floor 2"),
        authorized_domains: "*.bücher.example;a.example".into(),
        authorized_senders: "X@b.example".into(),
        allowance: AllowancePatch {
            trusted_carriers: Some(Some("MT-PRIORITY;Importance".into())),
            priority_ceiling: Some(Some(2)),
            very_high_per_hour: Some(Some(7)),
        },
        ..named("Printer-2")
    };
    let user = create(&directory, draft).await.unwrap();
    create(&directory, named("gone")).await.unwrap();
    directory.delete_user("gone").await.unwrap();
    let issued = directory
        .create_token("ci", Scope::Operate, NOW)
        .await
        .unwrap();
    let admin = directory
        .create_admin("Ann", Scope::Operate, hash("$c"), NOW)
        .await
        .unwrap();
    let key = directory.cache_key();
    let directory = medium.reopen(directory).await;
    assert_eq!(directory.user("printer-2"), Some(user));
    assert_eq!(directory.user("gone"), None);
    assert_eq!(directory.list("news"), Some(list));
    assert_eq!(
        directory.population("NEWS"),
        Population {
            users: 1,
            active: 0
        }
    );
    assert_eq!(directory.check_token(&issued.secret), Some(issued.token));
    assert_eq!(directory.admin("ANN"), Some(admin));
    assert_eq!(*directory.cache_key(), *key);
    assert_ne!(*key, [0; 32]);
}

async fn a_user_is_found_in_any_case_and_nobody_else_is(medium: Medium) {
    let directory = medium.open();
    let bob = create(&directory, named("Bob@A.example")).await.unwrap();
    assert_eq!(bob.name, "Bob@A.example");
    assert_eq!(directory.user("bob@a.EXAMPLE"), Some(bob));
    for name in ["", "bob", "bob@a.example ", "bob@a.exampl", "\0"] {
        assert_eq!(directory.user(name), None, "{name:?}");
    }
}

async fn names_are_taken_in_any_case(medium: Medium) {
    let directory = medium.open();
    create(&directory, named("Bob")).await.unwrap();
    assert_eq!(
        refusal(create(&directory, named("bOB")).await),
        "there is already a user named \"Bob\""
    );
    create_list(&directory, "News").await.unwrap();
    assert_eq!(
        refusal(create_list(&directory, "news").await),
        "there is already a list named \"News\""
    );
    directory
        .create_token("ci", Scope::Read, NOW)
        .await
        .unwrap();
    assert_eq!(
        refusal(directory.create_token("CI", Scope::Read, NOW).await),
        "there is already a token named \"ci\""
    );
    // A user, a list and a token may have the same name.
    create(&directory, named("news")).await.unwrap();
    directory
        .create_token("bob", Scope::Read, NOW)
        .await
        .unwrap();
}

async fn a_name_is_generated_when_none_is_given(medium: Medium) {
    let directory = medium.open();
    let one = create(&directory, UserDraft::default()).await.unwrap();
    let other = create(&directory, UserDraft::default()).await.unwrap();
    assert!(one.name.starts_with("user-") && one.name != other.name);
    assert_eq!(directory.user(&one.name), Some(one));
}

async fn a_user_belongs_to_a_list_that_exists(medium: Medium) {
    let directory = medium.open();
    let elsewhere = Some(String::from("elsewhere"));
    let draft = UserDraft {
        list: elsewhere.clone(),
        ..named("bob")
    };
    let text = "list: there is no list named \"elsewhere\"";
    assert_eq!(refusal(create(&directory, draft).await), text);
    assert_eq!(directory.user("bob"), None);
    create(&directory, named("bob")).await.unwrap();
    let patch = UserPatch {
        list: elsewhere,
        ..UserPatch::default()
    };
    assert_eq!(
        refusal(change(&directory, "bob", patch.clone()).await),
        text
    );
    create_list(&directory, "Elsewhere").await.unwrap();
    let user = change(&directory, "bob", patch).await.unwrap().after;
    assert_eq!(user.list, "Elsewhere");
}

async fn a_change_tells_what_was_and_what_is(medium: Medium) {
    let directory = medium.open();
    let created = create(&directory, named("bob")).await.unwrap();
    let patch = UserPatch {
        note: Some(String::from("new")),
        authorized_domains: Some("a.example".into()),
        ..UserPatch::default()
    };
    let changed = change(&directory, "BOB", patch).await.unwrap();
    assert_eq!(changed.before, created);
    assert_eq!(
        (changed.after.note.as_str(), changed.after.changed),
        ("new", NOW)
    );
    assert_eq!(changed.after.rules.domains_text(), "a.example");
    assert_eq!(directory.user("bob"), Some(changed.after));

    let list = directory.list("default").unwrap();
    let patch = ListPatch {
        notify: Some("x@a.example".into()),
    };
    let changed = directory
        .change_list("DEFAULT", patch.check().unwrap(), NOW)
        .await
        .unwrap();
    assert_eq!((changed.before, changed.after.changed), (list, NOW));
}

async fn a_user_can_be_renamed_and_keeps_one_row(medium: Medium) {
    let directory = medium.open();
    let name = |name: &str| UserPatch {
        name: Some(name.to_owned()),
        ..UserPatch::default()
    };
    create(&directory, named("bob")).await.unwrap();
    create(&directory, named("alice")).await.unwrap();
    assert_eq!(
        refusal(change(&directory, "bob", name("ALICE")).await),
        "there is already a user named \"alice\""
    );
    change(&directory, "bob", name("Bob")).await.unwrap();
    change(&directory, "bob", name("carol")).await.unwrap();
    for directory in [directory.clone(), medium.reopen(directory).await] {
        let page = directory.users(&UserFilter::default(), None, 10);
        let names: Vec<&str> = page.users.iter().map(|user| user.name.as_str()).collect();
        assert_eq!(names, ["alice", "carol"]);
        assert_eq!(directory.population("default").users, 2);
    }
}

async fn an_epoch_is_never_given_out_twice(medium: Medium) {
    let directory = medium.open();
    let active = |active| UserPatch {
        active: Some(active),
        ..UserPatch::default()
    };
    let mut epochs = vec![
        create(&directory, named("bob"))
            .await
            .unwrap()
            .credential_epoch,
    ];
    let reset = directory
        .set_password_hash("bob", hash("$i"), NOW)
        .await
        .unwrap();
    assert_eq!(reset.after.password_hash, hash("$i"));
    epochs.push(reset.after.credential_epoch);
    let disabled = change(&directory, "bob", active(false)).await.unwrap();
    epochs.push(disabled.after.credential_epoch);
    let enabled = change(&directory, "bob", active(true)).await.unwrap();
    assert_eq!(
        enabled.after.credential_epoch,
        disabled.after.credential_epoch
    );
    directory.delete_user("bob").await.unwrap();
    let directory = medium.reopen(directory).await;
    epochs.push(
        create(&directory, named("bob"))
            .await
            .unwrap()
            .credential_epoch,
    );
    assert!(epochs.is_sorted_by(|one, next| one < next), "{epochs:?}");
}

async fn what_is_unknown_is_said_to_be(medium: Medium) {
    let directory = medium.open();
    let user = "there is no user named \"Bob\"";
    assert_eq!(
        refusal(change(&directory, "Bob", UserPatch::default()).await),
        user
    );
    assert_eq!(refusal(directory.delete_user("Bob").await), user);
    assert_eq!(
        refusal(directory.set_password_hash("Bob", hash("$"), NOW).await),
        user
    );
    let list = "there is no list named \"News\"";
    assert_eq!(refusal(directory.delete_list("News").await), list);
    let patch = ListPatch::default().check().unwrap();
    assert_eq!(
        refusal(directory.change_list("News", patch, NOW).await),
        list
    );
    let token = "there is no token named \"ci\"";
    assert_eq!(refusal(directory.delete_token("ci").await), token);
    directory.note_login("Bob", NOW);
    assert_eq!(directory.population("News"), Population::default());
}

async fn a_list_with_users_cannot_be_removed(medium: Medium) {
    let directory = medium.open();
    create_list(&directory, "news").await.unwrap();
    let list = Some(String::from("news"));
    create(
        &directory,
        UserDraft {
            list,
            ..named("bob")
        },
    )
    .await
    .unwrap();
    assert_eq!(
        refusal(directory.delete_list("News").await),
        "the list \"news\" still has 1 user: remove it or move it to another list"
    );
    let list = Some(String::from("default"));
    change(
        &directory,
        "bob",
        UserPatch {
            list,
            ..UserPatch::default()
        },
    )
    .await
    .unwrap();
    directory.delete_list("News").await.unwrap();
    assert_eq!(medium.reopen(directory).await.list("news"), None);
}

async fn lists_know_how_many_users_they_have(medium: Medium) {
    let directory = medium.open();
    create_list(&directory, "News").await.unwrap();
    for (name, list, active) in [
        ("a", "default", true),
        ("b", "news", true),
        ("c", "NEWS", false),
    ] {
        let list = Some(list.to_owned());
        create(
            &directory,
            UserDraft {
                list,
                active,
                ..named(name)
            },
        )
        .await
        .unwrap();
    }
    let news = |directory: &Directory| directory.population("news");
    assert_eq!(
        news(&directory),
        Population {
            users: 2,
            active: 1
        }
    );
    let active = Some(true);
    change(
        &directory,
        "c",
        UserPatch {
            active,
            ..UserPatch::default()
        },
    )
    .await
    .unwrap();
    assert_eq!(
        news(&directory),
        Population {
            users: 2,
            active: 2
        }
    );
    directory.delete_user("b").await.unwrap();
    let list = Some(String::from("news"));
    change(
        &directory,
        "a",
        UserPatch {
            list,
            ..UserPatch::default()
        },
    )
    .await
    .unwrap();
    for directory in [directory.clone(), medium.reopen(directory).await] {
        let all = [(
            String::from("News"),
            Population {
                users: 2,
                active: 2,
            },
        )];
        assert_eq!(directory.populations(), BTreeMap::from(all));
    }
}

async fn pages_hold_each_user_once_in_order(medium: Medium) {
    let directory = medium.open();
    for name in ["d", "B", "a", "C", "e"] {
        create(&directory, named(name)).await.unwrap();
    }
    let page = |after: Option<&str>, rows_max| {
        let page = directory.users(&UserFilter::default(), after, rows_max);
        let names: Vec<String> = page.users.iter().map(|user| user.name.clone()).collect();
        (names.concat(), page.next)
    };
    let next = |name: &str| Some(name.to_owned());
    assert_eq!(page(None, 2), ("aB".into(), next("B")));
    assert_eq!(page(Some("B"), 2), ("Cd".into(), next("d")));
    assert_eq!(page(Some("d"), 2), ("e".into(), None));
    assert_eq!(page(None, 5), ("aBCde".into(), None));
    // The user that a page ended with may be gone by the next.
    assert_eq!(page(Some("bb"), 2), ("Cd".into(), next("d")));
    assert_eq!(page(Some("zz"), 2), (String::new(), None));
}

async fn pages_hold_what_passes_the_filter(medium: Medium) {
    let directory = medium.open();
    create_list(&directory, "News").await.unwrap();
    for (name, list, active) in [
        ("anna", "default", true),
        ("Bob", "news", true),
        ("Bobby", "default", false),
        ("zoe", "news", false),
    ] {
        let list = Some(list.to_owned());
        create(
            &directory,
            UserDraft {
                list,
                active,
                ..named(name)
            },
        )
        .await
        .unwrap();
    }
    let names = |filter: UserFilter| -> Vec<String> {
        let page = directory.users(&filter, None, 10);
        page.users.iter().map(|user| user.name.clone()).collect()
    };
    let all = UserFilter::default();
    let list = Some(String::from("NEWS"));
    assert_eq!(
        names(UserFilter {
            list,
            ..all.clone()
        }),
        ["Bob", "zoe"]
    );
    let active = Some(false);
    assert_eq!(
        names(UserFilter {
            active,
            ..all.clone()
        }),
        ["Bobby", "zoe"]
    );
    let name_contains = Some(String::from("OB"));
    assert_eq!(
        names(UserFilter {
            name_contains,
            ..all.clone()
        }),
        ["Bob", "Bobby"]
    );
    let nowhere = Some(String::from("x"));
    assert_eq!(
        names(UserFilter {
            list: nowhere,
            ..all
        }),
        Vec::<String>::new()
    );
}

async fn logins_are_written_with_the_next_change_and_at_the_end(medium: Medium) {
    let directory = medium.open();
    let bob = create(&directory, named("bob")).await.unwrap();
    directory.note_login("BOB", NOW);
    create(&directory, named("alice")).await.unwrap();
    let seen = directory.user("bob").unwrap();
    assert_eq!(seen.last_login, Some(NOW));
    assert_eq!(
        (seen.changed, seen.credential_epoch),
        (bob.changed, bob.credential_epoch)
    );
    let later = Timestamp::from_unix_milliseconds(3_000);
    directory.note_login("bob", later);
    // Out of order, as sessions on several threads are.
    directory.note_login("bob", NOW);
    directory.note_login("alice", NOW);
    directory.delete_user("alice").await.unwrap();
    let directory = medium.reopen(directory).await;
    assert_eq!(directory.user("bob").unwrap().last_login, Some(later));
    directory.note_login("bob", THEN);
    let directory = medium.reopen(directory).await;
    assert_eq!(directory.user("bob").unwrap().last_login, Some(later));
}

/// A user with so many very-high messages an hour.
fn counted(name: &str, per_hour: i64) -> UserDraft {
    UserDraft {
        allowance: AllowancePatch {
            very_high_per_hour: Some(Some(per_hour)),
            ..AllowancePatch::default()
        },
        ..named(name)
    }
}

async fn very_high_messages_are_spent_once_and_stay_spent(medium: Medium) {
    let directory = medium.open();
    let bob = create(&directory, counted("Bob", 2)).await.unwrap();
    assert!(directory.spend_very_high("bob", NOW).await.unwrap());
    let directory = medium.reopen(directory).await;
    let seen = directory.user("bob").unwrap();
    assert_eq!(seen.very_high_left(NOW), Some(1));
    assert_eq!(
        (seen.changed, seen.credential_epoch),
        (bob.changed, bob.credential_epoch)
    );
    let renamed = UserPatch {
        name: Some(String::from("alice")),
        ..UserPatch::default()
    };
    change(&directory, "bob", renamed).await.unwrap();
    assert!(directory.spend_very_high("alice", NOW).await.unwrap());
    let directory = medium.reopen(directory).await;
    assert!(!directory.spend_very_high("alice", NOW).await.unwrap());
    let later = NOW.plus(std::time::Duration::from_secs(1_800));
    assert!(directory.spend_very_high("alice", later).await.unwrap());
    assert!(!directory.spend_very_high("alice", later).await.unwrap());
    let given = directory.give_back_very_high("alice", later, later).await;
    given.unwrap();
    let directory = medium.reopen(directory).await;
    assert_eq!(
        directory.user("alice").unwrap().very_high_left(later),
        Some(1)
    );
    assert_eq!(
        refusal(directory.spend_very_high("bob", NOW).await),
        "there is no user named \"bob\""
    );
    // Who is gone meanwhile needs nothing back.
    let given = directory.give_back_very_high("bob", NOW, NOW).await;
    given.unwrap();
    assert_eq!(directory.population("default").users, 1);
}

async fn very_high_messages_are_not_had_twice_by_many_who_ask_at_once(medium: Medium) {
    let directory = medium.open();
    create(&directory, counted("bob", 7)).await.unwrap();
    create(&directory, counted("alice", 1)).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..200 {
        let directory = directory.clone();
        let name = if n % 2 == 0 { "bob" } else { "alice" };
        tasks.spawn(async move { (name, directory.spend_very_high(name, NOW).await.unwrap()) });
    }
    let spent: Vec<&str> = tasks
        .join_all()
        .await
        .into_iter()
        .filter_map(|(name, is_spent)| is_spent.then_some(name))
        .collect();
    let of = |name: &str| spent.iter().filter(|spent| **spent == name).count();
    assert_eq!((of("bob"), of("alice")), (7, 1));
    let directory = medium.reopen(directory).await;
    assert_eq!(directory.user("bob").unwrap().very_high_left(NOW), Some(0));
}

#[tokio::test]
async fn very_high_messages_that_cannot_be_written_are_not_had() {
    let rows = MemoryRows::default();
    let directory = Directory::on_memory(rows.clone(), THEN).unwrap();
    create(&directory, counted("bob", 1)).await.unwrap();
    create(&directory, counted("spent", 1)).await.unwrap();
    create(&directory, named("free")).await.unwrap();
    assert!(directory.spend_very_high("spent", NOW).await.unwrap());
    rows.set_failing(true);
    refusal(directory.spend_very_high("bob", NOW).await);
    assert_eq!(directory.user("bob").unwrap().very_high_left(NOW), Some(1));
    // What needs no write is answered all the same.
    assert!(directory.spend_very_high("free", NOW).await.unwrap());
    assert!(!directory.spend_very_high("spent", NOW).await.unwrap());
    rows.set_failing(false);
    assert!(directory.spend_very_high("bob", NOW).await.unwrap());
}

async fn a_row_of_the_first_version_is_read_and_changed(medium: Medium) {
    let directory = medium.open();
    create(&directory, named("bob")).await.unwrap();
    directory.close().await.unwrap();
    drop(directory);
    // As an earlier release has written it, without what the second version has behind the first.
    let first = b"\x01\x03bob\x07default\x01\x03\0\0\0\x02$h\x01\xe8\x07\xe8\x07\xe8\x07\0";
    medium.put(Kind::User, "bob", first);
    let directory = medium.open();
    let bob = directory.user("bob").unwrap();
    assert_eq!(bob.allowance, crate::account::Allowance::default());
    let patch = UserPatch {
        allowance: AllowancePatch {
            very_high_per_hour: Some(Some(5)),
            ..AllowancePatch::default()
        },
        ..UserPatch::default()
    };
    let after = change(&directory, "bob", patch).await.unwrap().after;
    assert_eq!((after.created, after.very_high_left(NOW)), (THEN, Some(5)));
    let directory = medium.reopen(directory).await;
    assert_eq!(directory.user("bob"), Some(after));
}

async fn tokens_are_known_by_their_secret_until_removed(medium: Medium) {
    let directory = medium.open();
    let ci = directory
        .create_token("ci", Scope::Read, NOW)
        .await
        .unwrap();
    let ops = directory
        .create_token("Ops", Scope::Admin, NOW)
        .await
        .unwrap();
    assert!(ci.secret.starts_with("outpost_") && ci.secret.len() == 51);
    assert_ne!(ci.secret, ops.secret);
    assert_eq!(
        directory.check_token(&ci.secret).unwrap().scope,
        Scope::Read
    );
    assert_eq!(directory.check_token(&ops.secret).unwrap().name, "Ops");
    for wrong in [
        "",
        "ci",
        "outpost_",
        &ci.secret[..50],
        &ci.secret.to_uppercase(),
        &"x".repeat(999),
    ] {
        assert_eq!(directory.check_token(wrong), None, "{wrong}");
    }
    let names: Vec<String> = directory
        .tokens()
        .iter()
        .map(|token| token.name.clone())
        .collect();
    assert_eq!(names, ["ci", "Ops"]);
    directory.delete_token("CI").await.unwrap();
    for directory in [directory.clone(), medium.reopen(directory).await] {
        assert_eq!(directory.check_token(&ci.secret), None);
        assert_eq!(
            directory.check_token(&ops.secret),
            Some(Arc::clone(&ops.token))
        );
    }
    assert!(!format!("{ops:?}").contains(ops.secret.as_str()));
    if let Medium::File(folder) = &medium {
        let file = std::fs::read(folder.path().join("directory.redb")).unwrap();
        for secret in [&ci.secret, &ops.secret] {
            assert!(
                !file
                    .windows(secret.len())
                    .any(|octets| octets == secret.as_bytes())
            );
        }
    }
}

async fn the_last_admin_token_stays_whoever_asks_at_once(medium: Medium) {
    let directory = medium.open();
    let last = "is the last token of scope admin: without it nobody could make another";
    for (name, scope) in [
        ("one", Scope::Admin),
        ("two", Scope::Admin),
        ("ci", Scope::Operate),
    ] {
        directory.create_token(name, scope, NOW).await.unwrap();
    }
    let (one, two) = tokio::join!(directory.delete_token("one"), directory.delete_token("TWO"));
    let refused = match (one, two) {
        (Ok(_), refused) | (refused, Ok(_)) => refusal(refused),
        (Err(error), Err(_)) => panic!("both are refused: {error}"),
    };
    let kept = directory.tokens().into_iter();
    let kept: Vec<_> = kept.filter(|token| token.scope == Scope::Admin).collect();
    assert_eq!(kept.len(), 1);
    assert_eq!(refused, format!("{} {last}", kept[0].name));
    // Others go as before.
    directory.delete_token("ci").await.unwrap();
    let directory = medium.reopen(directory).await;
    assert_eq!(directory.tokens(), kept);
}

async fn a_token_is_replaced_in_any_case_and_beyond_the_limit(medium: Medium) {
    let directory = medium.open();
    let others = (0..TOKENS_MAX).map(|number| format!("t{number}"));
    for name in others {
        directory
            .create_token(&name, Scope::Read, NOW)
            .await
            .unwrap();
    }
    let replace = |name| directory.replace_token(name, Scope::Admin, NOW);
    let first = replace("Door").await.unwrap();
    let second = replace("door").await.unwrap();
    assert_eq!(directory.tokens().len(), TOKENS_MAX + 1);
    assert_eq!(directory.check_token(&first.secret), None);
    assert_eq!(directory.check_token(&second.secret), Some(second.token));
    assert_eq!(
        refusal(directory.create_token("more", Scope::Read, NOW).await),
        "there are 100 tokens already, and there cannot be more"
    );
    let directory = medium.reopen(directory).await;
    assert_eq!(directory.tokens().len(), TOKENS_MAX + 1);
    assert!(directory.check_token(&second.secret).is_some());
}

async fn an_admin_has_a_role_and_a_password_that_is_replaced(medium: Medium) {
    let directory = medium.open();
    let ann = directory
        .create_admin("Ann", Scope::Read, hash("$1"), THEN)
        .await
        .unwrap();
    assert_eq!((ann.role, ann.last_login), (Scope::Read, None));
    let taken = directory
        .create_admin("ANN", Scope::Admin, hash("$2"), NOW)
        .await;
    assert_eq!(refusal(taken), "there is already an admin named \"Ann\"");
    let wrong = directory
        .create_admin("an n", Scope::Admin, hash("$2"), NOW)
        .await;
    assert!(refusal(wrong).starts_with("name: "));
    let changed = directory.change_admin("ann", Scope::Operate).await.unwrap();
    assert_eq!(
        (changed.before.role, changed.after.role),
        (Scope::Read, Scope::Operate)
    );
    assert_eq!(changed.after.credential_epoch, ann.credential_epoch);
    let reset = directory
        .set_admin_password_hash("ann", hash("$3"), NOW)
        .await
        .unwrap();
    assert!(reset.credential_epoch > ann.credential_epoch);
    assert_eq!(reset.password_hash, hash("$3"));
    assert_eq!(reset.role, Scope::Operate);
    directory.record_admin_login("ann", NOW).await.unwrap();
    directory.record_admin_login("nobody", NOW).await.unwrap();
    let directory = medium.reopen(directory).await;
    let kept = directory.admin("ann").unwrap();
    assert_eq!(kept.last_login, Some(NOW));
    assert_eq!(kept.password_hash, hash("$3"));
    assert_eq!(
        refusal(directory.change_admin("bob", Scope::Admin).await),
        "there is no admin named \"bob\""
    );
}

async fn the_last_admin_of_role_admin_stays_one(medium: Medium) {
    let directory = medium.open();
    for (name, role) in [
        ("ann", Scope::Admin),
        ("bob", Scope::Admin),
        ("eve", Scope::Operate),
    ] {
        directory
            .create_admin(name, role, hash("$h"), NOW)
            .await
            .unwrap();
    }
    let (one, two) = tokio::join!(
        directory.delete_admin("ann"),
        directory.change_admin("bob", Scope::Read)
    );
    one.unwrap();
    let last =
        "bob is the last admin of role admin: without one nobody could make another in the console";
    assert_eq!(refusal(two), last);
    assert_eq!(refusal(directory.delete_admin("BOB").await), last);
    directory.change_admin("bob", Scope::Admin).await.unwrap();
    directory.delete_admin("eve").await.unwrap();
    let directory = medium.reopen(directory).await;
    let names: Vec<_> = directory.admins().iter().map(|a| a.name.clone()).collect();
    assert_eq!(names, ["bob"]);
}

async fn there_are_not_more_admins_than_are_shown_whole(medium: Medium) {
    let directory = medium.open();
    for number in 0..ADMINS_MAX {
        directory
            .create_admin(&format!("a{number}"), Scope::Read, hash("$h"), NOW)
            .await
            .unwrap();
    }
    assert_eq!(
        refusal(
            directory
                .create_admin("more", Scope::Read, hash("$h"), NOW)
                .await
        ),
        "there are 100 admins already, and there cannot be more"
    );
}

/// A directory of the release in which the console had one password and no admins.
async fn the_password_of_the_console_becomes_that_of_the_first_admin(medium: Medium) {
    let directory = medium.open();
    let mut secrets = state::Secrets::clone(&directory.snapshot.load().secrets);
    secrets.console = Some(hash("$old"));
    let epoch = secrets.epoch;
    let row = record::of_secrets(&secrets);
    directory.close().await.unwrap();
    drop(directory);
    medium.put(Kind::Secrets, "secrets", &row);
    let directory = medium.open();
    let admin = directory.admin("admin").unwrap();
    assert_eq!((admin.role, admin.created), (Scope::Admin, THEN));
    assert_eq!(admin.password_hash, hash("$old"));
    assert!(admin.credential_epoch > epoch);
    // What the admin does from now on is not undone by the next start.
    directory
        .set_admin_password_hash("admin", hash("$new"), NOW)
        .await
        .unwrap();
    let directory = medium.reopen(directory).await;
    let admin = directory.admin("admin").unwrap();
    assert_eq!(admin.password_hash, hash("$new"));
}

/// The entry `action` in the audit log with each change.
fn telling(action: &'static str) -> Terms {
    Terms {
        tell: Some(Box::new(move |_| Some(Entry::new(action, NOW)))),
        ..Terms::default()
    }
}

fn only_if(only_if: OnlyIf) -> Terms {
    Terms {
        only_if: Some(only_if),
        ..Terms::default()
    }
}

/// The actions in the log, the latest first, with their numbers.
fn log(directory: &Directory) -> Vec<(u64, String)> {
    let page = directory.audit(&AuditFilter::default(), None, 100, NOW);
    let entries = page.unwrap().entries.into_iter();
    entries
        .map(|(number, entry)| (number, entry.action))
        .collect()
}

async fn a_change_and_its_entry_are_written_together_or_not_at_all(medium: Medium) {
    let directory = medium.open();
    let draft = || named("ann").check().unwrap();
    directory
        .under(telling("one"))
        .create_user(draft(), hash("$h"), NOW)
        .await
        .unwrap();
    let taken = directory.under(telling("two"));
    let taken = taken.create_user(draft(), hash("$h"), NOW).await;
    assert!(refusal(taken).contains("already"));
    let silent = Terms {
        tell: Some(Box::new(|_| None)),
        ..Terms::default()
    };
    directory.under(silent).delete_user("ann").await.unwrap();
    assert_eq!(log(&directory), [(1, "one".to_owned())]);
    if let Medium::Memory(rows) = &medium {
        rows.set_full(true);
        let refused = directory.under(telling("three"));
        let refused = refused.create_user(draft(), hash("$h"), NOW).await;
        assert!(matches!(refused, Err(DirectoryError::NoRoom)));
        let refused = directory.record(vec![Entry::new("four", NOW)]).await;
        assert!(matches!(refused, Err(DirectoryError::NoRoom)));
        rows.set_full(false);
        assert_eq!(log(&directory), [(1, "one".to_owned())]);
    }
    let touched = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&touched);
    let terms = Terms {
        tell: Some(Box::new(move |of| {
            if let Touched::List(before, after) = of {
                let name = |list: Option<&List>| list.map(|list| list.name.clone());
                seen.lock().unwrap().push((name(before), name(after)));
            }
            None
        })),
        ..Terms::default()
    };
    let new = ListDraft {
        name: "ops".to_owned(),
        ..ListDraft::default()
    };
    directory
        .under(terms)
        .create_list(new.check().unwrap(), NOW)
        .await
        .unwrap();
    assert_eq!(
        touched.lock().unwrap().as_slice(),
        [(None, Some("ops".to_owned()))]
    );
}

async fn entries_are_numbered_on_after_a_restart_and_shown_the_latest_first(medium: Medium) {
    let mut directory = medium.open();
    assert_eq!(log(&directory), []);
    for action in ["a", "b", "c"] {
        let entry = Entry::new(action, NOW);
        directory.record(vec![entry]).await.unwrap();
        directory = medium.reopen(directory).await;
    }
    let named = |number, action: &str| (number, action.to_owned());
    assert_eq!(
        log(&directory),
        [named(3, "c"), named(2, "b"), named(1, "a")]
    );
    let page = directory
        .audit(&AuditFilter::default(), None, 2, NOW)
        .unwrap();
    assert_eq!((page.entries.len(), page.next), (2, Some(2)));
    let page = directory
        .audit(&AuditFilter::default(), page.next, 2, NOW)
        .unwrap();
    assert_eq!((page.entries.len(), page.next), (1, None));
    directory.close().await.unwrap();
    let closed = directory.audit(&AuditFilter::default(), None, 2, NOW);
    assert!(matches!(closed, Err(DirectoryError::Unavailable(_))));
}

async fn entries_that_are_too_old_are_shown_no_more_and_go(medium: Medium) {
    let directory = medium.open();
    let later = NOW.plus(KEPT_FOR).plus(std::time::Duration::from_millis(1));
    let old = ["a", "b", "c"].map(|action| Entry::new(action, NOW));
    directory.record(old.to_vec()).await.unwrap();
    let seen = |now| {
        let page = directory.audit(&AuditFilter::default(), None, 100, now);
        page.unwrap().entries.len()
    };
    assert_eq!((seen(NOW), seen(later)), (3, 0));
    // One pushes out two: a clock that is ahead costs few.
    let new = Entry::new("d", later);
    directory.record(vec![new.clone()]).await.unwrap();
    assert_eq!(seen(NOW), 2);
    directory.record(vec![new]).await.unwrap();
    assert_eq!((seen(NOW), seen(later)), (2, 2));
}

async fn what_has_changed_meanwhile_is_not_overwritten(medium: Medium) {
    let directory = medium.open();
    let ann = create(&directory, named("ann")).await.unwrap();
    let seen = Version::of_user(&ann);
    assert_eq!(Version::parse(&seen.to_string()), Some(seen));
    for wrong in [
        "",
        "x",
        "+00000000000000f",
        "00000000000000000",
        "000000000000000",
    ] {
        assert_eq!(Version::parse(wrong), None, "{wrong}");
    }
    // What happens by itself is no other version; everything that somebody does is.
    directory.note_login("ann", NOW);
    let priority = |number| {
        UserPatch {
            priority: Some(number),
            ..UserPatch::default()
        }
        .check()
        .unwrap()
    };
    let of = |versions: &[Version]| only_if(OnlyIf::Versions(versions.to_vec()));
    let (one, two) = tokio::join!(
        directory
            .under(of(&[seen]))
            .change_user("ann", priority(1), NOW),
        directory
            .under(of(&[seen]))
            .change_user("ann", priority(2), NOW),
    );
    let changed = one.unwrap();
    assert_eq!(refusal(two), "the user \"ann\" was changed meanwhile");
    let now = Version::of_user(&changed.after);
    let reset = directory.under(of(&[seen, now]));
    reset
        .set_password_hash("ANN", hash("$2"), NOW)
        .await
        .unwrap();
    let deleted = directory.under(of(&[now])).delete_user("ann").await;
    assert_eq!(refusal(deleted), "the user \"ann\" was changed meanwhile");
    let present = || only_if(OnlyIf::Present);
    directory.under(present()).delete_user("ann").await.unwrap();
    let gone = directory.under(present()).delete_user("ann").await;
    assert_eq!(refusal(gone), "there is no user named \"ann\"");

    let list = directory.list(DEFAULT_LIST).unwrap();
    let seen = Version::of_list(&list);
    let notify = |to: &str| {
        ListPatch {
            notify: Some(to.into()),
        }
        .check()
        .unwrap()
    };
    let change = directory.under(of(&[seen]));
    change
        .change_list("default", notify("a@x.example"), NOW)
        .await
        .unwrap();
    let change = directory.under(of(&[seen]));
    let refused = change.change_list("default", notify("b@x.example"), NOW);
    assert_eq!(
        refusal(refused.await),
        "the list \"default\" was changed meanwhile"
    );
}

async fn changes_at_the_same_time_are_all_made(medium: Medium) {
    let directory = medium.open();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..400 {
        let directory = directory.clone();
        // Every name is wanted twice; one of the two gets it.
        let draft = named(&format!("u{}", n / 2));
        tasks.spawn(async move { create(&directory, draft).await.is_ok() });
    }
    let done = tasks.join_all().await;
    assert_eq!(done.iter().filter(|is_ok| **is_ok).count(), 200);
    let directory = medium.reopen(directory).await;
    assert_eq!(directory.population("default").users, 200);
    let page = directory.users(&UserFilter::default(), None, 400);
    let mut epochs: Vec<u64> = page
        .users
        .iter()
        .map(|user| user.credential_epoch)
        .collect();
    epochs.sort_unstable();
    epochs.dedup();
    assert_eq!(epochs.len(), 200);
}

async fn after_the_end_reads_go_on_and_writes_do_not(medium: Medium) {
    let directory = medium.open();
    create(&directory, named("bob")).await.unwrap();
    directory.close().await.unwrap();
    directory.close().await.unwrap();
    assert!(directory.user("bob").is_some());
    assert_eq!(
        refusal(create(&directory, named("alice")).await),
        "the directory cannot be written: the directory is closed"
    );
}

async fn a_damaged_row_is_named_and_nothing_is_opened(medium: Medium) {
    let directory = medium.open();
    create(&directory, named("bob")).await.unwrap();
    directory.close().await.unwrap();
    drop(directory);
    medium.put(Kind::List, "news", &[1, 200]);
    let error = medium.try_open().unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("the list news in the directory is damaged: "),
        "{error}"
    );
}

#[tokio::test]
async fn a_failed_write_changes_nothing_and_the_next_one_is_made() {
    let rows = MemoryRows::default();
    let directory = Directory::on_memory(rows.clone(), THEN).unwrap();
    let bob = create(&directory, named("bob")).await.unwrap();
    directory.note_login("bob", NOW);
    rows.set_failing(true);
    let text = "the directory cannot be written: told to fail";
    assert_eq!(refusal(create(&directory, named("alice")).await), text);
    assert_eq!(
        refusal(directory.delete_user("bob").await),
        "the directory cannot be written: \
        the directory cannot be opened: told to fail"
    );
    assert_eq!(directory.user("bob"), Some(bob));
    assert_eq!(directory.user("alice"), None);
    rows.set_failing(false);
    create(&directory, named("alice")).await.unwrap();
    assert_eq!(directory.user("bob").unwrap().last_login, Some(NOW));
    let again = Directory::on_memory(rows, THEN).unwrap();
    assert_eq!(again.population("default").users, 2);
}

#[tokio::test]
async fn a_full_disk_is_told_apart_from_one_that_fails() {
    let rows = MemoryRows::default();
    let directory = Directory::on_memory(rows.clone(), THEN).unwrap();
    rows.set_full(true);
    // The second one meets it when the rows are read again.
    for _ in 0..2 {
        let refused = create(&directory, named("alice")).await;
        assert!(
            matches!(refused, Err(DirectoryError::NoRoom)),
            "{refused:?}"
        );
    }
    rows.set_full(false);
    create(&directory, named("alice")).await.unwrap();
}

#[tokio::test]
async fn a_directory_that_fails_at_start_is_not_opened() {
    let rows = MemoryRows::default();
    rows.set_failing(true);
    let error = Directory::on_memory(rows, THEN).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the directory cannot be opened: told to fail"
    );
}

#[tokio::test]
async fn a_copy_holds_all_that_was_answered_and_nothing_later() {
    let directory = Directory::in_memory(THEN).unwrap();
    let bob = create(&directory, named("Bob")).await.unwrap();
    let issued = directory
        .create_token("boss", Scope::Admin, THEN)
        .await
        .unwrap();
    let admin = directory
        .create_admin("Ann", Scope::Operate, hash("$c"), NOW)
        .await
        .unwrap();
    let entries = ["a", "b"].map(|action| Entry::new(action, NOW));
    directory.record(entries.to_vec()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("directory.redb");
    let file = std::fs::File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path);
    let copied = directory.copy(file.unwrap()).unwrap();
    assert_eq!((copied.users, copied.lists, copied.tokens), (1, 1, 1));
    create(&directory, named("later")).await.unwrap();
    Directory::verify(&path, NOW).unwrap();
    let copy = Directory::open(&path, NOW).unwrap();
    assert_eq!(copy.user("bob"), Some(bob));
    assert_eq!(copy.user("later"), None);
    assert_eq!(copy.lists(), directory.lists());
    assert!(copy.check_token(&issued.secret).is_some());
    assert_eq!(copy.admins(), [admin]);
    assert_eq!(*copy.cache_key(), *directory.cache_key());
    assert_eq!(log(&copy), log(&directory));
    let entry = Entry::new("c", NOW);
    copy.record(vec![entry]).await.unwrap();
    assert_eq!(log(&copy)[0], (3, "c".to_owned()));
    // What a copy has is kept and changed as any other.
    copy.delete_user("bob").await.unwrap();
}

#[tokio::test]
async fn a_damaged_directory_is_told_without_opening_it() {
    let medium = Medium::file();
    let directory = medium.open();
    directory.close().await.unwrap();
    let Medium::File(folder) = &medium else {
        panic!()
    };
    let path = folder.path().join("directory.redb");
    Directory::verify(&path, NOW).unwrap();
    medium.put(Kind::List, "news", &[1, 200]);
    let error = Directory::verify(&path, NOW).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
}
