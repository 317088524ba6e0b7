//! Where work that waits for the disk is done: aside, so that no client waits for a disk that another one uses.
//!
//! That is on threads that may wait. A simulation has one thread and a disk that takes only the time of its
//! timers: there the same work is done by tasks, and the writer is one of them.

use std::io;

use tokio::task::JoinHandle;

use super::writer::Writer;

/// Who waits for the disk.
#[derive(Clone)]
pub(super) enum Aside {
    /// Threads that may.
    Threads,
    /// Tasks, each of which sleeps for as long as the disk takes this time. They never wait for one another.
    #[cfg(test)]
    Tasks(std::sync::Arc<DiskTime>),
}

/// How long a disk takes, drawn anew for each piece of work.
#[cfg(test)]
pub(super) type DiskTime = dyn Fn() -> std::time::Duration + Send + Sync;

impl Aside {
    /// Begins `work`, which comes to its end also when nobody waits for it.
    pub(super) fn begin<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> JoinHandle<R> {
        match self {
            Self::Threads => tokio::task::spawn_blocking(work),
            #[cfg(test)]
            Self::Tasks(takes) => {
                let takes = takes();
                tokio::spawn(async move {
                    tokio::time::sleep(takes).await;
                    work()
                })
            }
        }
    }

    /// Lets the writer work until the spool is closed.
    pub(super) fn run_writer(&self, writer: Writer) -> io::Result<()> {
        match self {
            Self::Threads => {
                std::thread::Builder::new()
                    .name("outpost-spool".to_owned())
                    .spawn(move || writer.run())?;
            }
            #[cfg(test)]
            Self::Tasks(takes) => {
                drop(tokio::spawn(
                    writer.run_as_task(std::sync::Arc::clone(takes)),
                ));
            }
        }
        Ok(())
    }

    /// Whether who does such work may wait there for the writer to do something.
    pub(super) fn may_wait_for_writer(&self) -> bool {
        matches!(self, Self::Threads)
    }
}

impl std::fmt::Debug for Aside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Threads => "Threads",
            #[cfg(test)]
            Self::Tasks(_) => "Tasks",
        })
    }
}
