//! The codecs: whole bodies and streams that are flushed at every chunk.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::{Compression, GzBuilder, write::GzEncoder};

use super::config::{Coding, Encoding};

const BROTLI_WINDOW: u32 = 20;

/// The longest padding against BREACH, in bytes, as Django's.
const MAX_PADDING: u8 = 100;

/// A codec that turns what is written into encoded bytes.
pub enum Encoder {
    /// zstd.
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    /// Brotli.
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    /// gzip.
    Gzip(GzEncoder<Vec<u8>>),
}

impl Encoder {
    /// A fresh codec.
    ///
    /// # Errors
    /// When the codec cannot allocate its context.
    pub fn new(coding: Coding) -> io::Result<Self> {
        let level = coding.level;
        Ok(match coding.encoding {
            Encoding::Zstd => {
                let level = i32::try_from(level).map_err(io::Error::other)?;
                Self::Zstd(zstd::stream::write::Encoder::new(Vec::new(), level)?)
            }
            Encoding::Brotli => {
                let mut encoder =
                    brotli::CompressorWriter::new(Vec::new(), 4096, level, BROTLI_WINDOW);
                // Writes the stream's header and ends it at a byte.
                encoder.flush()?;
                pad_brotli(encoder.get_mut());
                Self::Brotli(Box::new(encoder))
            }
            Encoding::Gzip => {
                let head = GzBuilder::new().filename(padding());
                Self::Gzip(head.write(Vec::new(), Compression::new(level)))
            }
        })
    }

    /// Encodes `chunk` and gives everything that is ready, so that the client can decode it now.
    ///
    /// # Errors
    /// When the codec fails.
    pub fn chunk(&mut self, chunk: &[u8]) -> io::Result<Bytes> {
        let encoded = match self {
            Self::Zstd(encoder) => {
                encoder.write_all(chunk)?;
                encoder.flush()?;
                std::mem::take(encoder.get_mut())
            }
            Self::Brotli(encoder) => {
                encoder.write_all(chunk)?;
                encoder.flush()?;
                std::mem::take(encoder.get_mut())
            }
            Self::Gzip(encoder) => {
                encoder.write_all(chunk)?;
                encoder.flush()?;
                std::mem::take(encoder.get_mut())
            }
        };
        Ok(encoded.into())
    }

    /// The end of the encoded stream.
    ///
    /// # Errors
    /// When the codec fails.
    pub fn finish(self) -> io::Result<Bytes> {
        Ok(match self {
            Self::Zstd(encoder) => {
                let mut encoded = encoder.finish()?;
                pad_zstd(&mut encoded);
                encoded
            }
            Self::Brotli(encoder) => encoder.into_inner(),
            Self::Gzip(encoder) => encoder.finish()?,
        }
        .into())
    }
}

/// Encodes a whole body.
///
/// # Errors
/// When the codec fails.
pub fn whole(coding: Coding, body: &[u8]) -> io::Result<Bytes> {
    let mut encoder = Encoder::new(coding)?;
    match &mut encoder {
        Encoder::Zstd(encoder) => encoder.write_all(body)?,
        Encoder::Brotli(encoder) => encoder.write_all(body)?,
        Encoder::Gzip(encoder) => encoder.write_all(body)?,
    }
    encoder.finish()
}

/// A metadata block (RFC 7932, 9.2), which decoders pass over: not the last one, of kind 11,
/// reserved 0, one byte of length, the length less 1, then bits to the end of the byte.
fn pad_brotli(encoded: &mut Vec<u8>) {
    let padding = padding();
    let length = u16::try_from(padding.len() - 1).expect("padding is short");
    encoded.extend_from_slice(&(0b01_0110 | length << 6).to_le_bytes());
    encoded.extend_from_slice(&padding);
}

/// A skippable frame (RFC 8878, 3.1.2), at the end, for decoders that stop at the first frame.
fn pad_zstd(encoded: &mut Vec<u8>) {
    let padding = padding();
    let length = u32::try_from(padding.len()).expect("padding is short");
    encoded.extend_from_slice(&0x184D_2A50_u32.to_le_bytes());
    encoded.extend_from_slice(&length.to_le_bytes());
    encoded.extend_from_slice(&padding);
}

