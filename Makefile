# The commands of this repository. `make test` needs nothing installed beforehand but Rust and a C
# compiler: it installs the rest (Debian), or names what is missing (elsewhere).

CARGO ?= cargo
NEXTEST := $(shell $(CARGO) nextest --version >/dev/null 2>&1 && echo yes)
ifeq ($(NEXTEST),yes)
RUN_TESTS = $(CARGO) nextest run
else
RUN_TESTS = $(CARGO) test
endif

# What is fuzzed, and for how many seconds each.
FUZZ_TARGETS = address answer authors bdat client command header line reply server stored
FUZZ_SECONDS ?= 60
# On the stable toolchain, which keeps the flags of coverage for itself otherwise. No sanitizer of memory:
# nothing that is fuzzed has unsafe code.
CARGO_FUZZ = RUSTC_BOOTSTRAP=1 $(CARGO) fuzz
FUZZ_FLAGS = --fuzz-dir fuzz/libfuzzer --dev --sanitizer none --target-dir target/fuzz

.PHONY: help run test test-tools components check-components lint docs bench fuzz $(FUZZ_TARGETS:%=fuzz-%) crash deb stored-form audit authors changed simulate mixed screenshots

help:
	@echo "make run               start the relay (as cargo run --release)"
	@echo "make test              install what the tests need and run every test"
	@echo "make lint              format and clippy, warnings denied"
	@echo "make docs              the documentation of the code, warnings denied"
	@echo "make components        rebuild the components that ship, and their manifest"
	@echo "make check-components  rebuild them aside and compare"
	@echo "make fuzz              fuzz every target for FUZZ_SECONDS (60); make fuzz-NAME fuzzes one"
	@echo "make changed N=100000  change inputs of every corpus by chance, so many for each target"
	@echo "make simulate N=1000000  send so many messages through the whole relay, simulated, and look for what is lost"
	@echo "make authors N=1000000  compose so many header sections, and compare who their authors are with Python"
	@echo "make mixed MINUTES=10  mixed mail to a real Postfix under stress, and whether all of it arrives (root, postfix, openssl)"
	@echo "make bench             the benchmarks of the hot paths"
	@echo "make screenshots       pictures of the console with mail of every kind in it, in docs/images"
	@echo "make deb               a Debian package, in target/debian; BINARY=FILE packages a program that is built"
	@echo "make stored-form       keep a data folder of this release for the tests of later ones"
	@echo "make audit             licences, sources and known faults of what is depended on (cargo install cargo-deny)"
	@echo "make crash N=1000      kill the relay so many times under load and look for what is lost"

run:
	$(CARGO) run --release

test-tools:
	tests/install.sh

test: test-tools
	# Programs and tests in one go, so that both have the same features and nothing is built twice.
	$(CARGO) build --workspace --lib --bins --tests
	$(RUN_TESTS) --workspace
	$(RUN_TESTS) --manifest-path plugins/Cargo.toml --workspace --target-dir target/plugins
	$(MAKE) check-components

components:
	$(CARGO) run --quiet --manifest-path plugins/Cargo.toml -p outpost-build --target-dir target/plugins

check-components:
	$(CARGO) run --quiet --manifest-path plugins/Cargo.toml -p outpost-build --target-dir target/plugins -- --check

lint:
	$(CARGO) fmt --all --check
	$(CARGO) fmt --all --check --manifest-path plugins/Cargo.toml
	$(CARGO) fmt --check --manifest-path fuzz/libfuzzer/Cargo.toml
	$(CARGO) clippy --workspace --all-targets -- -D warnings

docs:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps

bench:
	$(CARGO) bench --package outpost-benches

N ?= 1000
crash:
	$(CARGO) build --workspace --lib --bins --tests
	OUTPOST_KILLS=$(N) $(CARGO) test --package outpost-tests --test outpost -- --nocapture whenever_the_relay_is_killed

# What is found new stays in target/fuzz; what must be kept is copied to fuzz/corpus by hand (CONTRIBUTING.md).
fuzz: $(FUZZ_TARGETS:%=fuzz-%)

$(FUZZ_TARGETS:%=fuzz-%): fuzz-%:
	mkdir -p target/fuzz/corpus/$* target/fuzz/found/$*
	$(CARGO_FUZZ) run $* $(FUZZ_FLAGS) target/fuzz/corpus/$* fuzz/corpus/$* -- \
		-artifact_prefix=target/fuzz/found/$*/ -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048

# Another SEED composes others.
SEED ?= 1

# Inputs of the corpora changed by chance: fuzzing with what the tests have built anyway.
changed: N = 100000
changed:
	OUTPOST_INPUTS=$(N) OUTPOST_SEED=$(SEED) $(CARGO) test --workspace --test changed -- --nocapture

# The whole relay in no time, a thousand messages for each seed from SEED on. A seed that fails is printed. The relay
# itself is optimised here, which takes a fifth of the time; everything else is what the tests have built anyway.
OPTIMISED = --config profile.dev.package.outpost.opt-level=1 --config profile.dev.package.outpost-smtp.opt-level=1
simulate: N = 1000000
simulate:
	OUTPOST_SEEDS=$(SEED)..$$(($(SEED) + $(N) / 1000)) OUTPOST_MESSAGES=1000 \
		$(RUN_TESTS) $(OPTIMISED) --no-fail-fast --package outpost --lib relay::simulation::every

# It takes some minutes longer than MINUTES, since what is queued then is delivered.
MINUTES ?= 10
mixed:
	$(CARGO) build --release --package outpost
	benches/mixed.py $(MINUTES)

screenshots:
	$(CARGO) build --workspace --lib --bins --tests
	$(CARGO) test --package outpost-tests --test outpost -- --ignored pictures_of_the_console

authors: N = 1000000
authors:
	OUTPOST_HEADERS=$(N) OUTPOST_SEED=$(SEED) $(CARGO) test --package outpost-fuzz --test readers -- --nocapture

# A program that is built already; without it one is built.
BINARY ?=
deb:
ifeq ($(BINARY),)
	$(CARGO) build --locked --release --package outpost
endif
	mkdir -p target/debian
	packaging/deb.sh $(or $(BINARY),target/release/outpost) target/debian

# Once for each release, before it: tests/stored has a data folder of every release, which later ones must open.
stored-form:
	$(CARGO) build --workspace --lib --bins --tests
	$(CARGO) test --package outpost-tests --test outpost -- --ignored the_data_folder_of_this_release

# Every workspace by the same rules. Known faults are those of the RustSec database, which is fetched.
audit:
	$(CARGO) deny --config deny.toml check
	$(CARGO) deny --config deny.toml --manifest-path plugins/Cargo.toml check
	$(CARGO) deny --config deny.toml --manifest-path fuzz/libfuzzer/Cargo.toml check
