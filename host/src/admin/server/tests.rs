//! The admin listener by its own rules: slow clients, silent ones, too many of them, and a stop.

#![allow(clippy::unwrap_used)]
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

struct Served {
    address: SocketAddr,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

async fn serve(limits: Limits, router: Router) -> Served {
    let settings = Settings {
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        limits,
        protection: Protection::None,
    };
    let listener = Listener::bind(&settings).await.unwrap();
    let address = listener.address();
    let stop = CancellationToken::new();
    let task = tokio::spawn(listener.serve(router, None, stop.clone()));
    Served {
        address,
        stop,
        task,
    }
}

async fn dialogue(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    // A reset counts as an end here: the server is free to drop a client that it refuses.
    drop(stream.read_to_end(&mut answer).await);
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn an_address_that_is_in_use_asks_whether_a_relay_runs() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = |address| Settings {
        address,
        limits: Limits::default(),
        protection: Protection::None,
    };
    let address = taken.local_addr().unwrap();
    let error = Listener::bind(&settings(address)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot listen on the admin address {address}: it is in use already; is a relay \
             running? If not, [admin] address names another one"
        )
    );
    let elsewhere = "203.0.113.77:8025".parse().unwrap();
    let error = Listener::bind(&settings(elsewhere)).await.unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("this machine has no such address"),
        "{error}"
    );
}

#[tokio::test]
async fn a_client_that_never_ends_its_headers_is_dropped() {
    let limits = Limits {
        headers_within: Duration::from_millis(30),
        ..Limits::default()
    };
    let served = serve(limits, Router::new()).await;
    assert_eq!(
        dialogue(served.address, b"GET / HTTP/1.1\r\nHost: x\r\n").await,
        ""
    );
    assert_eq!(dialogue(served.address, b"").await, "");
}

#[tokio::test]
async fn a_header_over_the_limit_is_refused() {
    let served = serve(Limits::default(), Router::new()).await;
    let request = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n",
        "a".repeat(20_000)
    );
    let answer = dialogue(served.address, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer:?}");
}

#[tokio::test]
async fn a_request_names_one_host_unless_it_is_of_http_1_0() {
    let served = serve(Limits::default(), refusing()).await;
    for (head, status) in [
        ("HTTP/1.1\r\nHost: x", 401),
        ("HTTP/1.1\r\nHost:", 401),
        ("HTTP/1.0", 401),
        ("HTTP/1.1", 400),
        ("HTTP/1.1\r\nHost: x\r\nHost: x", 400),
        ("HTTP/1.0\r\nHost: x\r\nHost: y", 400),
    ] {
        let request = format!("GET /shut {head}\r\nConnection: close\r\n\r\n");
        let answer = dialogue(served.address, request.as_bytes()).await;
        let expected = format!(" {status} ");
        assert_eq!(
            answer.get(8..13),
            Some(expected.as_str()),
            "{head}: {answer}"
        );
    }
}

#[tokio::test]
async fn a_body_that_never_ends_is_answered_in_time() {
    let limits = Limits {
        request_within: Duration::from_millis(30),
        ..Limits::default()
    };
    let takes = axum::routing::post(|body: axum::body::Bytes| async move { body });
    let served = serve(limits, Router::new().route("/", takes)).await;
    let request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf";
    let answer = dialogue(served.address, request).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer:?}");
    for told in [
        "urn:outpost:problem:timed-out",
        "may come to its end all the same",
    ] {
        assert!(answer.contains(told), "{answer:?}");
    }
}

#[tokio::test]
async fn a_message_has_a_time_of_its_own_to_come_in_and_the_connection_waits_for_it() {
    let echo = axum::routing::post(|body: axum::body::Bytes| async move { body });
    let router = Router::new().route(submission::PATH, echo);
    let limits = |submission_within| Limits {
        request_within: Duration::from_millis(30),
        connection_within: Duration::from_millis(60),
        submission_within,
        ..Limits::default()
    };
    let path = submission::PATH;
    let half = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nhalf");
    let served = serve(limits(Duration::from_secs(60)), router.clone()).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(half.as_bytes()).await.unwrap();
    // One that does nothing has had its time, and a request at the end of it too.
    assert_eq!(dialogue(served.address, b"").await, "");
    assert_eq!(dialogue(served.address, b"").await, "");
    stream.write_all(b"half").await.unwrap();
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer).await);
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
    assert!(answer.ends_with("\r\n\r\nhalfhalf"), "{answer:?}");
    let served = serve(limits(Duration::from_millis(30)), router).await;
    let answer = dialogue(served.address, half.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer:?}");
}

/// Takes small bodies at `/`, and at `/shut` none at all.
fn refusing() -> Router {
    let takes = axum::routing::post(|body: axum::body::Bytes| async move { body });
    let shut = axum::routing::any(|| async { axum::http::StatusCode::UNAUTHORIZED });
    Router::new().route("/", takes).route("/shut", shut)
}

#[tokio::test]
async fn a_refusal_is_read_by_a_client_that_sends_everything_first() {
    let served = serve(Limits::default(), refusing()).await;
    let body = "x".repeat(3_000_000);
    for (path, status) in [("/", "413"), ("/shut", "401")].repeat(5) {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        // The connection is good for another request.
        let another = "GET /shut HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let answers = dialogue(served.address, (request + another).as_bytes()).await;
        let expected = format!("HTTP/1.1 {status} ");
        assert!(answers.starts_with(&expected), "{path}: {answers:?}");
        assert_eq!(
            answers.matches("HTTP/1.1 401 ").count(),
            1 + usize::from(status == "401")
        );
    }
}

