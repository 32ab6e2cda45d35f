# demo   runs everything in a temporary folder against the built-in provider stand-in
# test   sets itself up, then runs everything that a change must pass
# simulate  runs the decisions of sending in SIMULATIONS (200000) made-up worlds
# bench  prints figures
# torture  kills, halts and starves the release build for TORTURE_SECONDS (600), with ever new plans;
#        DROPCAST_SEED makes the first plan that of a run before
# fuzz   makes inputs up for every parser, FUZZ_SECONDS (60) for each; fuzz/README.md says more
# fuzz-check  compiles the fuzz targets
# setup  installs what the tests need, or says exactly what to install
# fmt    formats the sources

export PATH := $(HOME)/.cargo/bin:$(PATH)

.PHONY: demo test simulate bench torture fuzz fuzz-check setup fmt

demo:
	cargo run --release --locked -- demo

# The tests die at points that no other build has; what is shipped is looked at without them.
TESTED := --locked --features fail-points

test: setup
	cargo fmt --check
	cargo clippy --locked -- -D warnings
	cargo clippy --all-targets $(TESTED) -- -D warnings
	@if cargo nextest --version >/dev/null 2>&1; then \
		echo "cargo nextest run $(TESTED)"; cargo nextest run $(TESTED); \
	else \
		echo "cargo test $(TESTED) --lib --bins --tests"; cargo test $(TESTED) --lib --bins --tests; \
	fi
	cargo test --doc $(TESTED)

SIMULATIONS ?= 200000

# Optimised, with every check that the tests have.
simulate:
	DROPCAST_SIMULATIONS=$(SIMULATIONS) CARGO_PROFILE_TEST_OPT_LEVEL=2 \
		cargo test --locked --lib --target-dir target/simulate sending::simulation

bench:
	@benches/peers/setup
	cargo bench --locked --bench figures
	cargo bench --locked --bench door
	cargo bench --locked --bench sending

TORTURE_SECONDS ?= 600

# The build that is shipped, but with the points at which it can be made to die; it lies beside that.
torture: setup
	cargo build --profile torture $(TESTED)
	TORTURE_SECONDS=$(TORTURE_SECONDS) DROPCAST_BIN=$(CURDIR)/target/torture/dropcast \
		cargo test $(TESTED) --test main torture:: -- --nocapture --test-threads 1

FUZZ_SECONDS ?= 60
FUZZ := cargo +nightly fuzz

# What is found on the way is kept apart from the corpus, which people choose.
fuzz:
	@$(FUZZ) --version >/dev/null 2>&1 || { \
		echo "fuzzing needs a nightly compiler (rustup toolchain install nightly)"; \
		echo "and its driver (cargo install cargo-fuzz --locked)"; exit 1; }
	cp Cargo.lock fuzz/Cargo.lock
	@for target in $$($(FUZZ) list); do \
		mkdir -p target/fuzz/found/$$target; \
		echo "fuzz $$target, $(FUZZ_SECONDS) s"; \
		$(FUZZ) run --sanitizer none --target-dir target/fuzz $$target \
			target/fuzz/found/$$target fuzz/corpus/$$target -- \
			-max_total_time=$(FUZZ_SECONDS) -max_len=65536 -timeout=10 \
			-rss_limit_mb=2048 -print_final_stats=1 || exit 1; \
	done

# The sanitizers of a real run need a nightly compiler; whether the targets still fit does not.
fuzz-check:
	cp Cargo.lock fuzz/Cargo.lock
	cargo check --manifest-path fuzz/Cargo.toml --target-dir target/fuzz

setup:
	@.ci/setup

fmt:
	cargo fmt
