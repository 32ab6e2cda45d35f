//! One line of `authorized_keys`: a public key, and the options before it that say when, from where
//! and for whom it opens. What a certificate must be like is for `certificates` to know.

use core::net::IpAddr;

use ipnet::IpNet;
use russh::keys::PublicKey;
use russh::keys::ssh_key::public::KeyData;

use crate::batch::Moment;

/// Shorter RSA keys can be broken.
pub(super) const RSA_BITS_MIN: u32 = 2048;
/// How many bits of an IPv6 address say that it is an IPv4 address.
const IPV4_MAPPED_BITS: u8 = 96;
/// The longest line taken, in bytes; the longest RSA key fits several times.
const LINE_BYTES_MAX: usize = 16 << 10;
/// Options that only take something away which this door does not give to anybody.
const WITHOUT_EFFECT: [&str; 6] = [
    "restrict",
    "no-agent-forwarding",
    "no-port-forwarding",
    "no-pty",
    "no-user-rc",
    "no-x11-forwarding",
];

/// A key that may open a login, as its line says.
#[derive(Clone, Debug, PartialEq)]
pub struct AuthorizedKey {
    options: String,
    key: PublicKey,
    authority: Option<Authority>,
    touch: Touch,
    /// Where it may be used from; empty means anywhere.
    from: Vec<IpNet>,
    expires_at: Option<Moment>,
}

/// The key is not used to log in, but signs the certificates of those who do.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Authority {
    /// The names of which a certificate must hold one; empty means the user's.
    pub(super) principals: Vec<String>,
}

/// Whether somebody has to touch a security key each time it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Touch {
    Required,
    NotRequired,
}

/// What keeps a line from being used, to stand after "holds".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// It is the secret half.
    #[error(
        "a private key; paste the line of its `.pub` file, and make a new pair, since this one has been shown"
    )]
    Private,
    /// It is nothing that could be a key.
    #[error(
        "what is not a public key; paste the line of a `.pub` file, such as `ssh-ed25519 AAAA… cron@erp`"
    )]
    NotAKey,
    /// It is a certificate.
    #[error("a certificate; write `cert-authority` and the key that signs certificates instead")]
    Certificate,
    /// It is a key that nobody should use.
    #[error(
        "a key that is too weak (DSA, or RSA with less than {RSA_BITS_MIN} bits); make one with `ssh-keygen -t ed25519`"
    )]
    Weak,
    /// It is a security key whose touch nobody would look at.
    #[error(
        "a security key; a touch cannot be verified here, so write `no-touch-required` before it if you want the key to open without, or take a key of another kind"
    )]
    TouchUnverified,
    /// An option that is not known here.
    #[error(
        "a key with the option `{0}`, which this door does not know; it takes `cert-authority`, `principals`, `from`, `expiry-time`, `no-touch-required`, `restrict` and `no-…`"
    )]
    UnknownOption(String),
    /// An option whose value is missing or wrong.
    #[error("a key whose option `{option}` is not good; it takes {takes}")]
    Option {
        /// Which.
        option: &'static str,
        /// What would be good.
        takes: &'static str,
    },
}

impl AuthorizedKey {
    /// Reads a line: options if any, kind, base64, comment.
    pub fn parse(line: &str) -> Result<Self, BadKey> {
        if line.contains("PRIVATE KEY") {
            return Err(BadKey::Private);
        }
        let line = line.trim();
        if line.len() > LINE_BYTES_MAX || line.chars().any(char::is_control) {
            return Err(BadKey::NotAKey);
        }
        let (options, key) = if let Ok(key) = PublicKey::from_openssh(line) {
            ("", key)
        } else {
            let (options, rest) = split_options(line).ok_or(BadKey::NotAKey)?;
            let key = PublicKey::from_openssh(rest.trim_start());
            (options, key.map_err(|_| BadKey::NotAKey)?)
        };
        match key.key_data() {
            KeyData::Certificate(_) => return Err(BadKey::Certificate),
            KeyData::Other(_) => return Err(BadKey::NotAKey),
            data if !is_strong(data) => return Err(BadKey::Weak),
            _ => {}
        }
        let mut read = Self {
            options: options.to_owned(),
            key,
            authority: None,
            touch: Touch::Required,
            from: Vec::new(),
            expires_at: None,
        };
        read.heed_options(options)?;
        // The transport checks that the signature is the key's, and does not pass on what it says
        // of a touch. As in OpenSSH none is asked of those who sign certificates.
        let opens = read.authority.is_none();
        if opens && is_security_key(read.key_data()) && read.touch == Touch::Required {
            return Err(BadKey::TouchUnverified);
        }
        Ok(read)
    }

