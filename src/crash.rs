//! Named points at which a test build can be made to die, as a power cut would. Any other build has
//! none of them.

/// Kills the process here if the environment says so: `FAILPOINTS=close-linked=return` does it the
/// first time, `FAILPOINTS=close-linked=2*off->return` the third time.
pub fn point(name: &'static str) {
    #[cfg(feature = "fail-points")]
    if fail::eval(name, |_| ()).is_some() {
        std::process::abort();
    }
    #[cfg(not(feature = "fail-points"))]
    let _ = name;
}

/// How long to wait for `name`: `otherwise`, unless the environment of a test build says how many
/// milliseconds, as `FAILPOINTS=wait-abandoned=return(200)` does.
pub fn wait(name: &'static str, otherwise: std::time::Duration) -> std::time::Duration {
    #[cfg(feature = "fail-points")]
    {
        let said = |millis: Option<String>| millis.and_then(|millis| millis.parse().ok());
        if let Some(Some(millis)) = fail::eval(name, said) {
            return std::time::Duration::from_millis(millis);
        }
    }
    #[cfg(not(feature = "fail-points"))]
    let _ = name;
    otherwise
}

/// Reads which points the environment names; to be called before any of them is passed.
pub fn arm() {
    #[cfg(feature = "fail-points")]
    std::mem::forget(fail::FailScenario::setup());
}
