#!/usr/bin/env bash
# Everything that a machine can say of the code without running it.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh

say "Formatting (cargo fmt)"
cargo fmt --all --check
cargo fmt --manifest-path fuzz/Cargo.toml --check

say "Lints (cargo clippy)"
cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
# Without the optimisation that fuzzing wants, they share what has been built already.
CARGO_PROFILE_DEV_OPT_LEVEL=0 cargo clippy --manifest-path fuzz/Cargo.toml --target-dir target --locked --quiet \
    -- -D warnings

say "Documentation (rustdoc)"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --locked --quiet

tools/web.sh check

say "Licences, sources and who may depend on what (cargo-deny)"
# It reads every package of the lock file, those of other systems too, which no build has fetched.
cargo fetch --locked --quiet
"$(tools/tool.sh cargo-deny)" --offline --locked --log-level error check --hide-inclusion-graph bans licenses sources

say "Unused dependencies (cargo-machete)"
quietly "$(tools/tool.sh cargo-machete)" || fail "some dependencies are not used"

say "Spelling (typos)"
"$(tools/tool.sh typos)"

say "All checks passed"
