//! Commands that write or read a file: backups, and accounts that go from one relay to another.

use super::*;

#[tokio::test]
async fn a_backup_is_a_private_file_that_is_replaced_only_on_demand() {
    use std::os::unix::fs::PermissionsExt as _;

    let running = Running::start().await;
    running.out("user add --name app").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("b.tar");
    let shown = file.display();
    let line = format!("backup {shown}");
    let said = running.out(&line).await;
    let made = crate::admin::tests::NOW;
    assert_eq!(
        said,
        format!(
            "file     {shown}\n\
             relay    relay.example, release {}\n\
             made     {made}\n\
             holds    1 user, 1 list, 3 admin tokens, the configuration file\n\
             without  queued mail\n",
            env!("CARGO_PKG_VERSION")
        )
    );
    let metadata = std::fs::metadata(&file).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    assert_eq!(
        running.err(&line).await,
        format!("{shown} is there already: name another file, or replace it with --force\n")
    );
    running.out("user add --name other").await;
    let said = running.out(&format!("{line} --force --json")).await;
    let saved: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(saved["users"], 2);
    assert_eq!(saved["octets"], std::fs::metadata(&file).unwrap().len());
    let names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["b.tar"], "nothing else is left there");
}

#[tokio::test]
async fn what_is_no_regular_file_is_never_replaced() {
    use std::os::unix::fs::FileTypeExt as _;

    let running = Running::start().await;
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let shown = socket.display();
    for line in ["backup", "user export"] {
        assert_eq!(
            running.err(&format!("{line} {shown} --force")).await,
            format!("{shown} is a socket: only a regular file is replaced; name another file\n")
        );
    }
    let found = std::fs::metadata(&socket).unwrap();
    assert!(found.file_type().is_socket());
}

#[tokio::test]
async fn a_dash_is_standard_output_for_accounts_and_no_file_for_a_backup() {
    let running = Running::start().await;
    running.out("user add --name app").await;
    let printed = running.out("user export -").await;
    assert_eq!(printed, running.out("user export").await);
    assert_eq!(
        running.err("backup -").await,
        "- is no file: name one; ./- where it is to have that name\n"
    );
}

#[tokio::test]
async fn a_backup_that_is_refused_leaves_no_file() {
    let running = Running::start().await;
    let token = running.surface.operate.clone();
    std::fs::write(&running.access.token_file, token).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("b.tar");
    let said = running.err(&format!("backup {}", file.display())).await;
    assert_eq!(
        said,
        "this needs a token of scope admin; night-shift has scope operate\n"
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let folder = folder.path().join("none");
    let nowhere = folder.join("b.tar");
    let said = running.err(&format!("backup {}", nowhere.display())).await;
    let folder = folder.display();
    assert_eq!(
        said,
        format!("{folder}: No such file or directory (os error 2)\n")
    );
}

#[tokio::test]
async fn what_one_relay_exports_another_imports_and_no_secret_is_in_it() {
    let (from, to) = (Running::start().await, Running::start().await);
    from.out("list add ops --notify x@a.example").await;
    let shop = from
        .out("user add --name shop --list ops --domains a.example;*.b.example --note n --json")
        .await;
    from.out("user add --name off --inactive --priority 1 --ceiling 2 --very-high-per-hour 3")
        .await;
    from.out("user set shop --carriers X-Priority;MT-PRIORITY")
        .await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("accounts.jsonl");
    let shown = file.display();
    assert_eq!(from.out(&format!("user export {shown}")).await, "");
    let exported = std::fs::read_to_string(&file).unwrap();
    assert_eq!(exported, from.out("user export").await);
    let shop: Value = serde_json::from_str(&shop).unwrap();
    let hash = from.surface.api.directory.user("shop").unwrap();
    for secret in [
        shop["password"].as_str().unwrap(),
        hash.password_hash.as_str(),
        "argon2",
        &from.surface.admin,
        "password",
    ] {
        assert!(!exported.contains(secret), "{secret} in {exported}");
    }

    let dry = to.out(&format!("user import {shown} --dry-run")).await;
    assert_eq!(
        dry,
        "would add list ops\nwould add user off\nwould add user shop\n"
    );
    assert!(to.surface.api.directory.user("shop").is_none());
    let made = to.out(&format!("user import {shown}")).await;
    let made: Vec<&str> = made.lines().collect();
    assert_eq!(made.len(), 3, "{made:?}");
    assert_eq!(made[0], "added list ops");
    let password = made[2].strip_prefix("added user shop  password ").unwrap();
    assert_eq!(password.len(), shop["password"].as_str().unwrap().len());
    assert_ne!(password, shop["password"].as_str().unwrap());
    assert_eq!(to.out("user export").await, exported);
    let off = to.surface.api.directory.user("off").unwrap();
    assert_eq!(off.allowance.very_high_per_hour(), Some(3));
    assert_eq!(off.allowance.ceiling(), Some(Class::High));
    assert_eq!(
        to.out(&format!("user import {shown} --update")).await,
        "everything is there already\n"
    );
}

#[tokio::test]
async fn an_import_changes_what_differs_only_when_told_and_keeps_passwords() {
    let running = Running::start().await;
    running.out("user add --name shop --note n").await;
    let before = running.surface.api.directory.user("shop").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("accounts.jsonl");
    std::fs::write(&file, r#"{"user":{"name":"shop","priority":1}}"#).unwrap();
    let line = format!("user import {}", file.display());
    assert_eq!(
        running.out(&line).await,
        "user shop differs: priority; --update changes it\n"
    );
    let dry = format!("{line} --update --dry-run");
    assert_eq!(
        running.out(&dry).await,
        "would change user shop: priority\n"
    );
    assert_eq!(running.surface.api.directory.user("shop").unwrap(), before);
    let update = format!("{line} --update --json");
    assert_eq!(
        running.out(&update).await,
        "{\"done\":\"changed\",\"fields\":\"priority\",\"user\":\"shop\"}\n"
    );
    let after = running.surface.api.directory.user("shop").unwrap();
    assert_eq!(after.priority, Class::VeryHigh);
    assert_eq!(after.note, "n", "what is not named stays");
    assert_eq!(after.password_hash, before.password_hash);
}

#[tokio::test]
async fn an_import_with_a_bad_line_changes_nothing() {
    let running = Running::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("accounts.jsonl");
    let text = "{\"user\":{\"name\":\"good\"}}\n{\"user\":{\"name\":\"bad\",\"priority\":0}}\n{\"user\":{\"name\":\"x\",\"password\":\"p\"}}\n";
    std::fs::write(&file, text).unwrap();
    let shown = file.display();
    let said = running.err(&format!("user import {shown}")).await;
    let lines: Vec<&str> = said.lines().collect();
    assert!(
        lines[0].starts_with(&format!("{shown}: line 2: priority: ")),
        "{said}"
    );
    assert!(
        lines[1].starts_with(&format!("{shown}: line 3: unknown field `password`")),
        "{said}"
    );
    assert_eq!(lines[2], "nothing was changed");
    assert!(running.surface.api.directory.user("good").is_none());
}
