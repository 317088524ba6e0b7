//! What the parts of auth come to together, on a clock that the test turns and with hashes that cost nothing.

#![allow(clippy::unwrap_used)]
use std::sync::mpsc::channel;

use super::*;
use Verification::{Refused, Verified};

const HOME: &str = "192.0.2.1";
const WORK: &str = "198.51.100.7";

/// An authenticator with a clock that the test turns, and one user, bob.
struct Scene {
    auth: Authenticator,
    bob: PasswordHash,
    now: Timestamp,
}

impl Scene {
    async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    async fn with(settings: Settings) -> Self {
        let settings = Settings {
            parameters: Parameters::CHEAP,
            ..settings
        };
        let auth = Authenticator::new(&settings).unwrap();
        let bob = auth.hash("right").await.unwrap();
        let now = Timestamp::from_unix_milliseconds(1_700_000_000_000);
        Self { auth, bob, now }
    }

    async fn verify(&self, name: &str, password: &str, client: &str) -> Verification {
        let stored = name.eq_ignore_ascii_case("bob").then_some(&self.bob);
        let client = client.parse().unwrap();
        self.auth
            .verify(name, stored, password.as_bytes(), client, self.now)
            .await
    }

    /// That many different wrong guesses at bob.
    async fn guess(&self, count: u32, client: &str) {
        for n in 0..count {
            let password = format!("wrong {n} from {client}");
            assert_eq!(self.verify("bob", &password, client).await, Refused, "{n}");
        }
    }

    fn pass(&mut self, seconds: u64) {
        self.now = self.now.plus(Duration::from_secs(seconds));
    }

    fn computed(&self) -> u64 {
        self.auth.figures().computed
    }

    /// Keeps the hashing thread busy until what is returned goes.
    fn block(&self) -> std::sync::mpsc::Sender<()> {
        let (blocker, blocked) = channel::<()>();
        let (started, has_started) = channel();
        let job: hashing::Job = Box::new(move |_| {
            started.send(()).unwrap();
            let _ = blocked.recv();
        });
        self.auth.hasher.submit_hash(job).unwrap();
        has_started.recv().unwrap();
        blocker
    }
}

fn is_throttled(verification: Verification) -> bool {
    matches!(verification, Verification::Throttled { .. })
}

