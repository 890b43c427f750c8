//! The frame of a chunked body: sizes, extensions, the last chunk and trailers (RFC 9112, 7.1).
//!
//! Extensions and trailers mean nothing here and are handed to nobody, but they are read, so they
//! are bounded: extensions by [`EXTENSIONS`] bytes a body, trailers by the limits of a head.

use super::{is_control, is_token};
use crate::middleware::rejection::RejectionKind;
use crate::server::limits::LimitsPolicy;

/// So many bytes of chunk extensions a body may have.
pub const EXTENSIONS: usize = 4096;

/// Where in the frame the next byte stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum At {
    #[default]
    SizeFirst,
    Size,
    SizeSpace,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailer,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
}

/// How far a chunked body has been read.
#[derive(Debug, Default)]
pub struct Chunks {
    at: At,
    digits: u8,
    size: u64,
    extensions: usize,
    trailers: usize,
    trailer_bytes: usize,
}

impl Chunks {
    /// Reads `bytes`: how many belong to the body, and whether they end it; or how many of them
    /// were good, and what is wrong with the next.
    pub fn advance(
        &mut self,
        bytes: &[u8],
        limits: &LimitsPolicy,
    ) -> Result<(usize, bool), (usize, RejectionKind)> {
        let mut read = 0;
        while read < bytes.len() {
            if self.at == At::Data {
                let left = usize::try_from(self.size).unwrap_or(usize::MAX);
                let passing = left.min(bytes.len() - read);
                read += passing;
                self.size -= passing as u64;
                if self.size == 0 {
                    self.at = At::DataCr;
                }
                continue;
            }
            let byte = bytes[read];
            if self.at == At::EndLf && byte == b'\n' {
                return Ok((read + 1, true));
            }
            self.at = self.step(byte, limits).map_err(|kind| (read, kind))?;
            read += 1;
        }
        Ok((read, false))
    }

    /// Where a byte of the frame leads.
    fn step(&mut self, byte: u8, limits: &LimitsPolicy) -> Result<At, RejectionKind> {
        let bad = Err(RejectionKind::BadBody);
        match (self.at, byte) {
            (At::SizeFirst | At::Size, _) if byte.is_ascii_hexdigit() => self.digit(byte),
            (At::Size | At::Extension, b'\r') => Ok(At::SizeLf),
            (At::Size | At::SizeSpace, b';') => Ok(At::Extension),
            (At::Size | At::SizeSpace, b' ' | b'\t') => self.extension(At::SizeSpace),
            (At::Extension, _) if !is_control(byte) => self.extension(At::Extension),
            (At::SizeLf, b'\n') => {
                self.digits = 0;
                Ok(if self.size == 0 { At::Trailer } else { At::Data })
            }
            (At::DataCr, b'\r') => Ok(At::DataLf),
            (At::DataLf, b'\n') => Ok(At::SizeFirst),
            (At::Trailer, b'\r') => Ok(At::EndLf),
            (At::Trailer, _) if is_token(byte) => {
                self.trailers += 1;
                if self.trailers > limits.header_count {
                    return Err(RejectionKind::HeadersTooLarge);
                }
                self.trailer(At::TrailerName, limits)
            }
            (At::TrailerName, b':') => self.trailer(At::TrailerValue, limits),
            (At::TrailerName, _) if is_token(byte) => self.trailer(At::TrailerName, limits),
            (At::TrailerValue, b'\r') => self.trailer(At::TrailerLf, limits),
            (At::TrailerValue, _) if !is_control(byte) => self.trailer(At::TrailerValue, limits),
            (At::TrailerLf, b'\n') => self.trailer(At::Trailer, limits),
            _ => bad,
        }
    }

    fn digit(&mut self, byte: u8) -> Result<At, RejectionKind> {
        self.digits += 1;
        if self.digits > 16 {
            return Err(RejectionKind::BadBody);
        }
        let digit = (byte as char).to_digit(16).ok_or(RejectionKind::BadBody)?;
        self.size = if self.digits == 1 { 0 } else { self.size << 4 } | u64::from(digit);
        Ok(At::Size)
    }

    fn extension(&mut self, at: At) -> Result<At, RejectionKind> {
        self.extensions += 1;
        if self.extensions > EXTENSIONS { Err(RejectionKind::BadBody) } else { Ok(at) }
    }

    fn trailer(&mut self, at: At, limits: &LimitsPolicy) -> Result<At, RejectionKind> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > limits.headers {
            Err(RejectionKind::HeadersTooLarge)
        } else {
            Ok(at)
        }
    }
}
