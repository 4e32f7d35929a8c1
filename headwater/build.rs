//! Rebuilds the binary when the web pages were built anew; builds nothing itself.

use std::path::Path;

fn main() {
    // The pages are built by `make web`. While they are missing, their appearance is what matters,
    // and a path that does not exist would make cargo run this on every build.
    let is_built = Path::new("../web/dist/index.html").exists();
    let watched = if is_built { "../web/dist" } else { "../web" };
    println!("cargo::rerun-if-changed={watched}");
    println!("cargo::rerun-if-changed=placeholder");
}
