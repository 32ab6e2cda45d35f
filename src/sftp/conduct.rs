//! How a stranger behaves: the wrong passwords and keys that it has shown, by user name. A slip
//! before a login is forgiven; guesses at the logins of others are not. Passwords are noted against
//! its address as they come, which is for `penalties` to know.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Counts what was wrong on one connection; the keys are told to whoever looks at its end.
#[derive(Debug)]
pub(super) struct Conduct {
    user: String,
    wrong_passwords: u32,
    has_shown_wrong_key: bool,
    keys_of_others: u32,
    told: Arc<AtomicU32>,
}

impl Conduct {
    /// Keeps in `told` how many wrong keys there were, all keys of a user being one.
    pub(super) fn new(told: Arc<AtomicU32>) -> Self {
        Self {
            user: String::new(),
            wrong_passwords: 0,
            has_shown_wrong_key: false,
            keys_of_others: 0,
            told,
        }
    }

    pub(super) fn wrong_password(&mut self, user: &str) {
        self.of(user);
        self.wrong_passwords = self.wrong_passwords.saturating_add(1);
    }

    /// Clients show all the keys they have, one after the other.
    pub(super) fn wrong_key(&mut self, user: &str) {
        self.of(user);
        self.has_shown_wrong_key = true;
        self.tell();
    }

    /// This user is in; says how many wrong passwords of its own are forgiven.
    pub(super) fn entered(&mut self, user: &str) -> u32 {
        self.of(user);
        self.has_shown_wrong_key = false;
        self.tell();
        std::mem::take(&mut self.wrong_passwords)
    }

    fn of(&mut self, user: &str) {
        if self.user != user {
            self.keys_of_others = self.wrong_keys();
            user.clone_into(&mut self.user);
            self.wrong_passwords = 0;
            self.has_shown_wrong_key = false;
        }
    }

    fn wrong_keys(&self) -> u32 {
        let own = u32::from(self.has_shown_wrong_key);
        self.keys_of_others.saturating_add(own)
    }

    fn tell(&self) {
        self.told.store(self.wrong_keys(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nobody may be punished for a slip, and nobody may guess under cover of a login of its own.
    #[test]
    fn only_guesses_at_others_outlive_a_login() {
        let told = Arc::new(AtomicU32::new(0));
        let mut conduct = Conduct::new(Arc::clone(&told));
        for _ in 0..3 {
            conduct.wrong_key("acme");
        }
        assert_eq!(told.load(Ordering::Relaxed), 1, "all keys are one");
        conduct.wrong_password("acme");
        conduct.wrong_password("acme");
        conduct.wrong_key("globex");
        conduct.wrong_password("globex");
        assert_eq!(told.load(Ordering::Relaxed), 2);
        assert_eq!(conduct.entered("globex"), 1, "those of acme stay");
        assert_eq!(told.load(Ordering::Relaxed), 1);
        assert_eq!(conduct.entered("globex"), 0, "once");
        let mut conduct = Conduct::new(Arc::clone(&told));
        conduct.wrong_password("acme");
        conduct.wrong_password("acme");
        conduct.wrong_key("acme");
        assert_eq!(conduct.entered("acme"), 2);
        assert_eq!(told.load(Ordering::Relaxed), 0);
    }
}
