//! A component that imports WASI, as the runtimes of some languages do, and says what it found there;
//! for the tests of the relay. Its settings say what else it does.
//!
//! Permits, with one reason a thing: how many variables of the environment, arguments and directories
//! there are, what came of a socket, how many octets of randomness it got, and the time of WASI's clock
//! in seconds. `behaviour = "wait"` waits for a minute first, `"hoard"` takes handles without end,
//! `"random"` wants a gibibyte of randomness.

#![cfg(target_arch = "wasm32")]
#![allow(
    unsafe_code,
    reason = "the export macro of wit-bindgen expands here; nothing below is unsafe"
)]

mod bindings {
    #![allow(missing_docs, clippy::all)]
    wit_bindgen::generate!({
        path: ["../../../wit", "wit"],
        world: "outpost:wants-wasi/wants-wasi",
        generate_all,
    });
}

use bindings::exports::outpost::policy::lifecycle::{self, Problem};
use bindings::exports::outpost::policy::priority_policy::{self, Placement};
use bindings::exports::outpost::policy::sender_authorization::{self, Decision, Verdict};
use bindings::outpost::policy::config;
use bindings::outpost::policy::message::Transaction;
use bindings::outpost::policy::types::Reason;
use bindings::wasi::cli::environment;
use bindings::wasi::clocks::{monotonic_clock, wall_clock};
use bindings::wasi::filesystem::preopens;
use bindings::wasi::random::random;
use bindings::wasi::sockets::network::{ErrorCode, IpAddressFamily};
use bindings::wasi::sockets::tcp_create_socket;

const MINUTE: u64 = 60_000_000_000;

struct WantsWasi;

impl sender_authorization::Guest for WantsWasi {
    fn authorize(_: &Transaction) -> Decision {
        match config::value("behaviour").as_deref() {
            Some("wait") => monotonic_clock::subscribe_duration(MINUTE).block(),
            Some("hoard") => {
                let mut hoard = Vec::new();
                loop {
                    hoard.push(monotonic_clock::subscribe_duration(MINUTE));
                }
            }
            Some("random") => drop(random::get_random_bytes(1 << 30)),
            _ => {}
        }
        let variables = environment::get_environment().len();
        let directory = environment::initial_cwd().is_some();
        let socket = match tcp_create_socket::create_tcp_socket(IpAddressFamily::Ipv4) {
            Ok(_) => "made",
            Err(ErrorCode::AccessDenied) => "denied",
            Err(_) => "failed",
        };
        let reasons = vec![
            reason("environment", variables.to_string()),
            reason("arguments", environment::get_arguments().len().to_string()),
            reason("working-directory", directory.to_string()),
            reason("directories", preopens::get_directories().len().to_string()),
            reason("socket", socket.into()),
            reason("random", random::get_random_bytes(16).len().to_string()),
            reason("time", wall_clock::now().seconds.to_string()),
        ];
        Decision {
            verdict: Verdict::Permit,
            reasons,
            notes: Vec::new(),
        }
    }
}

impl priority_policy::Guest for WantsWasi {
    fn place(_: &Transaction) -> Option<Placement> {
        None
    }
}

impl lifecycle::Guest for WantsWasi {
    fn check_config() -> Result<(), Vec<Problem>> {
        Ok(())
    }
}

fn reason(rule: &str, detail: String) -> Reason {
    Reason {
        rule: rule.into(),
        detail,
    }
}

bindings::export!(WantsWasi with_types_in bindings);
