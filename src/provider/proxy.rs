//! The address of an HTTP proxy that a tenant's messages go through.

use hyper::Uri;
use url::Url;

/// An HTTP proxy. It is asked for a way to the provider (`CONNECT`) and sees no message: those are
/// within TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    uri: Uri,
}

/// Why a text is no address of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoProxy {
    /// It is no web address, or holds more than scheme, host and port.
    #[error("it is not of the form `http://host:port`")]
    Form,
    /// The proxy is not spoken to over plain HTTP.
    #[error("it does not begin with `http://`")]
    Scheme,
    /// It holds a user name or password, which an address shows to everybody.
    #[error("it has a user name or password, which are not supported")]
    User,
}

impl Proxy {
    /// Reads an address such as `http://proxy.example:3128`.
    pub fn parse(text: &str) -> Result<Self, NoProxy> {
        let url = Url::parse(text).map_err(|_| NoProxy::Form)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(NoProxy::User);
        }
        if url.scheme() != "http" {
            return Err(NoProxy::Scheme);
        }
        let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if !is_bare {
            return Err(NoProxy::Form);
        }
        let uri = url.origin().ascii_serialization().try_into();
        let uri = uri.map_err(|_| NoProxy::Form)?;
        Ok(Self { uri })
    }

    /// Its scheme, host and port.
    pub(super) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The address as it is written in settings.
    pub fn shown(&self) -> String {
        self.uri.to_string().trim_end_matches('/').to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A password in a setting would be shown to everybody who may see the settings.
    #[test]
    fn an_address_holds_host_and_port_alone() {
        let good = [
            ("http://proxy.example:3128", "http://proxy.example:3128"),
            ("http://10.0.0.1:8080/", "http://10.0.0.1:8080"),
            ("http://[::1]:3128", "http://[::1]:3128"),
            ("http://Proxy.Example", "http://proxy.example"),
        ];
        for (text, shown) in good {
            assert_eq!(
                Proxy::parse(text).map(|proxy| proxy.shown()),
                Ok(shown.into())
            );
        }
        let bad = [
            ("", NoProxy::Form),
            ("proxy.example", NoProxy::Form),
            ("proxy.example:3128", NoProxy::Scheme),
            ("https://proxy.example:3128", NoProxy::Scheme),
            ("socks5://proxy.example:1080", NoProxy::Scheme),
            ("http://user@proxy.example", NoProxy::User),
            ("http://user:word@proxy.example", NoProxy::User),
            ("http://proxy.example/path", NoProxy::Form),
            ("http://proxy.example/?a", NoProxy::Form),
        ];
        for (text, why) in bad {
            assert_eq!(Proxy::parse(text), Err(why), "{text}");
        }
    }
}
