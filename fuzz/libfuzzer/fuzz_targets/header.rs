//! The target `header` under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| outpost_fuzz::header(octets));
