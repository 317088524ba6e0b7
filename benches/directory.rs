//! Fills a directory with users, for `console.py`; and tells how fast that goes.
//!
//! `cargo bench -p outpost-benches --bench directory -- DATA_DIR USERS`. The users are those whose mail the bench of the queue
//! queues, `user0` and so on, in twenty lists, each with a few rules. One password hash is for all of them.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use outpost::account::{Items, ListDraft, UserDraft};
use outpost::auth::{Authenticator, Settings};
use outpost::clock::Clock;
use outpost::directory::Directory;
use tokio::task::JoinSet;

type Failure = Box<dyn Error + Send + Sync>;

/// Who makes users at once.
const MAKERS: u64 = 100;
const LISTS: u64 = 20;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1).filter(|a| !a.starts_with("--"));
    let folder = arguments.next().ok_or("the data folder is missing")?;
    let users = arguments.next().ok_or("the number of users is missing")?;
    let users: u64 = users.parse()?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(fill(Path::new(&folder), users))
}

async fn fill(folder: &Path, users: u64) -> Result<(), Failure> {
    let now = Clock::system().now();
    let directory = Directory::open(&folder.join("directory.redb"), now)?;
    let hash = Authenticator::new(&Settings::default())?
        .hash("a password of the bench")
        .await?;
    for list in 0..LISTS {
        let draft = ListDraft {
            name: format!("list{list}"),
            notify: Items::from("ops@example.com"),
        };
        let new = draft.check().map_err(|problems| format!("{problems:?}"))?;
        directory.create_list(new, now).await?;
    }
    let began = Instant::now();
    let next = Arc::new(AtomicU64::new(0));
    let mut makers = JoinSet::new();
    for _ in 0..MAKERS {
        let (directory, hash, next) = (directory.clone(), hash.clone(), Arc::clone(&next));
        makers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= users {
                    return Ok::<_, Failure>(());
                }
                let draft = UserDraft {
                    name: Some(format!("user{number}")),
                    list: Some(format!("list{}", number % LISTS)),
                    note: format!("desk {number}"),
                    authorized_domains: Items::from(
                        format!("d{}.example;*.sub{number}.example", number % 1_000).as_str(),
                    ),
                    authorized_senders: Items::from(
                        format!("user{number}@shared.example").as_str(),
                    ),
                    ..UserDraft::default()
                };
                let new = draft.check().map_err(|problems| format!("{problems:?}"))?;
                directory.create_user(new, hash.clone(), now).await?;
            }
        });
    }
    while let Some(made) = makers.join_next().await {
        made??;
    }
    let took = began.elapsed().as_secs_f64();
    println!(
        "{users} users in {took:.1} s ({:.0}/s)",
        users as f64 / took
    );
    directory.close().await?;
    Ok(())
}
