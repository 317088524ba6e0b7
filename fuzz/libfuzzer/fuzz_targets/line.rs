//! The target `line` under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| outpost_fuzz::line(octets));
