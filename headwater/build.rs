//! Rebuilds the binary when the web pages were built anew, and tells the linker which functions lie together.

use std::env;
use std::path::Path;
use std::process::Command;

/// The functions that a server runs: docs/adr/0057-functions-that-are-run-lie-together.md.
const ORDER: &str = "functions.order";

fn main() {
    // The pages are built by `make web`. While they are missing, their appearance is what matters,
    // and a path that does not exist would make cargo run this on every build.
    let is_built = Path::new("../web/dist/index.html").exists();
    let watched = if is_built { "../web/dist" } else { "../web" };
    println!("cargo::rerun-if-changed={watched}");
    println!("cargo::rerun-if-changed=placeholder");
    println!("cargo::rerun-if-changed={ORDER}");
    if links_with_lld() {
        let order = Path::new(&value("CARGO_MANIFEST_DIR")).join(ORDER);
        // Names that this build does not have are passed over.
        let arguments = [format!("--symbol-ordering-file={}", order.display()), "--no-warn-symbol-ordering".to_owned()];
        for argument in arguments.iter().flat_map(|argument| ["-Xlinker", argument]) {
            println!("cargo::rustc-link-arg-bins={argument}");
        }
    }
}

/// Whether this is a release that Rust's own LLD links, as it does for this target where nobody chose another linker and
/// the toolchain brings it. Others do not know the option.
fn links_with_lld() -> bool {
    let flags = value("CARGO_ENCODED_RUSTFLAGS");
    let has_other = !value("RUSTC_LINKER").is_empty() || flags.contains("linker") || flags.contains("fuse-ld");
    value("PROFILE") == "release" && value("TARGET") == "x86_64-unknown-linux-gnu" && !has_other && brings_lld()
}

/// Toolchains of some distributions do not.
#[expect(clippy::disallowed_methods, reason = "only the compiler knows where it lies")]
fn brings_lld() -> bool {
    let sysroot = Command::new(value("RUSTC")).args(["--print", "sysroot"]).output();
    let sysroot = sysroot.ok().and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default();
    Path::new(sysroot.trim()).join("lib/rustlib/x86_64-unknown-linux-gnu/bin/gcc-ld/ld.lld").exists()
}

/// A variable that cargo sets for build scripts; empty where it sets none.
#[expect(clippy::disallowed_methods, reason = "this is how cargo speaks to a build script")]
fn value(name: &str) -> String {
    env::var(name).unwrap_or_default()
}
