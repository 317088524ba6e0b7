//! The target `answer` under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| outpost_fuzz::answer(octets));