    /// The line with `hidden` in place of the key.
    pub fn shown(&self, hidden: &str) -> String {
        let (kind, comment) = (self.key.algorithm().to_string(), self.key.comment());
        let parts = [self.options.as_str(), &kind, hidden, comment.as_str_lossy()];
        let parts = parts.into_iter().filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join(" ")
    }

    /// When it ceases to open anything; `None` when never.
    pub fn expires_at(&self) -> Option<Moment> {
        self.expires_at
    }

    pub(super) fn key_data(&self) -> &KeyData {
        self.key.key_data()
    }

    /// What it signs, if it signs certificates; such a key opens nothing by itself.
    pub(super) fn authority(&self) -> Option<&Authority> {
        self.authority.as_ref()
    }

    /// Whether the security keys that it stands for must be touched.
    pub(super) fn touch(&self) -> Touch {
        self.touch
    }

    /// Whether it may be used from there and at that time.
    pub(super) fn holds(&self, peer: IpAddr, now: Moment) -> bool {
        let is_fresh = self.expires_at.is_none_or(|expires_at| now < expires_at);
        is_fresh && is_within(&self.from, peer)
    }

    fn heed_options(&mut self, options: &str) -> Result<(), BadKey> {
        let mut principals = Vec::new();
        let mut is_authority = false;
        for option in split_unquoted(options, ',') {
            let (name, value) = match option.split_once('=') {
                Some((name, value)) => (name, unquoted(value)),
                None => (option, None),
            };
            match (name.to_ascii_lowercase().as_str(), value) {
                ("", _) if options.is_empty() => {}
                ("cert-authority", None) => is_authority = true,
                ("principals", value) => principals = names(value)?,
                ("from", value) => self.from = networks(value)?,
                ("expiry-time", value) => self.expires_at = Some(moment(value)?),
                ("no-touch-required", None) => self.touch = Touch::NotRequired,
                (name, None) if WITHOUT_EFFECT.contains(&name) => {}
                (name, _) => return Err(BadKey::UnknownOption(shown_name(name))),
            }
        }
        if !principals.is_empty() && !is_authority {
            return Err(BadKey::Option {
                option: "principals",
                takes: "effect beside `cert-authority` only",
            });
        }
        self.authority = is_authority.then_some(Authority { principals });
        Ok(())
    }
}

/// Whether `peer` lies in one of the networks, of which none means anywhere.
pub(super) fn is_within(networks: &[IpNet], peer: IpAddr) -> bool {
    // An IPv4 peer of a socket that takes both kinds has an IPv6 form.
    let peer = peer.to_canonical();
    networks.is_empty() || networks.iter().any(|network| network.contains(&peer))
}

/// Reads networks and addresses between commas; `None` if one of them is neither.
pub(super) fn parse_networks(text: &str) -> Option<Vec<IpNet>> {
    let parts = text.split(',').map(str::trim);
    parts.map(parse_network).collect()
}

/// Reads a network or an address; `None` if it is neither.
pub(super) fn parse_network(text: &str) -> Option<IpNet> {
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    let network = text.parse().ok().or_else(address)?;
    let IpAddr::V4(inner) = network.addr().to_canonical() else {
        return Some(network);
    };
    // Peers are compared in their IPv4 form, so networks must have it too. One that is wider than
    // all of IPv4 has none.
    match network {
        IpNet::V4(_) => Some(network),
        IpNet::V6(_) => {
            let bits = network.prefix_len().checked_sub(IPV4_MAPPED_BITS)?;
            IpNet::new(inner.into(), bits).ok()
        }
    }
}

/// Whether signatures by this key can be relied upon.
pub(super) fn is_strong(key: &KeyData) -> bool {
    match key {
        KeyData::Rsa(rsa) => rsa.key_size() >= RSA_BITS_MIN,
        KeyData::Ed25519(_)
        | KeyData::Ecdsa(_)
        | KeyData::SkEd25519(_)
        | KeyData::SkEcdsaSha2NistP256(_) => true,
        // A kind that nobody has looked at is not to be relied upon.
        _ => false,
    }
}

/// Whether this is the key of a device that can ask for a touch.
pub(super) fn is_security_key(key: &KeyData) -> bool {
    matches!(key, KeyData::SkEd25519(_) | KeyData::SkEcdsaSha2NistP256(_))
}

