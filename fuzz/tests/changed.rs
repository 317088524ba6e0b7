//! Fuzzing in every run of the tests: inputs of the corpora changed by chance, for every target.
//!
//! `OUTPOST_INPUTS` is how many are made for each target, `OUTPOST_SEED` where chance begins; CI takes the seed
//! from the commit, so that each change looks at others. This has no eye for what an input reaches, as libFuzzer
//! has (`make fuzz`), but needs nothing built besides. An input that fails is kept in target/fuzz/found.

#![allow(clippy::unwrap_used)]

#[path = "support/chance.rs"]
mod chance;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

use chance::{Chance, setting};
use outpost_fuzz::TARGETS;

/// Made for each target in every run of the tests, some seconds in all.
const INPUTS: u64 = 3_000;

/// The longest input, in octets: longer ones cost more than they find.
const OCTETS_MAX: usize = 4096;

/// What means something to one parser or another.
const TOKENS: &[&[u8]] = &[
    b"\r\n",
    b"\r",
    b"\n",
    b"\0",
    b"\r\n.\r\n",
    b"\n.\n",
    b"\r\n.",
    b".",
    b"..",
    b" ",
    b"\t",
    b"\r\n ",
    b":",
    b";",
    b",",
    b"<",
    b">",
    b"<>",
    b"@",
    b"\"",
    b"\\",
    b"(",
    b")",
    b"[",
    b"]",
    b"=",
    b"+",
    b"-",
    b"=?utf-8?b?",
    b"?=",
    b"=?utf-8?q?",
    b"\xc3\xbc",
    b"\xff",
    b"\xe2\x80\xae",
    b"\xed\xa0\x80",
    b"EHLO a\r\n",
    b"MAIL FROM:<",
    b"RCPT TO:<",
    b"DATA\r\n",
    b"BDAT 0 LAST\r\n",
    b"BDAT 18446744073709551616\r\n",
    b"RSET\r\n",
    b"QUIT\r\n",
    b"STARTTLS\r\n",
    b"AUTH PLAIN ",
    b" SIZE=",
    b" BODY=8BITMIME",
    b" SMTPUTF8",
    b" RET=FULL",
    b" NOTIFY=NEVER",
    b" ORCPT=rfc822;",
    b"250-",
    b"250 ",
    b"354 \r\n",
    b"421 4.3.2 ",
    b"550 5.1.1 ",
    b"250 PIPELINING\r\n",
    b"250-SIZE 1\r\n",
    b"From: ",
    b"Sender: ",
    b"MT-Priority: ",
    b"xn--",
    b"IPv6:",
    b"127.0.0.1",
    b"9999999999",
    b"-1",
    b"\x1c",
];

/// The inputs of a corpus, in the order of their names.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(name);
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// One change to an input.
fn change(chance: &mut Chance, input: &mut Vec<u8>, others: &[Vec<u8>]) {
    let at = chance.below(input.len() + 1);
    let to = at + chance.below((input.len() - at).min(32) + 1);
    match chance.below(8) {
        0 => drop(input.drain(at..to)),
        1 => {
            let again = input[at..to].to_vec();
            input.splice(at..at, again);
        }
        2 => {
            if let Some(octet) = input.get_mut(at) {
                *octet ^= 1 << chance.below(8);
            }
        }
        3 => {
            if let Some(octet) = input.get_mut(at) {
                *octet = u8::try_from(chance.below(256)).unwrap();
            }
        }
        4 => {
            // The rest of another input.
            let other = &others[chance.below(others.len())];
            let from = chance.below(other.len() + 1);
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
        5 => {
            input.splice(at..to, chance.pick(TOKENS).iter().copied());
        }
        _ => {
            input.splice(at..at, chance.pick(TOKENS).iter().copied());
        }
    }
    input.truncate(OCTETS_MAX);
}

/// Runs a target; an input that it does not stand is kept, and told.
fn run(name: &str, target: fn(&[u8]), input: &[u8]) {
    let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(input))) else {
        return;
    };
    let found = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../target/fuzz/found")
        .join(name);
    fs::create_dir_all(&found).unwrap();
    let file = found.join("changed");
    fs::write(&file, input).unwrap();
    println!(
        "{name}: kept in {}: {}",
        file.display(),
        input.escape_ascii()
    );
    resume_unwind(panic);
}

#[test]
fn every_target_stands_changed_inputs_of_its_corpus() {
    let (count, seed) = (
        setting("OUTPOST_INPUTS", INPUTS),
        setting("OUTPOST_SEED", 1),
    );
    for (name, target) in TARGETS {
        let corpus = corpus(name);
        let mut chance = Chance(seed);
        for _ in 0..count {
            let mut input = if chance.one_in(50) {
                Vec::new()
            } else {
                corpus[chance.below(corpus.len())].clone()
            };
            for _ in 0..=chance.below(6) {
                change(&mut chance, &mut input, &corpus);
            }
            run(name, target, &input);
        }
    }
    println!(
        "{count} inputs for each of {} targets, seed {seed}",
        TARGETS.len()
    );
}
