//! Whether a user certificate opens a login. That it is signed by whom it says, and held by whom
//! shows it, is looked at by the transport; everything else is decided here.

use core::net::IpAddr;

use russh::keys::ssh_key::certificate::CertType;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, Certificate, HashAlg};

use super::authorized::{
    AuthorizedKey, Touch, is_security_key, is_strong, is_within, parse_networks,
};
use crate::batch::Moment;

/// The extension by which a signer lets a security key open without a touch.
const NO_TOUCH: &str = "no-touch-required";

/// Who shows a certificate, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bearer<'a> {
    pub(super) user: &'a str,
    pub(super) peer: IpAddr,
    pub(super) now: Moment,
}

/// Why a certificate opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unproven {
    #[error("it is signed by nobody whose certificates are taken for this login")]
    StrangeAuthority,
    #[error("its signature is wrong, or it is not valid at this time")]
    NotValid,
    #[error("its keys or its signature are of a kind that cannot be relied upon")]
    Weak,
    #[error("it is not the certificate of a user")]
    NotOfAUser,
    #[error("it names no principal of this login")]
    StrangePrincipal,
    #[error("it may not be used from this address")]
    StrangeAddress,
    #[error("it has a critical option that is not known here")]
    StrangeOption,
    #[error("it is for a security key, whose touch cannot be verified here")]
    TouchUnverified,
}

/// Looks at what does not depend on who shows it to whom, and takes long: it is done once, and for
/// users who are not known too, or a stranger could tell them apart by the time it takes.
pub(super) fn prove(certificate: &Certificate, now: Moment) -> Result<(), Unproven> {
    let key = certificate.signature_key();
    if !is_strong(key) || !is_strong(certificate.public_key()) || is_sha1(certificate) {
        return Err(Unproven::Weak);
    }
    let seconds = u64::try_from(now.as_millis() / 1000).unwrap_or_default();
    // Whether it is the key of somebody whom a login trusts is looked at for that login.
    let fingerprint = key.fingerprint(HashAlg::Sha256);
    if certificate.validate_at(seconds, [&fingerprint]).is_err() {
        return Err(Unproven::NotValid);
    }
    if certificate.cert_type() != CertType::User {
        return Err(Unproven::NotOfAUser);
    }
    Ok(())
}

/// Looks whether a proven certificate opens the login of `bearer.user`, for which `authority`
/// signs.
pub(super) fn check(
    certificate: &Certificate,
    authority: &AuthorizedKey,
    bearer: Bearer<'_>,
) -> Result<(), Unproven> {
    let signs = authority.authority().ok_or(Unproven::StrangeAuthority)?;
    let key = certificate.signature_key();
    if key != authority.key_data() || !authority.holds(bearer.peer, bearer.now) {
        return Err(Unproven::StrangeAuthority);
    }
    // A certificate for nobody in particular would open every login that trusts its signer.
    let named = certificate.valid_principals();
    let is_principal = match signs.principals.as_slice() {
        [] => named.iter().any(|name| name == bearer.user),
        wanted => named.iter().any(|name| wanted.contains(name)),
    };
    if !is_principal {
        return Err(Unproven::StrangePrincipal);
    }
    // As in OpenSSH, whoever signs and whoever takes it must both have said so.
    let says_no_touch =
        certificate.extensions().contains_key(NO_TOUCH) && authority.touch() == Touch::NotRequired;
    if is_security_key(certificate.public_key()) && !says_no_touch {
        return Err(Unproven::TouchUnverified);
    }
    heed_options(certificate, bearer.peer)
}

fn heed_options(certificate: &Certificate, peer: IpAddr) -> Result<(), Unproven> {
    for (name, value) in certificate.critical_options().iter() {
        if name != "source-address" {
            return Err(Unproven::StrangeOption);
        }
        let networks = parse_networks(value).filter(|networks| !networks.is_empty());
        if !networks.is_some_and(|networks| is_within(&networks, peer)) {
            return Err(Unproven::StrangeAddress);
        }
    }
    Ok(())
}

/// Whether its signature rests on SHA-1.
fn is_sha1(certificate: &Certificate) -> bool {
    matches!(certificate.signature_key(), KeyData::Rsa(_))
        && certificate.signature().algorithm() == (Algorithm::Rsa { hash: None })
}

#[cfg(test)]
mod tests {
    use russh::keys::PrivateKey;
    use russh::keys::key::safe_rng;
    use russh::keys::ssh_key::certificate::Builder;
    use russh::keys::ssh_key::public::SkEd25519;

    use super::*;

    const FROM: u64 = 1_800_000_000;
    const TO: u64 = FROM + 3_600;

    fn check(
        certificate: &Certificate,
        authority: &AuthorizedKey,
        bearer: Bearer<'_>,
    ) -> Result<(), Unproven> {
        prove(certificate, bearer.now)?;
        super::check(certificate, authority, bearer)
    }

