//! Room for contents: what one user leaves to others, and what is told of a lack of it.

use super::stage::Stage;
use crate::reception::metrics::RefusalLabels;

#[tokio::test]
async fn a_header_that_is_too_large_is_counted_as_one() {
    let stage = Stage::new().await;
    let mut peer = stage.logged_in().await;
    let long = format!("From: x@a.example\r\nX: {}\r\n\r\nx", "y".repeat(2_000));
    peer.message("x@a.example", &long, "552 5.3.4 ").await;
    let counted = |reason| {
        let labels = RefusalLabels {
            step: "content",
            reason,
        };
        stage.reception.metrics.refused.get_or_create(&labels).get()
    };
    assert_eq!((counted("header"), counted("room")), (1, 0));
}
