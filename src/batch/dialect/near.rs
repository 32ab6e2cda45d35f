//! The known key that an unknown one resembles: another case, dashes or underscores, or a slip of
//! the hand.

/// Keys that others are compared with.
pub(super) struct Known<K>(Vec<Word<K>>);

/// A key as it is compared.
struct Word<K> {
    key: K,
    plain: String,
    length: usize,
}

impl<K: AsRef<str>> Known<K> {
    /// Makes these keys ready to be compared with.
    pub(super) fn of(keys: impl IntoIterator<Item = K>) -> Self {
        let word = |key: K| {
            let plain = plain(key.as_ref());
            let length = plain.chars().count();
            Word { key, plain, length }
        };
        Self(keys.into_iter().map(word).collect())
    }

    /// The one of these keys that `name` resembles.
    pub(super) fn near(&self, name: &str) -> Option<&K> {
        // Words this short resemble others by chance (`date` and `data`), unless letters are
        // swapped.
        const SHORT: usize = 4;
        // From this length on, two slips are still the same word.
        const LONG: usize = 9;
        // Comparing longer ones would be slow, and no hand makes them.
        const NAME_BYTES_MAX: usize = 64;
        if name.len() > NAME_BYTES_MAX {
            return None;
        }
        let plain = plain(name);
        let length = plain.chars().count();
        let resembles = |word: &&Word<K>| {
            let shorter = plain.len().min(word.plain.len());
            if plain == word.plain {
                return true;
            }
            if shorter <= SHORT {
                return length == word.length && sorted(&plain) == sorted(&word.plain);
            }
            let allowed = if shorter < LONG { 1 } else { 2 };
            // A slip changes the length by one at most: most words need no closer look.
            length.abs_diff(word.length) <= allowed
                && strsim::osa_distance(&plain, &word.plain) <= allowed
        };
        self.0.iter().find(resembles).map(|word| &word.key)
    }
}

fn plain(name: &str) -> String {
    name.chars()
        .filter(|character| character.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

fn sorted(word: &str) -> Vec<char> {
    let mut letters: Vec<char> = word.chars().collect();
    letters.sort_unstable();
    letters
}
