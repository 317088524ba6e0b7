//! WASI for guests whose language's runtime wants one: empty, and only when the operator asks for it.
//!
//! There are no variables of an environment, no arguments, no directories, no sockets and no names;
//! what is written to the standard output is lost. What a runtime cannot start without is there: the
//! relay's clock and random numbers. What a guest makes the relay keep for it is bounded, and so is
//! the time that it waits in a function of WASI (see `component`).

use std::time::Duration;

use wasmtime::component::{Linker, ResourceTable};
use wasmtime_wasi::{HostWallClock, WasiCtx, WasiCtxView, WasiView};

use super::context::Context;
use crate::clock::Clock;

/// The packages and interfaces of WASI 0.2 that there are.
const INTERFACES: [(&str, &[&str]); 6] = [
    (
        "cli",
        &[
            "environment",
            "exit",
            "stdin",
            "stdout",
            "stderr",
            "terminal-input",
            "terminal-output",
            "terminal-stdin",
            "terminal-stdout",
            "terminal-stderr",
        ],
    ),
    ("clocks", &["wall-clock", "monotonic-clock"]),
    ("filesystem", &["types", "preopens"]),
    ("io", &["error", "poll", "streams"]),
    ("random", &["random", "insecure", "insecure-seed"]),
    (
        "sockets",
        &[
            "instance-network",
            "ip-name-lookup",
            "network",
            "tcp",
            "tcp-create-socket",
            "udp",
            "udp-create-socket",
        ],
    ),
];
/// Handles that one instance may have: a runtime has some ten, each costs the relay a few hundred octets.
const HANDLES_MAX: usize = 1000;
/// Octets of random numbers in one call: more than any seed.
const RANDOM_OCTETS_MAX: u64 = 64 << 10;

/// What one instance has of WASI.
pub struct EmptyWasi {
    ctx: WasiCtx,
    table: ResourceTable,
}

/// The relay's clock, as WASI shows it.
struct WallClock(Clock);

impl EmptyWasi {
    /// One that shows the time of this clock.
    pub fn new(clock: &Clock) -> Self {
        // A new builder gives neither environment nor directories, and its output goes nowhere.
        let ctx = WasiCtx::builder()
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .max_random_size(RANDOM_OCTETS_MAX)
            .wall_clock(WallClock(clock.clone()))
            .build();
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES_MAX);
        Self { ctx, table }
    }
}

impl std::fmt::Debug for EmptyWasi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EmptyWasi")
    }
}

impl WasiView for Context {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let wasi = self.wasi.as_mut();
        let wasi = wasi.expect("only components that asked for WASI are linked with it");
        WasiCtxView {
            ctx: &mut wasi.ctx,
            table: &mut wasi.table,
        }
    }
}

impl HostWallClock for WallClock {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.0.now().unix_milliseconds())
    }
}

/// A linker that has WASI beside what another one has.
///
/// # Errors
/// Two interfaces clash, which the tests would have seen.
pub fn linker(contract: &Linker<Context>) -> wasmtime::Result<Linker<Context>> {
    let mut linker = contract.clone();
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    Ok(linker)
}

/// Whether an import is of WASI, and one that there is.
pub fn has(import: &str) -> bool {
    let parse = || {
        let (name, version) = import.strip_prefix("wasi:")?.split_once('@')?;
        let (package, interface) = name.split_once('/')?;
        let interfaces = INTERFACES.iter().find(|(name, _)| *name == package)?.1;
        Some(interfaces.contains(&interface) && version.starts_with("0.2."))
    };
    parse().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_of_wasi_is_known_by_name() {
        for import in [
            "wasi:cli/environment@0.2.0",
            "wasi:io/poll@0.2.12",
            "wasi:sockets/tcp@0.2.6",
        ] {
            assert!(has(import), "{import}");
        }
        for import in [
            "wasi:http/outgoing-handler@0.2.0",
            "wasi:cli/environment@0.3.0",
            "wasi:cli/environment",
            "wasi:cli/run@0.2.0",
            "wasi:keyvalue/store@0.2.0-draft",
            "outpost:policy/types@0.1.0",
            "env",
            "",
        ] {
            assert!(!has(import), "{import}");
        }
    }
}
