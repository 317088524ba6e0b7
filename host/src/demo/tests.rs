//! The whole of it, small, and what it refuses to show.

#![allow(clippy::unwrap_used)]

use super::*;

fn options(capacity: u64, messages: usize, octets: u64) -> Options {
    Options {
        capacity: NonZeroU64::new(capacity).unwrap(),
        messages,
        octets,
    }
}

#[test]
fn what_is_over_too_soon_or_too_late_is_refused_with_what_to_change() {
    for (options, said) in [
        (options(1_000_000, 3, 1_300_000), "would take 3.9 s"),
        (options(100_000, 2, 50_000_000), "would take 1000 s"),
    ] {
        let error = check(&options).unwrap_err().to_string();
        assert!(
            error.contains(said) && error.contains("--capacity"),
            "{error}"
        );
    }
    assert!(check(&options(1_000_000, 6, 1_500_000)).is_ok());
}

/// Somebody who hears lines, and tells when the first has come.
struct Listener {
    told: Vec<u8>,
    begun: Option<tokio::sync::oneshot::Sender<()>>,
}

impl Write for Listener {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.told.extend_from_slice(octets);
        let is_under_way = self.told.windows(13).any(|text| text == b"is being sent");
        if is_under_way && let Some(begun) = self.begun.take() {
            begun.send(()).unwrap();
        }
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_ends_when_it_is_stopped_and_says_so() {
    let (begun, under_way) = tokio::sync::oneshot::channel();
    let mut out = Listener {
        told: Vec::new(),
        begun: Some(begun),
    };
    let stop = async { under_way.await.unwrap() };
    let ended = run(options(100_000, 2, 1_000_000), Show::Lines, &mut out, stop).await;
    assert!(matches!(ended, Err(DemoError::Stopped)), "{ended:?}");
    let told = String::from_utf8(out.told).unwrap();
    assert!(
        told.contains("newsletter 1 (normal): is being sent"),
        "{told}"
    );
    assert!(!told.contains('\u{1b}') && !told.contains("yes"), "{told}");
}
