//! `dropcast hash-password`: a password becomes what `password_hash` takes.

use std::io::{self, BufRead, IsTerminal};

use argon2::{Argon2, PasswordHasher};

use super::{EXIT_DONE, EXIT_NO, complain, say};

/// The longest password, in bytes.
const PASSWORD_BYTES_MAX: usize = 1024;

/// Asks for the password, or reads it, and prints its hash.
pub(super) fn run() -> io::Result<u8> {
    let read = if io::stdin().is_terminal() {
        ask()
    } else {
        first_line(io::stdin().lock())
    };
    let hashed = read?.and_then(|password| hash(&password));
    match hashed {
        Ok(hash) => {
            say(&hash)?;
            Ok(EXIT_DONE)
        }
        Err(why) => {
            complain(&why);
            Ok(EXIT_NO)
        }
    }
}

/// The password, or why there is none.
type Answer<T> = Result<T, &'static str>;

/// Asks on the terminal, without an echo and twice, because nobody sees what is typed.
fn ask() -> io::Result<Answer<String>> {
    let password = rpassword::prompt_password("Password: ")?;
    let again = rpassword::prompt_password("Once more: ")?;
    let is_same = password == again;
    Ok(is_same
        .then_some(password)
        .ok_or("the two are not the same; nothing was hashed"))
}

/// Reads the first line, without its end.
fn first_line(source: impl BufRead) -> io::Result<Answer<String>> {
    let mut line = Vec::new();
    // Room for the line's end, and for one byte that is too many.
    let bound = PASSWORD_BYTES_MAX as u64 + 2;
    source.take(bound).read_until(b'\n', &mut line)?;
    let text = String::from_utf8(line);
    let cut = |text: String| {
        let line = text.strip_suffix('\n').unwrap_or(&text);
        line.strip_suffix('\r').unwrap_or(line).to_owned()
    };
    Ok(text
        .map(cut)
        .map_err(|_| "the password is not UTF-8 text; type it in another way"))
}

/// The argon2id hash as a PHC string, with a salt of its own.
fn hash(password: &str) -> Answer<String> {
    if password.is_empty() {
        return Err("the password is empty; nothing was hashed");
    }
    if password.len() > PASSWORD_BYTES_MAX {
        return Err("the password is longer than 1024 bytes; choose a shorter one");
    }
    let hash = Argon2::default().hash_password(password.as_bytes());
    hash.map(|hash: argon2::PasswordHash| hash.to_string())
        .map_err(|_| "this machine gives no random numbers; nothing was hashed")
}

#[cfg(test)]
mod tests {
    use argon2::{PasswordHash, PasswordVerifier};

    use super::*;

    fn hashed(input: &[u8]) -> Answer<String> {
        first_line(input)
            .expect("memory can be read")
            .and_then(|line| hash(&line))
    }

    /// A tenant whose password was piped in must be able to log in with it, line end or not.
    #[test]
    fn the_hash_is_of_the_first_line() {
        for input in [
            &b"s3cret word"[..],
            b"s3cret word\n",
            b"s3cret word\r\n",
            b"s3cret word\nmore\n",
        ] {
            let hash = hashed(input).expect("hashed");
            assert!(hash.starts_with("$argon2id$"), "{hash}");
            let parsed = PasswordHash::new(&hash).expect("a PHC string");
            let verified = Argon2::default().verify_password(b"s3cret word", &parsed);
            assert!(verified.is_ok());
        }
        assert_ne!(
            hashed(b"same"),
            hashed(b"same"),
            "each hash has a salt of its own"
        );
    }

    /// An empty or endless input must not become a password that lets somebody in.
    #[test]
    fn what_is_no_password_is_not_hashed() {
        let long = [b'a'; PASSWORD_BYTES_MAX + 10];
        for input in [&b""[..], b"\n", b"\r\n", b"\xff\n", &long] {
            assert!(hashed(input).is_err(), "{} bytes", input.len());
        }
        assert!(hashed(&long[..PASSWORD_BYTES_MAX]).is_ok());
    }
}