/// The options and the rest of the line, which begins at the first space outside of quotes.
fn split_options(line: &str) -> Option<(&str, &str)> {
    let options = split_unquoted(line, ' ').next()?;
    Some((options, line[options.len()..].strip_prefix(' ')?))
}

/// The parts between `separator`s that are not in quotes; within quotes `\"` is none.
fn split_unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |c: char| {
        match c {
            '"' if !is_escaped => is_quoted = !is_quoted,
            _ => {}
        }
        is_escaped = c == '\\' && !is_escaped;
        c == separator && !is_quoted
    })
}

fn unquoted(value: &str) -> Option<&str> {
    let inner = value.strip_prefix('"')?.strip_suffix('"')?;
    (!inner.contains(['"', '\\'])).then_some(inner)
}

fn names(value: Option<&str>) -> Result<Vec<String>, BadKey> {
    let names = value.unwrap_or_default().split(',').map(str::trim);
    let names: Vec<String> = names.map(str::to_owned).collect();
    if names.iter().any(String::is_empty) {
        return Err(BadKey::Option {
            option: "principals",
            takes: "names in quotes, such as `principals=\"cron,erp\"`",
        });
    }
    Ok(names)
}

fn networks(value: Option<&str>) -> Result<Vec<IpNet>, BadKey> {
    value.and_then(parse_networks).ok_or(BadKey::Option {
        option: "from",
        takes: "networks and addresses in quotes, such as `from=\"10.0.0.0/8,192.0.2.7\"`; host \
                names and patterns are not looked at",
    })
}

/// A moment in UTC, with its `Z` or without: the daemon has no time zone of its own.
fn moment(value: Option<&str>) -> Result<Moment, BadKey> {
    let read = |text: &str| {
        let digits = text.strip_suffix('Z').unwrap_or(text);
        let is_whole = digits.bytes().all(|b| b.is_ascii_digit());
        if !is_whole || !matches!(digits.len(), 8 | 12 | 14) {
            return None;
        }
        let padded = format!("{digits:0<14}");
        let part = |from: usize, to: usize| &padded[from..to];
        Moment::parse(&format!(
            "{}-{}-{}T{}:{}:{}Z",
            part(0, 4),
            part(4, 6),
            part(6, 8),
            part(8, 10),
            part(10, 12),
            part(12, 14),
        ))
    };
    value.and_then(read).ok_or(BadKey::Option {
        option: "expiry-time",
        takes: "a day or a time in UTC in quotes, such as `expiry-time=\"20271231\"` or \
                `expiry-time=\"202712312359Z\"`",
    })
}

