//! The codecs: whole bodies and streams that are flushed at every chunk.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::{Compression, GzBuilder, write::GzEncoder};

use super::config::Encoding;

const ZSTD_LEVEL: i32 = 3;
const BROTLI_QUALITY: u32 = 4;
const BROTLI_WINDOW: u32 = 20;
const GZIP_LEVEL: u32 = 6;

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
    pub fn new(encoding: Encoding) -> io::Result<Self> {
        let padding = padding();
        Ok(match encoding {
            Encoding::Zstd => {
                // A skippable frame (RFC 8878, 3.1.2) of random length; decoders pass it over.
                let mut head = Vec::with_capacity(padding.len() + 8);
                head.extend_from_slice(&0x184D_2A50_u32.to_le_bytes());
                head.extend_from_slice(&u32::try_from(padding.len()).unwrap_or(0).to_le_bytes());
                head.extend_from_slice(&padding);
                Self::Zstd(zstd::stream::write::Encoder::new(head, ZSTD_LEVEL)?)
            }
            Encoding::Brotli => Self::Brotli(Box::new(brotli::CompressorWriter::new(
                Vec::new(),
                4096,
                BROTLI_QUALITY,
                BROTLI_WINDOW,
            ))),
            Encoding::Gzip => Self::Gzip(
                GzBuilder::new().filename(padding).write(Vec::new(), Compression::new(GZIP_LEVEL)),
            ),
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
            Self::Zstd(encoder) => encoder.finish()?,
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
pub fn whole(encoding: Encoding, body: &[u8]) -> io::Result<Bytes> {
    let mut encoder = Encoder::new(encoding)?;
    match &mut encoder {
        Encoder::Zstd(encoder) => encoder.write_all(body)?,
        Encoder::Brotli(encoder) => encoder.write_all(body)?,
        Encoder::Gzip(encoder) => encoder.write_all(body)?,
    }
    encoder.finish()
}

/// 1 to [`MAX_PADDING`] letters.
fn padding() -> Vec<u8> {
    let mut random = [0];
    getrandom::fill(&mut random).expect("the kernel gives randomness");
    vec![b'a'; usize::from(random[0] % MAX_PADDING) + 1]
}
