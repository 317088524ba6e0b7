//! Documents that are sent to somebody who listens on loopback.
#![allow(clippy::unwrap_used)]

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

const NOW: Timestamp = Timestamp::from_unix_milliseconds(1_614_265_330_999);

/// Sends one document to somebody who answers it so. Returns what he read, and what came of it.
async fn sent(answer: &'static str) -> (String, Result<(), WebhookError>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let settings = Settings {
        url: Url::read(&format!("http://127.0.0.1:{port}/hook?x=1")).unwrap(),
        secret: Some(Secret::read("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap()),
    };
    let taken = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut read = Vec::new();
        while !read.ends_with(b"32232314}") {
            let mut octets = [0; 4_096];
            let count = stream.read(&mut octets).await.unwrap();
            assert_ne!(count, 0);
            read.extend_from_slice(&octets[..count]);
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(read).unwrap()
    });
    let document = r#"{"test": 2432232314}"#.to_owned();
    let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    let outcome = Webhook::new(settings).send(id, NOW, document).await;
    (taken.await.unwrap(), outcome)
}

#[tokio::test]
async fn a_document_is_sent_with_its_id_its_time_and_its_signature() {
    let (read, outcome) = sent("HTTP/1.1 204 No Content\r\n\r\n").await;
    outcome.unwrap();
    assert!(read.starts_with("POST /hook?x=1 HTTP/1.1\r\n"), "{read}");
    for field in [
        "content-type: application/json",
        "webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp: 1614265330",
        "webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    ] {
        assert!(
            read.contains(&format!("\r\n{field}\r\n")),
            "{field} in {read}"
        );
    }
}

#[tokio::test]
async fn whatever_is_no_success_was_not_taken() {
    let moved = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    let (_, outcome) = sent(moved).await;
    assert!(matches!(
        outcome,
        Err(WebhookError::Refused(_, StatusCode::FOUND))
    ));
    let (_, outcome) = sent("HTTP/1.1 500 Oh\r\ncontent-length: 9999\r\n\r\nbroken").await;
    assert!(matches!(outcome, Err(WebhookError::Refused(..))));
    let (_, outcome) = sent("220 mail.example ESMTP\r\n").await;
    assert!(matches!(outcome, Err(WebhookError::NoAnswer(..))));
}

#[tokio::test]
async fn a_host_that_is_not_there_and_one_that_is_silent_are_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let webhook = |url: String| {
        let (url, secret) = (Url::read(&url).unwrap(), None);
        Webhook::new(Settings { url, secret })
    };
    let silent = webhook(format!("http://{address}/"));
    let asked = tokio::spawn(async move { silent.send("x", NOW, String::new()).await });
    let _kept = listener.accept().await.unwrap();
    tokio::time::pause();
    assert!(matches!(asked.await.unwrap(), Err(WebhookError::Silent(_))));
    tokio::time::resume();
    drop(listener);
    let gone = webhook(format!("http://{address}/"));
    let outcome = gone.send("x", NOW, String::new()).await;
    assert!(matches!(outcome, Err(WebhookError::Unreachable(..))));
}
