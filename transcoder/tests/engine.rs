//! Tests of the engine as a process. The test binary is its own engine: `engine` as first argument.

fn main() -> std::process::ExitCode {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|first| first == "engine") {
        return transcoder::engine_main(args);
    }
    std::process::ExitCode::SUCCESS
}