    fn key() -> PrivateKey {
        PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).expect("made")
    }

    fn authority(options: &str, key: &PrivateKey) -> AuthorizedKey {
        let key = key.public_key().to_openssh().expect("text");
        AuthorizedKey::parse(&format!("cert-authority{options} {key}")).expect("a key")
    }

    /// A certificate for `acme` and `cron`, changed as a test wants it.
    fn certificate(signer: &PrivateKey, change: impl FnOnce(&mut Builder)) -> Certificate {
        let key = key().public_key().key_data().clone();
        let builder = Builder::new_with_random_nonce(&mut safe_rng(), key, FROM, TO);
        let mut builder = builder.expect("sound");
        change(&mut builder);
        builder.sign(signer).expect("signed")
    }

    fn for_acme(builder: &mut Builder) {
        builder.valid_principal("acme").expect("a name");
        builder.valid_principal("cron").expect("a name");
    }

    fn bearer(user: &str) -> Bearer<'_> {
        Bearer {
            user,
            peer: "10.0.0.1".parse().expect("an address"),
            now: Moment::from_millis(i64::try_from(FROM).expect("small") * 1000),
        }
    }

    /// Each of these would let in somebody whom the signer or the operator did not mean.
    #[test]
    fn a_certificate_opens_what_it_is_for_and_nothing_else() {
        let (ours, theirs) = (key(), key());
        let good = certificate(&ours, for_acme);
        let plain = authority("", &ours);
        assert_eq!(check(&good, &plain, bearer("acme")), Ok(()));
        assert_eq!(
            check(&good, &plain, bearer("globex")),
            Err(Unproven::StrangePrincipal)
        );
        let named = authority(",principals=\"ops,cron\"", &ours);
        assert_eq!(check(&good, &named, bearer("globex")), Ok(()));
        let other = authority(",principals=\"ops\"", &ours);
        assert_eq!(
            check(&good, &other, bearer("acme")),
            Err(Unproven::StrangePrincipal)
        );
        for stranger in [
            authority("", &theirs),
            authority(",from=\"10.1.0.0/16\"", &ours),
            authority(",expiry-time=\"20200101\"", &ours),
        ] {
            let outcome = check(&good, &stranger, bearer("acme"));
            assert_eq!(outcome, Err(Unproven::StrangeAuthority));
        }
        let own = AuthorizedKey::parse(&ours.public_key().to_openssh().expect("text"));
        let outcome = check(&good, &own.expect("a key"), bearer("acme"));
        assert_eq!(outcome, Err(Unproven::StrangeAuthority), "it signs nothing");
    }

    /// A window that is off by one second would show only to those who are locked out by it.
    #[test]
    fn a_certificate_holds_from_its_first_second_to_before_its_last() {
        let ours = key();
        let (good, plain) = (certificate(&ours, for_acme), authority("", &ours));
        for (second, holds) in [(FROM - 1, false), (FROM, true), (TO - 1, true), (TO, false)] {
            let mut bearer = bearer("acme");
            bearer.now = Moment::from_millis(i64::try_from(second).expect("small") * 1000 + 999);
            assert_eq!(check(&good, &plain, bearer).is_ok(), holds, "{second}");
        }
    }

    /// A security key must not get round its touch by way of a certificate.
    #[test]
    fn a_security_key_needs_leave_to_open_without_a_touch() {
        let ours = key();
        let KeyData::Ed25519(inner) = *key().public_key().key_data() else {
            panic!("it is an Ed25519 key");
        };
        let data = KeyData::SkEd25519(SkEd25519::new(inner, "ssh:"));
        for (extension, options, outcome) in [
            (None, "", Err(Unproven::TouchUnverified)),
            (None, ",no-touch-required", Err(Unproven::TouchUnverified)),
            (Some(NO_TOUCH), "", Err(Unproven::TouchUnverified)),
            (Some(NO_TOUCH), ",no-touch-required", Ok(())),
        ] {
            let builder = Builder::new_with_random_nonce(&mut safe_rng(), data.clone(), FROM, TO);
            let mut builder = builder.expect("sound");
            for_acme(&mut builder);
            if let Some(name) = extension {
                builder.extension(name, "").expect("an extension");
            }
            let made = builder.sign(&ours).expect("signed");
            let checked = check(&made, &authority(options, &ours), bearer("acme"));
            assert_eq!(checked, outcome, "{extension:?} {options}");
        }
    }

    /// What the signer added to bound a certificate's use must bound it here.
    #[test]
    fn what_bounds_a_certificate_is_heeded() {
        let ours = key();
        let plain = authority("", &ours);
        let outcome = |change: &dyn Fn(&mut Builder)| {
            let made = certificate(&ours, |builder| {
                for_acme(builder);
                change(builder);
            });
            check(&made, &plain, bearer("acme"))
        };
        let option = |name: &'static str, value: &'static str| {
            move |builder: &mut Builder| {
                builder.critical_option(name, value).expect("an option");
            }
        };
        let near = option("source-address", "192.0.2.7,10.0.0.0/8");
        assert_eq!(outcome(&near), Ok(()));
        for (name, value, why) in [
            ("source-address", "10.1.0.0/16", Unproven::StrangeAddress),
            ("source-address", "", Unproven::StrangeAddress),
            ("source-address", "here", Unproven::StrangeAddress),
            ("force-command", "id", Unproven::StrangeOption),
            ("verify-required", "", Unproven::StrangeOption),
        ] {
            assert_eq!(outcome(&option(name, value)), Err(why), "{name}={value}");
        }
        let host = |builder: &mut Builder| {
            builder.cert_type(CertType::Host).expect("a type");
        };
        assert_eq!(outcome(&host), Err(Unproven::NotOfAUser));
        let for_all = certificate(&ours, |builder| {
            builder.all_principals_valid().expect("for all");
        });
        let outcome = check(&for_all, &plain, bearer("acme"));
        assert_eq!(outcome, Err(Unproven::StrangePrincipal));
    }
}