/// 1 to [`MAX_PADDING`] letters.
fn padding() -> Vec<u8> {
    let mut random = [0];
    getrandom::fill(&mut random).expect("the kernel gives randomness");
    vec![b'a'; usize::from(random[0] % MAX_PADDING) + 1]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::io::Read;

    use super::*;
    use crate::config::diagnostic::Diagnostics;
    use crate::middleware::compress::CompressConfig;

    fn codings() -> Vec<Coding> {
        let policy = CompressConfig::default().compile(&mut Diagnostics::default());
        policy.expect("the defaults are fine").codings
    }

    fn decoded(encoding: Encoding, body: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        match encoding {
            Encoding::Zstd => {
                zstd::stream::read::Decoder::new(body).unwrap().read_to_end(&mut plain)
            }
            Encoding::Brotli => brotli::Decompressor::new(body, 4096).read_to_end(&mut plain),
            Encoding::Gzip => flate2::read::GzDecoder::new(body).read_to_end(&mut plain),
        }
        .unwrap();
        plain
    }

    #[test]
    fn whole_bodies_decode_and_their_length_says_little() {
        let body = "0123456789".repeat(500);
        for coding in codings() {
            let encoding = coding.encoding;
            let lengths: HashSet<usize> = (0..50)
                .map(|_| {
                    let encoded = whole(coding, body.as_bytes()).unwrap();
                    assert_eq!(decoded(encoding, &encoded), body.as_bytes(), "{encoding:?}");
                    encoded.len()
                })
                .collect();
            assert!(lengths.len() > 5, "{encoding:?}: {lengths:?}");
        }
    }

    #[test]
    fn a_chunk_can_be_decoded_when_it_was_written() {
        for coding in codings() {
            let encoding = coding.encoding;
            let mut encoder = Encoder::new(coding).unwrap();
            let mut sent = encoder.chunk(b"first ").unwrap().to_vec();
            let mut first = [0; 6];
            match encoding {
                Encoding::Zstd => {
                    zstd::stream::read::Decoder::new(&*sent).unwrap().read_exact(&mut first)
                }
                Encoding::Brotli => brotli::Decompressor::new(&*sent, 4096).read_exact(&mut first),
                Encoding::Gzip => flate2::read::GzDecoder::new(&*sent).read_exact(&mut first),
            }
            .unwrap();
            assert_eq!(&first, b"first ", "{encoding:?}");
            sent.extend(encoder.chunk(b"second").unwrap());
            sent.extend(encoder.finish().unwrap());
            assert_eq!(decoded(encoding, &sent), b"first second", "{encoding:?}");
        }
    }
    /// Prints what the bytes that are encoded on the I/O thread take, and what 1 MB takes.
    #[test]
    #[allow(clippy::print_stdout)] // it is what the test is run by hand for
    fn how_long_a_body_takes() {
        let line =
            r#"{"id": 1234567, "name": "a name", "tags": ["x", "yy", "zzz"], "at": "2024"},"#;
        let text: String = (0..20_000u32)
            .map(|number| line.replace("1234567", &number.wrapping_mul(2_654_435_761).to_string()))
            .collect();
        for encoding in Encoding::ALL {
            for level in 1..=9 {
                let coding = Coding { encoding, level };
                let timed = |bytes: usize| {
                    let start = std::time::Instant::now();
                    let encoded = whole(coding, &text.as_bytes()[..bytes]).unwrap();
                    assert!(encoded.len() < bytes);
                    start.elapsed()
                };
                let best = (0..5).map(|_| timed(coding.inline_bytes())).min().unwrap();
                println!("{encoding:?} {level}: {} bytes in {best:?}", coding.inline_bytes());
                // Ten times the aim: the machine may be busy, and the codecs are built for tests.
                assert!(best.as_millis() < 10, "{encoding:?} {level}: {best:?}");
            }
        }
        for coding in codings() {
            let start = std::time::Instant::now();
            whole(coding, &text.as_bytes()[..1_000_000]).unwrap();
            println!("{:?}: 1 MB in {:?}", coding.encoding, start.elapsed());
        }
    }
}