/// The name of an option in a sentence; what has not the form of one may be something else.
fn shown_name(name: &str) -> String {
    const LENGTH_MAX: usize = 40;
    let is_name = |name: &str| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    if !name.is_empty() && name.len() <= LENGTH_MAX && is_name(name) {
        name.to_owned()
    } else {
        "…".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use russh::keys::ssh_key::public::SkEd25519;

    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHZ88ANuSR6tH9x4qvpBWNx2M7vsynqectpldqj8UB6T \
                       cron job@erp";

    fn with(options: &str) -> Result<AuthorizedKey, BadKey> {
        AuthorizedKey::parse(&format!("{options} {KEY}"))
    }

    fn at(text: &str) -> Moment {
        Moment::parse(text).expect("a moment")
    }

    /// Lines are copied from servers that run OpenSSH; what they say there must hold here.
    #[test]
    fn a_line_says_what_it_says_to_openssh() {
        let plain = AuthorizedKey::parse(KEY).expect("a key");
        assert!(plain.authority().is_none() && plain.expires_at().is_none());
        assert_eq!(plain.shown("(hidden)"), "ssh-ed25519 (hidden) cron job@erp");

        let full = with("cert-authority,principals=\"cron,erp\",no-pty,restrict").expect("a key");
        let authority = full.authority().expect("signs certificates");
        assert_eq!(authority.principals, ["cron", "erp"]);
        assert_eq!(full.key_data(), plain.key_data());

        let from = with("From=\"10.0.0.0/8, 2001:db8::/32,192.0.2.7\"").expect("a key");
        let now = at("2026-01-01T00:00:00Z");
        for (peer, holds) in [
            ("10.9.9.9", true),
            ("::ffff:10.9.9.9", true),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("2001:db8:1::1", true),
            ("2001:db9::1", false),
        ] {
            let peer = peer.parse().expect("an address");
            assert_eq!(from.holds(peer, now), holds, "{peer}");
        }
    }

    /// A security key that lies in a stolen laptop must not open where nobody looks for its touch.
    #[test]
    fn a_security_key_opens_only_where_no_touch_is_asked_for() {
        let plain = AuthorizedKey::parse(KEY).expect("a key");
        let KeyData::Ed25519(inner) = plain.key_data() else {
            panic!("it is an Ed25519 key");
        };
        let data = KeyData::SkEd25519(SkEd25519::new(*inner, "ssh:"));
        let key = PublicKey::new(data, "yubi").to_openssh().expect("text");
        let parse = |options: &str| AuthorizedKey::parse(&format!("{options}{key}"));
        assert_eq!(parse(""), Err(BadKey::TouchUnverified));
        assert_eq!(parse("restrict "), Err(BadKey::TouchUnverified));
        let verified = parse("verify-required ");
        assert!(matches!(verified, Err(BadKey::UnknownOption(_))));
        let free = parse("no-touch-required ").expect("a key");
        assert_eq!(free.touch(), Touch::NotRequired);
        let signs = parse("cert-authority ").expect("a key that opens nothing itself");
        assert_eq!(signs.touch(), Touch::Required);
    }

    /// A network that is taken and never matches locks out those whom it was written for.
    #[test]
    fn a_network_has_one_form() {
        for (text, network) in [
            ("::ffff:10.0.0.0/104", Some("10.0.0.0/8")),
            ("::ffff:192.0.2.7", Some("192.0.2.7/32")),
            ("::ffff:0:0/96", Some("0.0.0.0/0")),
            ("::ffff:10.0.0.0/95", None),
            ("10.0.0.0/8", Some("10.0.0.0/8")),
            ("192.0.2.7", Some("192.0.2.7/32")),
            ("2001:db8::/32", Some("2001:db8::/32")),
            ("::/0", Some("::/0")),
            ("10.0.0.0/33", None),
            ("here", None),
        ] {
            let network = network.map(|text| text.parse().expect("a network"));
            assert_eq!(parse_network(text), network, "{text}");
        }
    }

    /// A key that should have ended yesterday must not open a door today, to the second.
    #[test]
    fn an_expiry_time_is_a_moment_in_utc() {
        let peer = "10.0.0.1".parse().expect("an address");
        for (text, moment) in [
            ("20270102", "2027-01-02T00:00:00Z"),
            ("20270102Z", "2027-01-02T00:00:00Z"),
            ("202701021504", "2027-01-02T15:04:00Z"),
            ("20270102150405Z", "2027-01-02T15:04:05Z"),
        ] {
            let key = with(&format!("expiry-time=\"{text}\"")).expect("a key");
            let expires_at = at(moment);
            assert_eq!(key.expires_at(), Some(expires_at));
            assert!(key.holds(peer, expires_at.plus_ms(-1)));
            assert!(!key.holds(peer, expires_at));
        }
    }

    /// An option that does not do what its writer thinks would open more than was meant.
    #[test]
    fn what_is_not_understood_is_refused() {
        for options in [
            "command=\"id\"",
            "environment=\"A=b\"",
            "cert-authority=\"yes\"",
            "pty",
            "no-such-thing",
            "verify-required",
            "cert-authority,",
            "AAAAhunter2",
        ] {
            let bad = with(options).expect_err(options);
            assert!(matches!(bad, BadKey::UnknownOption(_)), "{options}: {bad}");
            assert!(!bad.to_string().contains("hunter2"));
        }
        for options in [
            "principals=\"a\"",
            "cert-authority,principals=\"\"",
            "cert-authority,principals=\"a,,b\"",
            "from=\"*.example.com\"",
            "from=\"!10.0.0.1\"",
            "from=10.0.0.1",
            "from",
            "expiry-time=\"tomorrow\"",
            "expiry-time=\"20271345\"",
            "expiry-time=\"2027010215\"",
        ] {
            let bad = with(options).expect_err(options);
            assert!(matches!(bad, BadKey::Option { .. }), "{options}: {bad}");
        }
        for line in [
            "",
            "#",
            "ssh-ed25519",
            "ssh-ed25519 AAAA",
            "from=\"a b",
            "\n",
        ] {
            assert_eq!(AuthorizedKey::parse(line), Err(BadKey::NotAKey), "{line}");
        }
    }

    proptest! {
        /// Settings are read again while the daemon runs: no line may take it down.
        #[test]
        fn no_line_brings_the_reader_down(options in ".{0,40}", quoted in "[a-z\"\\\\,= é]{0,30}") {
            let _ = AuthorizedKey::parse(&format!("{options}{quoted} {KEY}"));
            let _ = with(&quoted);
        }
    }
}
