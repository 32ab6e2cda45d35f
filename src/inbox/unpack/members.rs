//! gzip and zstd, member after member: files that were compressed one by one and glued together
//! read as one. Each member ends where its format says, so that what follows the last is seen.

use std::io::{self, BufRead, Read};

use super::{failure, trailing};
use crate::batch::{Code, Fault};

/// The longest window a zstd file may ask for, as a power of two: what its tool makes by default
/// and at its highest ordinary level.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// Members of one file: each costs its preparation, however little is in it.
const MEMBERS_MAX: u32 = 1_000_000;

/// The bytes of all members.
pub(super) struct Members<R: BufRead> {
    member: Member<R>,
    members: u32,
}

enum Member<R: BufRead> {
    Gzip(flate2::bufread::GzDecoder<R>),
    Zstd(zstd::Decoder<'static, R>),
    /// There is none any more.
    End,
}

impl<R: BufRead> Members<R> {
    /// The members of a gzip file.
    pub(super) fn gzip(source: R) -> Self {
        let member = Member::Gzip(flate2::bufread::GzDecoder::new(source));
        Self { member, members: 1 }
    }

    /// The frames of a zstd file, which begins with `head`.
    pub(super) fn zstd(source: R, head: &[u8]) -> io::Result<Self> {
        if window_log(head).is_some_and(|log| log > ZSTD_WINDOW_LOG_MAX) {
            let most = 1 << (ZSTD_WINDOW_LOG_MAX - 20);
            let expected = format!("zstd with a window of at most {most} MiB");
            let fault = Fault::whole(Code::FileCompression, expected, "a longer one");
            return Err(failure(
                fault.hint("compress it without `--long` and `--ultra`"),
            ));
        }
        let member = Member::Zstd(frame(source)?);
        Ok(Self { member, members: 1 })
    }

    /// Begins the next member, if there is one.
    fn next(&mut self) -> io::Result<()> {
        match std::mem::replace(&mut self.member, Member::End) {
            Member::Gzip(ended) => {
                let mut source = ended.into_inner();
                if self.goes_on(&mut source, |first| first == 0x1f)? {
                    self.member = Member::Gzip(flate2::bufread::GzDecoder::new(source));
                }
            }
            Member::Zstd(mut ended) => {
                ended.finish_frame()?;
                let mut source = ended.finish();
                // A frame of data, or one to be skipped.
                if self.goes_on(&mut source, |first| first == 0x28 || first & 0xf0 == 0x50)? {
                    self.member = Member::Zstd(frame(source)?);
                }
            }
            Member::End => {}
        }
        Ok(())
    }

    fn goes_on(&mut self, source: &mut R, begins: impl Fn(u8) -> bool) -> io::Result<bool> {
        match source.fill_buf()?.first() {
            None => Ok(false),
            Some(&first) if begins(first) && self.members < MEMBERS_MAX => {
                self.members += 1;
                Ok(true)
            }
            Some(_) => Err(failure(trailing())),
        }
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let length = match &mut self.member {
                Member::Gzip(member) => member.read(into)?,
                Member::Zstd(member) => member.read(into)?,
                Member::End => return Ok(0),
            };
            if length > 0 || into.is_empty() {
                return Ok(length);
            }
            self.next()?;
        }
    }
}

fn frame<R: BufRead>(source: R) -> io::Result<zstd::Decoder<'static, R>> {
    let mut decoder = zstd::Decoder::with_buffer(source)?.single_frame();
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    Ok(decoder)
}

/// How long a window the frame that begins with `head` asks for; `None` where it asks for none.
fn window_log(head: &[u8]) -> Option<u32> {
    const SINGLE_SEGMENT: u8 = 1 << 5;
    const LEAST: u32 = 10;
    let (magic, rest) = head.split_at_checked(4)?;
    let [descriptor, window, ..] = rest else {
        return None;
    };
    let has_window = magic == [0x28, 0xb5, 0x2f, 0xfd] && descriptor & SINGLE_SEGMENT == 0;
    has_window.then(|| LEAST + u32::from(window >> 3))
}
