# demo   runs everything in a temporary folder against the built-in provider stand-in
# test   sets itself up, then runs everything that a change must pass
# bench  prints figures
# fuzz-check  compiles the fuzz targets, which fuzz/README.md says how to run
# setup  installs what the tests need, or says exactly what to install
# fmt    formats the sources

export PATH := $(HOME)/.cargo/bin:$(PATH)

.PHONY: demo test bench fuzz-check setup fmt

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

bench:
	cargo bench --locked --bench figures
	cargo bench --locked --bench door

# The sanitizers of a real run need a nightly compiler; whether the targets still fit does not.
fuzz-check:
	cp Cargo.lock fuzz/Cargo.lock
	cargo check --manifest-path fuzz/Cargo.toml --target-dir target/fuzz

setup:
	@.ci/setup

fmt:
	cargo fmt
