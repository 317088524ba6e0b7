//! What starts while something very high is being sent, and what when it is done.

use super::*;

/// Next hops that take everything at once, and a very-high message that is being sent for as long as the test says.
#[derive(Default)]
struct Held {
    held_until: Mutex<Option<Instant>>,
    eased: Arc<Notify>,
    started: Mutex<Vec<MessageId>>,
}

impl Held {
    fn hold(&self, time: Duration) {
        *self.held_until.lock().unwrap() = Some(Instant::now() + time);
    }

    fn ease(&self) {
        *self.held_until.lock().unwrap() = None;
        self.eased.notify_one();
    }

    fn started(&self) -> Vec<MessageId> {
        self.started.lock().unwrap().clone()
    }
}

impl Deliver for Held {
    fn deliver(
        &self,
        message: Arc<Message>,
        delivery: Delivery,
        _content: OpenContent,
        _at_mail: AtMail,
    ) -> Pin<Box<dyn Future<Output = Attempt> + Send>> {
        self.started.lock().unwrap().push(message.id);
        Box::pin(async move { attempt_with(&delivery, &[delivered()]) })
    }

    fn held_until(&self) -> Option<Instant> {
        let until = *self.held_until.lock().unwrap();
        until.filter(|until| *until > Instant::now())
    }

    fn eased(&self) -> Arc<Notify> {
        Arc::clone(&self.eased)
    }
}

#[tokio::test(start_paused = true)]
async fn what_falls_due_meanwhile_waits_and_goes_in_the_moment_in_which_it_is_over() {
    let stage = Stage::new();
    let hop = Arc::new(Held::default());
    let queue = stage.start(Settings::default(), hop.clone());
    hop.hold(seconds(10));
    let (waits, later) = (
        stage.accept_to("you@b.example", Class::High).await,
        stage
            .accept_due("you@c.example", Class::Low, seconds(2))
            .await,
    );
    pass(seconds(4)).await;
    assert_eq!(hop.started(), []);
    let urgent = stage.accept_to("you@d.example", Class::VeryHigh).await;
    pass(Duration::from_millis(10)).await;
    assert_eq!(hop.started(), [urgent]);
    hop.ease();
    pass(Duration::from_millis(10)).await;
    assert_eq!(hop.started(), [urgent, waits, later]);
    queue.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_hold_that_ends_by_itself_is_noticed_without_a_word() {
    let stage = Stage::new();
    let hop = Arc::new(Held::default());
    let queue = stage.start(Settings::default(), hop.clone());
    hop.hold(seconds(3));
    let waits = stage.accept_to("you@b.example", Class::High).await;
    pass(Duration::from_millis(2_900)).await;
    assert_eq!(hop.started(), []);
    pass(Duration::from_millis(200)).await;
    assert_eq!(hop.started(), [waits]);
    queue.stop().await;
}