#[tokio::test(start_paused = true)]
async fn the_right_password_is_verified_and_nothing_else_is() {
    let scene = Scene::new().await;
    for (name, password, verdict) in [
        ("bob", "right", Verified),
        ("BOB", "right", Verified),
        ("bob", "Right", Refused),
        ("bob", "", Refused),
        ("bob", "right\0", Refused),
        ("alice", "right", Refused),
        ("", "", Refused),
        ("bob", &"x".repeat(100_000), Refused),
    ] {
        assert_eq!(
            scene.verify(name, password, HOME).await,
            verdict,
            "{name} {password:.9}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_not_there_costs_as_much_as_who_is() {
    let scene = Scene::new().await;
    let start = scene.computed();
    for (count, name) in [(1, "bob"), (2, "alice"), (3, "inactive")] {
        scene.verify(name, "wrong", HOME).await;
        assert_eq!(scene.computed() - start, count, "{name}");
    }
    let parameters = |hash: &PasswordHash| {
        let fields: Vec<_> = hash
            .as_str()
            .split('$')
            .take(4)
            .map(str::to_owned)
            .collect();
        fields
    };
    assert_eq!(parameters(&scene.auth.dummy), parameters(&scene.bob));
}

#[tokio::test(start_paused = true)]
async fn a_success_is_remembered_for_a_while_from_anywhere() {
    let mut scene = Scene::new().await;
    for client in [HOME, HOME, WORK, "2001:db8::1"] {
        assert_eq!(scene.verify("Bob", "right", client).await, Verified);
        assert_eq!(scene.computed(), 1);
    }
    // From the last use on.
    for _ in 0..3 {
        scene.pass(599);
        assert_eq!(scene.verify("bob", "right", HOME).await, Verified);
        assert_eq!(scene.computed(), 1);
    }
    scene.pass(600);
    assert_eq!(scene.verify("bob", "right", HOME).await, Verified);
    assert_eq!(scene.computed(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_remembered_dies_with_the_password() {
    let mut scene = Scene::new().await;
    assert_eq!(scene.verify("bob", "right", HOME).await, Verified);
    for password in ["second", "third"] {
        assert_eq!(scene.verify("bob", password, HOME).await, Refused);
        scene.bob = scene.auth.hash(password).await.unwrap();
        assert_eq!(scene.verify("bob", "right", HOME).await, Refused);
        assert_eq!(scene.verify("bob", password, HOME).await, Verified);
    }
    // Disabled, then enabled again.
    let client = HOME.parse().unwrap();
    let disabled = scene
        .auth
        .verify("bob", None, b"third", client, scene.now)
        .await;
    assert_eq!(disabled, Refused);
    assert_eq!(scene.verify("bob", "third", HOME).await, Verified);
}

#[tokio::test(start_paused = true)]
async fn wrong_guesses_are_answered_slower_and_slower_then_refused() {
    let scene = Scene::new().await;
    let mut delays = Vec::new();
    for n in 0..10 {
        let start = tokio::time::Instant::now();
        assert_eq!(
            scene.verify("bob", &format!("wrong {n}"), HOME).await,
            Refused
        );
        delays.push(start.elapsed().as_millis());
    }
    assert_eq!(
        delays,
        [
            0, 0, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000
        ]
    );
    let retry_after = Duration::from_secs(60);
    let throttled = Verification::Throttled { retry_after };
    assert_eq!(scene.verify("bob", "wrong", HOME).await, throttled);
    assert_eq!(scene.verify("BOB", "right", HOME).await, throttled);
    assert_eq!(scene.computed(), 10);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_locked_out_elsewhere_and_nobody_else_here() {
    let mut scene = Scene::new().await;
    scene.guess(10, HOME).await;
    assert!(is_throttled(scene.verify("bob", "right", HOME).await));
    let start = tokio::time::Instant::now();
    assert_eq!(scene.verify("bob", "right", WORK).await, Verified);
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(scene.verify("alice", "wrong", HOME).await, Refused);
    scene.pass(60);
    assert_eq!(scene.verify("bob", "right", HOME).await, Verified);
}

#[tokio::test(start_paused = true)]
async fn a_remembered_success_goes_on_from_where_it_was_seen() {
    let mut scene = Scene::new().await;
    assert_eq!(scene.verify("bob", "right", HOME).await, Verified);
    scene.guess(10, HOME).await;
    scene.guess(10, WORK).await;
    assert_eq!(scene.verify("bob", "right", HOME).await, Verified);
    assert!(is_throttled(scene.verify("bob", "right", WORK).await));
    assert!(is_throttled(scene.verify("bob", "wrong", HOME).await));
    // However long somebody else there goes on guessing.
    for round in 0..5 {
        scene.pass(300);
        for n in 0..10 {
            let guess = format!("wrong {n} in round {round}");
            scene.verify("bob", &guess, HOME).await;
        }
        assert!(is_throttled(scene.verify("bob", "wrong", HOME).await));
        assert_eq!(scene.verify("bob", "right", HOME).await, Verified);
    }
}

#[tokio::test(start_paused = true)]
async fn logins_at_once_and_clocks_that_are_set_back_cost_no_remembered_success() {
    let mut scene = Scene::new().await;
    assert_eq!(scene.verify("bob", "right", HOME).await, Verified);
    let before = scene.now;
    scene.pass(5);
    assert_eq!(scene.verify("bob", "right", HOME).await, Verified);
    scene.now = before;
    scene.guess(10, HOME).await;
    assert_eq!(scene.verify("bob", "right", HOME).await, Verified);
    assert!(is_throttled(scene.verify("bob", "wrong", HOME).await));
    assert_eq!(scene.verify("bob", "right", HOME).await, Verified);
}

#[tokio::test(start_paused = true)]
async fn a_success_forgives_the_user_but_not_the_network() {
    let scene = Scene::new().await;
    for round in 0..5 {
        scene.verify("bob", "right", HOME).await;
        for n in 0..9 {
            let password = format!("wrong {round} {n}");
            scene.verify("bob", &password, HOME).await;
        }
        // Only argon2 forgives: what is remembered proves no more than it did before.
        scene.auth.ledger().forget_successes();
    }
    assert_eq!(scene.verify("bob", "right", HOME).await, Verified);
    scene.auth.ledger().forget_successes();
    for n in 0..5 {
        assert_eq!(
            scene.verify("alice", &format!("wrong {n}"), HOME).await,
            Refused
        );
    }
    assert!(is_throttled(scene.verify("carol", "wrong", HOME).await));
    assert!(is_throttled(scene.verify("bob", "right", HOME).await));
}

#[tokio::test(start_paused = true)]
async fn the_same_wrong_guess_counts_once_and_costs_once() {
    let mut scene = Scene::new().await;
    for _ in 0..200 {
        assert_eq!(scene.verify("bob", "old password", HOME).await, Refused);
    }
    assert_eq!(scene.computed(), 1);
    assert_eq!(scene.verify("bob", "right", HOME).await, Verified);
    scene.pass(600);
    assert_eq!(scene.verify("bob", "old password", HOME).await, Refused);
    assert_eq!(scene.computed(), 3);
}

#[tokio::test(start_paused = true)]
async fn all_of_a_64_is_one_guesser() {
    let scene = Scene::new().await;
    for n in 0..10 {
        let client = format!("2001:db8::{n}");
        assert_eq!(
            scene.verify("bob", &format!("wrong {n}"), &client).await,
            Refused
        );
    }
    assert!(is_throttled(
        scene.verify("bob", "right", "2001:db8::ffff").await
    ));
    assert_eq!(
        scene.verify("bob", "right", "2001:db8:0:1::").await,
        Verified
    );
}

#[tokio::test(start_paused = true)]
async fn equal_guesses_at_the_same_time_cost_one_hash() {
    let scene = Scene::new().await;
    let (scene, blocker) = (&scene, scene.block());
    let verify = |password| async move { scene.verify("bob", password, HOME).await };
    let release = async { drop(blocker) };
    let (one, two, three, four, ()) = tokio::join!(
        verify("right"),
        verify("right"),
        verify("wrong"),
        verify("wrong"),
        release
    );
    assert_eq!(
        [one, two, three, four],
        [Verified, Verified, Refused, Refused]
    );
    let figures = scene.auth.figures();
    assert_eq!((figures.computed, figures.joined), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn guesses_at_the_same_time_are_bounded_like_those_in_turn() {
    let scene = Arc::new(Scene::new().await);
    let blocker = scene.block();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..100 {
        let scene = Arc::clone(&scene);
        tasks.spawn(async move { scene.verify("bob", &format!("wrong {n}"), HOME).await });
    }
    // The other users of the network have the rest of its share.
    for n in 0..100 {
        let scene = Arc::clone(&scene);
        tasks.spawn(async move { scene.verify(&format!("u{n}"), "wrong", HOME).await });
    }
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    let figures = scene.auth.figures();
    assert_eq!((figures.waiting, figures.computed), (32, 0));
    drop(blocker);
    let verdicts = tasks.join_all().await;
    assert_eq!(
        verdicts
            .iter()
            .filter(|verdict| **verdict == Refused)
            .count(),
        32
    );
    let figures = scene.auth.figures();
    assert_eq!((figures.computed, figures.throttled), (32, 168));
    assert_eq!(figures.waiting, 0);
    assert!(!figures.computing.is_zero());
    assert!(scene.auth.ledger().is_idle());
}

#[tokio::test(start_paused = true)]
async fn when_the_queue_is_full_clients_come_back_and_nothing_is_held_against_them() {
    let waiting_max = 0;
    let scene = Scene::with(Settings {
        waiting_max,
        ..Settings::default()
    })
    .await;
    let retry_after = BUSY_RETRY_AFTER;
    for _ in 0..100 {
        let verdict = scene.verify("bob", "right", HOME).await;
        assert_eq!(verdict, Verification::Throttled { retry_after });
    }
    assert!(scene.auth.ledger().is_idle());
    assert_eq!(scene.auth.figures().throttled, 100);
    assert!(
        scene
            .auth
            .hash("operators still get their hashes")
            .await
            .is_ok()
    );
}

#[tokio::test(start_paused = true)]
async fn a_login_from_elsewhere_has_room_however_many_guesses_wait() {
    let scene = Arc::new(Scene::new().await);
    // Nine networks that have guessed before, and guess on until the queue is full.
    let mut guesses = tokio::task::JoinSet::new();
    let guess = |guesses: &mut tokio::task::JoinSet<_>, n: u32, round: u32| {
        let scene = Arc::clone(&scene);
        guesses.spawn(async move {
            let (name, client) = (format!("u{n} {round}"), format!("203.0.113.{n}"));
            scene.verify(&name, "wrong", &client).await
        });
    };
    for n in 1..=9 {
        guess(&mut guesses, n, 0);
    }
    while guesses.join_next().await.is_some() {}
    let blocker = scene.block();
    for round in 1..=30 {
        for n in 1..=9 {
            guess(&mut guesses, n, round);
        }
    }
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        scene.auth.figures().waiting,
        Settings::default().waiting_max
    );
    let login = tokio::spawn({
        let scene = Arc::clone(&scene);
        async move { scene.verify("bob", "right", HOME).await }
    });
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    drop(blocker);
    assert_eq!(login.await.unwrap(), Verified);
    let verdicts = guesses.join_all().await;
    let refused = verdicts.iter().filter(|verdict| **verdict == Refused);
    assert_eq!(refused.count(), Settings::default().waiting_max - 1);
    assert!(scene.auth.ledger().is_idle());
}

/// Fills the queue with guesses, one from each client, and more of them than have room.
async fn flood(scene: &Arc<Scene>, client: impl Fn(u32) -> String) -> tokio::task::JoinSet<()> {
    let mut guesses = tokio::task::JoinSet::new();
    for n in 0..200 {
        let (scene, client) = (Arc::clone(scene), client(n));
        guesses.spawn(async move {
            scene.verify(&format!("u{n}"), "wrong", &client).await;
        });
    }
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    let waiting_max = Settings::default().waiting_max;
    assert_eq!(scene.auth.figures().waiting, waiting_max);
    guesses
}

#[tokio::test(start_paused = true)]
async fn who_comes_from_where_somebody_has_logged_in_goes_before_fresh_addresses() {
    let scene = Arc::new(Scene::new().await);
    assert_eq!(scene.verify("bob", "right", HOME).await, Verified);
    scene.auth.ledger().forget_successes();
    let blocker = scene.block();
    let guesses = flood(&scene, |n| format!("203.0.113.{n}")).await;
    // Nothing tells a fresh one from the others.
    assert!(is_throttled(scene.verify("bob", "right", WORK).await));
    let login = scene.verify("bob", "right", HOME);
    let (login, ()) = tokio::join!(login, async { drop(blocker) });
    assert_eq!(login, Verified);
    guesses.join_all().await;
    assert!(scene.auth.ledger().is_idle());
}

#[tokio::test(start_paused = true)]
async fn the_networks_of_one_site_wait_behind_who_comes_from_elsewhere() {
    let scene = Arc::new(Scene::new().await);
    let blocker = scene.block();
    let guesses = flood(&scene, |n| format!("2001:db8:0:{n:x}::1")).await;
    for client in [HOME, "2001:db8:1::1"] {
        let scene = Arc::clone(&scene);
        assert!(
            tokio::time::timeout(Duration::ZERO, scene.verify("bob", client, client))
                .await
                .is_err(),
            "{client} is not told to come back"
        );
    }
    let login = scene.verify("bob", "right", WORK);
    let (login, ()) = tokio::join!(login, async { drop(blocker) });
    assert_eq!(login, Verified);
    guesses.join_all().await;
    assert!(scene.auth.ledger().is_idle());
}

#[tokio::test(start_paused = true)]
async fn a_guess_counts_although_its_client_left() {
    let scene = Scene::new().await;
    for n in 0..10 {
        let blocker = scene.block();
        let password = format!("wrong {n}");
        let left = tokio::time::timeout(
            Duration::from_millis(1),
            scene.verify("bob", &password, HOME),
        );
        assert!(left.await.is_err());
        drop(blocker);
        // Waits for its turn, behind the guess.
        scene.verify("alice", &password, WORK).await;
    }
    assert!(is_throttled(scene.verify("bob", "right", HOME).await));
}

#[tokio::test(start_paused = true)]
async fn a_hash_that_is_none_decides_nothing() {
    let mut scene = Scene::new().await;
    scene.bob = PasswordHash::new(String::from("$argon2id$damaged"));
    for _ in 0..100 {
        assert!(is_throttled(scene.verify("bob", "right", HOME).await));
    }
    assert_eq!(scene.verify("alice", "wrong", HOME).await, Refused);
}