#[tokio::test]
async fn an_answer_that_leaves_a_body_unread_says_that_the_connection_ends() {
    let served = serve(Limits::default(), refusing()).await;
    let endless = format!(
        "Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{}",
        5 << 20,
        "x".repeat(4 << 20)
    );
    for rest in [
        "Content-Length: 100000000\r\n\r\n",
        // A client that waits for consent gets the answer in its place.
        "Content-Length: 10\r\nExpect: 100-continue\r\n\r\n",
        &endless,
    ] {
        let request = format!("POST /shut HTTP/1.1\r\nHost: x\r\n{rest}");
        let answer = dialogue(served.address, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer:?}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer:?}");
    }
}

#[tokio::test]
async fn a_connection_has_an_end_even_when_it_is_never_idle() {
    let limits = Limits {
        connection_within: Duration::from_millis(30),
        ..Limits::default()
    };
    let served = serve(limits, Router::new().route("/", get(|| async { "here" }))).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let mut answered = 0;
    loop {
        let mut buffer = [0; 512];
        if stream
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .is_err()
        {
            break;
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(_) => answered += 1,
        }
    }
    assert!(answered > 0);
}

#[tokio::test]
async fn more_connections_than_allowed_wait_for_their_turn() {
    let limits = Limits {
        connections_max: 1,
        ..Limits::default()
    };
    let served = serve(limits, Router::new().route("/", get(|| async { "here" }))).await;
    let mut first = TcpStream::connect(served.address).await.unwrap();
    first
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    assert!(first.read(&mut [0; 512]).await.unwrap() > 0);
    let second = tokio::spawn(dialogue(
        served.address,
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ));
    tokio::task::yield_now().await;
    assert!(!second.is_finished());
    drop(first);
    assert!(second.await.unwrap().ends_with("here"));
}

#[tokio::test]
async fn connections_that_do_nothing_keep_nobody_waiting_for_long() {
    let limits = Limits {
        connections_max: 8,
        headers_within: Duration::from_secs(2),
        ..Limits::default()
    };
    let served = serve(limits, Router::new().route("/", get(|| async { "here" }))).await;
    let mut idle = Vec::new();
    for _ in 0..8 {
        idle.push(TcpStream::connect(served.address).await.unwrap());
    }
    let request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert!(dialogue(served.address, request).await.ends_with("here"));
    // The others have the time that they always have.
    let nothing = idle[0].try_read(&mut [0; 1]).unwrap_err();
    assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn connections_that_read_no_answers_keep_nobody_waiting_for_long() {
    let limits = Limits {
        connections_max: 4,
        read_within: Duration::from_secs(2),
        ..Limits::default()
    };
    let long = || async { "x".repeat(1 << 20) };
    let router = Router::new()
        .route("/long", get(long))
        .route("/", get(|| async { "here" }));
    let served = serve(limits, router).await;
    let mut unread = Vec::new();
    for _ in 0..4 {
        let mut client = TcpStream::connect(served.address).await.unwrap();
        let requests = b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100);
        client.write_all(&requests).await.unwrap();
        unread.push(client);
    }
    let request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = tokio::time::timeout(Duration::from_secs(60), dialogue(served.address, request));
    assert!(answer.await.unwrap().ends_with("here"));
}

#[tokio::test]
async fn answers_that_are_not_read_are_not_piled_up() {
    let limits = Limits {
        connections_max: 1,
        read_within: Duration::from_secs(2),
        ..Limits::default()
    };
    let made = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&made);
    let long = || async move {
        counted.fetch_add(1, Ordering::Relaxed);
        "x".repeat(64 << 10)
    };
    let router = Router::new()
        .route("/long", get(long))
        .route("/", get(|| async { "here" }));
    let served = serve(limits, router).await;
    let mut unread = TcpStream::connect(served.address).await.unwrap();
    SockRef::from(&unread)
        .set_recv_buffer_size(64 << 10)
        .unwrap();
    let requests = b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100);
    unread.write_all(&requests).await.unwrap();
    // Its place is free when it has been dropped.
    let request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert!(dialogue(served.address, request).await.ends_with("here"));
    let made = made.load(Ordering::Relaxed);
    assert!((1..=12).contains(&made), "{made}");
}

#[tokio::test]
async fn a_stop_lets_the_request_in_progress_finish() {
    let (began, begun) = tokio::sync::oneshot::channel::<()>();
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let once = Arc::new(tokio::sync::Mutex::new(Some((began, gone))));
    let slow = move || {
        let once = Arc::clone(&once);
        async move {
            let (began, gone) = once.lock().await.take().unwrap();
            began.send(()).unwrap();
            gone.await.unwrap();
            "finished"
        }
    };
    let served = serve(Limits::default(), Router::new().route("/", get(slow))).await;
    let client = tokio::spawn(dialogue(
        served.address,
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    ));
    begun.await.unwrap();
    served.stop.cancel();
    tokio::task::yield_now().await;
    assert!(!served.task.is_finished());
    go.send(()).unwrap();
    assert!(client.await.unwrap().ends_with("finished"));
    served.task.await.unwrap();
    assert!(TcpStream::connect(served.address).await.is_err());
}
