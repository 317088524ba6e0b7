//! Users by command: made, shown, changed and removed.

use super::*;

#[tokio::test]
async fn users_are_managed_by_command() {
    let running = Running::start().await;
    let made = running
        .out("user add --name app --domains a.example;*.b.example")
        .await;
    let password = made
        .lines()
        .nth(1)
        .unwrap()
        .strip_prefix("password  ")
        .unwrap()
        .to_owned();
    assert_eq!(
        made,
        format!(
            "name      app\n\
             password  {password}\n\
             It is shown this once and kept nowhere; `outpost user reset-password app` makes another.\n"
        )
    );
    assert_eq!(
        running.out("user show app").await,
        "name          app\n\
         list          default\n\
         state         active\n\
         priority      3 (normal)\n\
         domains       *.b.example;a.example\n\
         senders       none\n\
         created       2023-11-14T22:13:20.123Z\n\
         changed       2023-11-14T22:13:20.123Z\n\
         password set  2023-11-14T22:13:20.123Z\n\
         last login    never\n"
    );
    let reset = running.out("user reset-password app").await;
    assert!(reset.starts_with("name      app\npassword  "), "{reset}");
    assert!(!reset.contains(&password));
    assert!(
        running
            .out("user disable app")
            .await
            .contains("state         disabled\n")
    );
    running
        .out("user set app --priority 1 --domains ; --note hers")
        .await;
    let shown = running.out("user show app").await;
    assert!(shown.contains("priority      1 (very high)\n"), "{shown}");
    assert!(shown.contains("note          hers\n"), "{shown}");
    assert!(
        shown.contains("warning: this user may not send as anybody"),
        "{shown}"
    );
    assert_eq!(
        running.out("user ls").await,
        "NAME  LIST     STATE     PRIORITY       MAY SEND AS\n\
         app   default  disabled  1 (very high)  nobody\n"
    );
    assert!(
        running
            .out("user enable app")
            .await
            .contains("state         active\n")
    );
    assert_eq!(running.out("user rm app").await, "user app is removed\n");
    assert_eq!(running.out("user ls").await, "no users\n");
}

#[tokio::test]
async fn a_user_with_queued_mail_is_removed_with_a_choice() {
    let running = Running::start().await;
    running.out("user add --name app").await;
    running
        .surface
        .queue("app", Class::Normal, &["x@b.example"])
        .await;
    let refused = running.err("user rm app").await;
    assert_eq!(
        refused,
        "1 delivery of this user is queued: say what becomes of the mail with --queued deliver, \
         --queued hold, --queued cancel\n"
    );
    assert_eq!(
        running.out("user rm app --queued hold").await,
        "user app is removed\nqueued mail: 1 delivery, held until released\n"
    );
}

#[tokio::test]
async fn limits_of_urgency_are_set_shown_and_taken_away() {
    let running = Running::start().await;
    running
        .out("user add --name app --carriers importance;MT-PRIORITY --very-high-per-hour 7")
        .await;
    let shown = running.out("user show app").await;
    assert!(
        shown.contains(
            "senders       none\n\
             carriers      MT-PRIORITY;Importance\n\
             very high     7 an hour, 7 left\n\
             created "
        ),
        "{shown}"
    );
    let directory = &running.surface.api.directory;
    let now = running.surface.api.clock.now();
    assert!(directory.spend_very_high("app", now).await.unwrap());
    let shown = running.out("user set app --ceiling 2 --note n").await;
    for line in [
        "ceiling       2 (high)\n",
        "very high     7 an hour, 6 left\n",
        "carriers      MT-PRIORITY;Importance\n",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    let mut person = Script::default();
    let empty = ["user", "set", "app", "--carriers", ""];
    assert!(running.typed_by(&empty, &mut person).await);
    assert!(
        person.out.contains("carriers      none\n"),
        "{}",
        person.out
    );
    let shown = running
        .out("user set app --carriers all --ceiling none --very-high-per-hour none")
        .await;
    for word in ["carriers", "ceiling", "very high"] {
        assert!(!shown.contains(word), "{shown}");
    }
    assert_eq!(
        running
            .err("user set app --carriers X-Prio,Importance")
            .await,
        "--carriers: \"X-Prio,Importance\" contains a comma: items are separated by a semicolon, \
         write \"X-Prio;Importance\"\n"
    );
    assert_eq!(
        running.err("user add --carriers X-Prio").await,
        "--carriers: \"X-Prio\" is not a carrier of a priority: there are \
         MT-PRIORITY;HTTP;X-SMTPAPI;X-Priority;X-MSMail-Priority;Importance;Priority\n"
    );
}
