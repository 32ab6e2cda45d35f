//! Arguments in, exit code out.

fn main() -> std::process::ExitCode {
    dropcast::cli::run()
}
