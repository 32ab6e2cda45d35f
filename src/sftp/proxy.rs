//! The PROXY protocol, version 1 and 2: a proxy in front of the door says for whom it connects.
//! Which peers are proxies is for the settings to say; from no other is a header looked at.

use std::io;
use std::net::{IpAddr, SocketAddr};

use ppp::{HeaderResult, v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The longest header of version 1, in bytes.
const TEXT_BYTES_MAX: usize = 107;
/// The longest header of version 2 taken, in bytes: it may hold certificates, which say nothing
/// here.
const BINARY_BYTES_MAX: usize = 4096;
const BINARY_PREFIX_BYTES: usize = 16;

/// What is wrong with a header.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("failed to read the header")]
    Read(#[from] io::Error),
    #[error("this is no header of the PROXY protocol")]
    NoHeader,
    #[error("the header is too long")]
    TooLong,
}

/// Reads the header, and not a byte beyond it. `None` means that the proxy speaks for itself.
pub(super) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
) -> Result<Option<SocketAddr>, Error> {
    let mut header = Vec::new();
    loop {
        let missing = missing(&header)?;
        if missing == 0 {
            return parse(&header);
        }
        let had = header.len();
        header.resize(had + missing, 0);
        stream.read_exact(&mut header[had..]).await?;
    }
}

/// How many more bytes surely belong to the header that begins so.
fn missing(header: &[u8]) -> Result<usize, Error> {
    let binary = v2::PROTOCOL_PREFIX;
    let text = v1::PROTOCOL_PREFIX.as_bytes();
    let begins = |prefix: &[u8]| {
        let common = header.len().min(prefix.len());
        header[..common] == prefix[..common]
    };
    match header {
        [] => Ok(1),
        [.., b'\n'] if begins(text) => Ok(0),
        _ if begins(text) && header.len() >= TEXT_BYTES_MAX => Err(Error::TooLong),
        _ if begins(text) => Ok(1),
        _ if !begins(binary) => Err(Error::NoHeader),
        _ if header.len() < BINARY_PREFIX_BYTES => Ok(1),
        _ => {
            let rest = u16::from_be_bytes([header[14], header[15]]);
            let whole = BINARY_PREFIX_BYTES + usize::from(rest);
            if whole > BINARY_BYTES_MAX {
                return Err(Error::TooLong);
            }
            Ok(whole.saturating_sub(header.len()))
        }
    }
}

fn parse(header: &[u8]) -> Result<Option<SocketAddr>, Error> {
    match HeaderResult::parse(header) {
        HeaderResult::V1(Ok(header)) => Ok(match header.addresses {
            v1::Addresses::Tcp4(told) => Some(address(told.source_address, told.source_port)),
            v1::Addresses::Tcp6(told) => Some(address(told.source_address, told.source_port)),
            v1::Addresses::Unknown => None,
        }),
        HeaderResult::V2(Ok(header)) => Ok(match (header.command, header.addresses) {
            (v2::Command::Proxy, v2::Addresses::IPv4(told)) => {
                Some(address(told.source_address, told.source_port))
            }
            (v2::Command::Proxy, v2::Addresses::IPv6(told)) => {
                Some(address(told.source_address, told.source_port))
            }
            // Its own health check, or somebody who has no address.
            _ => None,
        }),
        HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => Err(Error::NoHeader),
    }
}

fn address(ip: impl Into<IpAddr>, port: u16) -> SocketAddr {
    SocketAddr::new(ip.into(), port)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A header of version 2 with these bytes after its first fourteen.
    fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).expect("short").to_be_bytes();
        [v2::PROTOCOL_PREFIX, &[command, family], &length, rest].concat()
    }

    const IPV4: [u8; 12] = [192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x34, 0, 22];

    async fn told(bytes: &[u8]) -> Result<(Option<String>, Vec<u8>), Error> {
        let mut rest = bytes;
        let told = read(&mut rest).await?;
        Ok((told.map(|told| told.to_string()), rest.to_vec()))
    }

    /// Whoever a proxy speaks for must be known by its own address, and the SSH that follows must
    /// begin at its first byte.
    #[tokio::test]
    async fn the_address_is_told_and_nothing_more_is_read() {
        let with_extras = [&IPV4[..], &[0xee, 0, 2, 1, 2]].concat();
        let ipv6 = [[0x20, 0x01], [0x0d, 0xb8]].concat();
        let ipv6 = [ipv6, vec![0; 11], vec![9], vec![0; 16], vec![0, 80, 0, 22]].concat();
        for (header, want) in [
            (
                b"PROXY TCP4 192.0.2.7 10.0.0.1 4660 22\r\n".to_vec(),
                Some("192.0.2.7:4660"),
            ),
            (
                b"PROXY TCP6 2001:db8::9 ::1 80 22\r\n".to_vec(),
                Some("[2001:db8::9]:80"),
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN a b c\r\n".to_vec(), None),
            (binary(0x21, 0x11, &IPV4), Some("192.0.2.7:4660")),
            (binary(0x21, 0x11, &with_extras), Some("192.0.2.7:4660")),
            (binary(0x21, 0x21, &ipv6), Some("[2001:db8::9]:80")),
            (binary(0x20, 0x00, &[]), None),
            (binary(0x20, 0x11, &IPV4), None),
            (binary(0x21, 0x31, &[b'x'; 216]), None),
        ] {
            let bytes = [header, b"SSH-2.0-x\r\n".to_vec()].concat();
            let (got, rest) = told(&bytes).await.expect("a header");
            assert_eq!(got.as_deref(), want);
            assert_eq!(rest, b"SSH-2.0-x\r\n");
        }
    }

    /// A proxy that is set up wrongly must be noticed, and nobody may send headers without end.
    #[tokio::test]
    async fn what_is_no_header_is_refused() {
        let endless = [b"PROXY ".to_vec(), vec![b'x'; 200]].concat();
        assert!(matches!(told(&endless).await, Err(Error::TooLong)));
        let long = binary(0x21, 0x11, &[0; BINARY_BYTES_MAX]);
        assert!(matches!(told(&long).await, Err(Error::TooLong)));
        for bytes in [
            b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(),
            b"PROXY TCP4 300.0.2.7 10.0.0.1 1 22\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7\r\n".to_vec(),
            b"PROXY\n".to_vec(),
            b"PROXZ TCP4 192.0.2.7 10.0.0.1 1 22\r\n".to_vec(),
            binary(0x31, 0x11, &IPV4),
            binary(0x21, 0x11, &IPV4[..4]),
        ] {
            let outcome = told(&bytes).await;
            assert!(
                matches!(outcome, Err(Error::NoHeader)),
                "{bytes:?}: {outcome:?}"
            );
        }
        assert!(matches!(told(b"PROXY TCP4").await, Err(Error::Read(_))));
    }

    proptest! {
        /// No bytes may take the door down, nor make it read on without end.
        #[test]
        fn no_bytes_bring_the_reader_down(
            prefix in prop::sample::select(vec![&b""[..], b"PROXY ", v2::PROTOCOL_PREFIX]),
            bytes in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let bytes = [prefix, &bytes].concat();
            let mut header = Vec::new();
            let mut left = bytes.as_slice();
            while let Ok(wanted) = missing(&header) {
                if wanted == 0 {
                    let _ = parse(&header);
                    break;
                }
                let Some((taken, rest)) = left.split_at_checked(wanted) else {
                    break;
                };
                header.extend_from_slice(taken);
                left = rest;
            }
            prop_assert!(header.len() <= BINARY_BYTES_MAX);
        }
    }
}
