//! Commands about senders.

use super::*;

#[tokio::test]
async fn who_may_send_as_whom_is_asked_from_either_side() {
    let running = Running::start().await;
    running
        .out("user add --name app --domains a.example;*.b.example --senders X@c.example")
        .await;
    running.out("user add --name off --inactive").await;
    let told = running.out("user senders app --as News@a.example").await;
    let lines: Vec<String> = told
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        lines,
        [
            "RULE COVERS FOR EXAMPLE",
            "*.b.example any address at any subdomain of b.example, but not at b.example itself \
             anybody@sub.b.example",
            "a.example any address at a.example, but not at its subdomains anybody@a.example",
            "x@c.example x@c.example alone x@c.example",
            "",
            "app may send as News@a.example",
            "authorized-senders said permit",
            "told: a.example",
            "(asked now, as at MAIL of a client at 127.0.0.1 that came to port 25 in clear, said EHLO localhost and \
             logged in with PLAIN; when the header of a message is known, the components are asked about its authors \
             again)",
        ]
    );
    let refused = running.out("user senders app --as ceo@bank.example").await;
    assert!(
        refused.contains(
            "app may not send as ceo@bank.example\n  the client is told: 550 5.7.1 You are not authorized"
        ),
        "{refused}"
    );
    let off = running.out("user senders off").await;
    assert!(
        off.starts_with(
            "off is disabled, and may not log in\nno rules\nwarning: this user may not send as anybody"
        ),
        "{off}"
    );
    assert_eq!(
        running.out("senders q@sub.b.example").await,
        "USER  LIST     STATE   BY\n\
         app   default  active  *.b.example\n"
    );
    assert_eq!(
        running.out("senders q@z.example").await,
        "no rule of any user covers it\n"
    );
    let wrong = running.err("senders nobody").await;
    assert_eq!(
        wrong,
        "`nobody` is not an address: write it as in name@example.com\n"
    );
}

#[tokio::test]
async fn a_refused_sender_is_authorized_with_what_else_that_allows() {
    let running = Running::start().await;
    running.out("user add --name app").await;
    let surface = &running.surface;
    assert_eq!(running.out("refused ls").await, "no refused senders\n");
    surface.refuse("app", &["x@b.example", "y@b.example"]).await;
    surface.refuse("app", &["y@b.example", "z@c.example"]).await;
    let (x, y, z) = (
        surface.refusal("x@b.example").await,
        surface.refusal("y@b.example").await,
        surface.refusal("z@c.example").await,
    );
    assert_eq!(
        running.out("refused ls --domain b.example").await,
        format!(
            "ID              USER  AS           COUNT  LAST                      IN        WHY\n\
             {y}  app   y@b.example  2      {NOW}  envelope  not-authorized: no\n\
             {x}  app   x@b.example  1      {NOW}  envelope  not-authorized: no\n"
        )
    );
    let shown = running.out(&format!("refused show {y}")).await;
    assert!(shown.contains("sender    y@b.example\n"), "{shown}");
    assert!(shown.contains("from      192.0.2.7\n"), "{shown}");
    let would = running
        .out(&format!("refused authorize {x} --as domain --dry-run"))
        .await;
    assert_eq!(
        would,
        format!(
            "b.example would be added to what app may send as\n  \
               app may send as any address at b.example by this, but not at its subdomains\n  \
               who else may send as it stays as it is\n\
             would settle {x}: as x@b.example, refused once\n\
             would settle {y}: as y@b.example, refused 2 times\n"
        )
    );
    let done = running.out(&format!("refused authorize {x}")).await;
    assert_eq!(
        done,
        format!(
            "x@b.example is added to what app may send as\n  \
               app may send as this one address by it, in any case of letters, and as nobody else\n  \
               who else may send as it stays as it is\n\
             settled {x}: as x@b.example, refused once\n"
        )
    );
    assert_eq!(
        running.out(&format!("refused dismiss {z}")).await,
        format!("{z} is dismissed\n")
    );
    let again = running.err(&format!("refused dismiss {z}")).await;
    assert!(again.contains("settled or dismissed meanwhile"), "{again}");
    let user = running.out("user show app").await;
    assert!(
        user.contains("refused       2 times: outpost refused ls --user app\n"),
        "{user}"
    );
}
