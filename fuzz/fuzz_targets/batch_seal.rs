#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| kintsugi_fuzzing::run("batch_seal", input));
