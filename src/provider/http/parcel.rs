//! A request on its way: where it goes, and what it shows there.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Uri;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT};
use url::{Host, Url};

use super::super::{Method, Request};
use super::connection::Connection;
use super::pool::Site;
use super::wire::Account;

/// An address, taken apart once.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) site: Arc<Site>,
    whole: Uri,
    path: Uri,
    host: HeaderValue,
}

impl Target {
    /// The address `whole` of a site; `None` when it is no whole address.
    pub(super) fn new(site: Arc<Site>, whole: Uri) -> Option<Self> {
        let path = Uri::from(whole.path_and_query()?.clone());
        let host = HeaderValue::from_str(whole.authority()?.as_str()).ok()?;
        Some(Self {
            site,
            whole,
            path,
            host,
        })
    }
}

pub(super) const NO_URL: &str = "the address is not a URL";

/// The site of an address and the whole of it, if a message may go there.
pub(super) fn parse(url: &str) -> Result<(Uri, Uri), &'static str> {
    let url = Url::parse(url).map_err(|_| NO_URL)?;
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        "http" => return Err("the address is not https, and the token would travel in clear"),
        _ => return Err("the address is neither https nor http"),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the address holds a user name");
    }
    let site = url.origin().ascii_serialization();
    let site = Uri::try_from(site).map_err(|_| NO_URL)?;
    let whole = Uri::try_from(url.as_str()).map_err(|_| NO_URL)?;
    Ok((site, whole))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// A request on its way.
pub(super) struct Parcel {
    pub(super) target: Arc<Target>,
    method: hyper::Method,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
    handed_over: HandedOver,
}

impl Parcel {
    /// Makes `request` ready to go to `target`, or says why it must not.
    pub(super) fn new(request: &Request, target: Arc<Target>) -> Result<Self, &'static str> {
        Ok(Self {
            target,
            method: match request.method {
                Method::Get => hyper::Method::GET,
                Method::Post => hyper::Method::POST,
                Method::Patch => hyper::Method::PATCH,
                Method::Delete => hyper::Method::DELETE,
            },
            headers: headers(request)?,
            body: request.body.clone(),
            handed_over: HandedOver::No,
        })
    }

    /// Takes note of the connection that it is about to leave over.
    pub(super) fn hand_over(&mut self, connection: &Connection) {
        self.handed_over = match connection {
            Connection::Alone(alone) => {
                let account = Arc::clone(alone.account());
                let before = account.written();
                HandedOver::Alone { account, before }
            }
            Connection::Shared(_) => HandedOver::Shared,
        };
    }

    /// Takes note that it surely did not leave.
    pub(super) fn take_back(&mut self) {
        self.handed_over = HandedOver::No;
    }

    /// Whether any of it can have left, once its connection is given up.
    pub(super) fn can_have_left(&self) -> bool {
        match &self.handed_over {
            HandedOver::No => false,
            HandedOver::Alone { account, before } => account.written() != *before,
            HandedOver::Shared => true,
        }
    }

    pub(super) fn to_http_1(&self) -> hyper::Request<Full<Bytes>> {
        let mut message = self.message(self.target.path.clone());
        message.headers_mut().insert(HOST, self.target.host.clone());
        message
    }

    pub(super) fn to_http_2(&self) -> hyper::Request<Full<Bytes>> {
        self.message(self.target.whole.clone())
    }

    fn message(&self, uri: Uri) -> hyper::Request<Full<Bytes>> {
        const AGENT: &str = concat!("dropcast/", env!("CARGO_PKG_VERSION"));
        let mut message = hyper::Request::new(Full::new(self.body.clone()));
        *message.method_mut() = self.method.clone();
        *message.uri_mut() = uri;
        let headers = message.headers_mut();
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, */*"));
        headers.extend(self.headers.iter().cloned());
        message
    }
}

/// The headers that are the request's own.
fn headers(request: &Request) -> Result<Vec<(HeaderName, HeaderValue)>, &'static str> {
    let mut headers = Vec::with_capacity(request.headers.len() + 1);
    if !request.content_type.is_empty() {
        let kind = HeaderValue::try_from(request.content_type.as_ref());
        let kind = kind.map_err(|_| "the kind of body is none that a header can carry")?;
        headers.push((CONTENT_TYPE, kind));
    }
    for (name, value) in &request.headers {
        let mut value = HeaderValue::try_from(value.reveal())
            .map_err(|_| "the access token has characters that no header can carry")?;
        value.set_sensitive(true);
        headers.push((HeaderName::from_static(name), value));
    }
    Ok(headers)
}

/// The connection that a request was handed to.
#[derive(Debug)]
enum HandedOver {
    No,
    /// One that ends with the request, when what had left over it stood at `before`.
    Alone {
        account: Arc<Account>,
        before: u64,
    },
    /// One that goes on without us, and may yet send what it was handed.
    Shared,
}
