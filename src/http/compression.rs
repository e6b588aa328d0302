//! Compressed bodies (RFC 9110, section 8.4): gzip and deflate in requests, gzip in answers.

use super::headers::accepts;
use crate::problem::{Problem, Text};
use flate2::Compression;
use flate2::bufread::{GzDecoder, MultiGzDecoder, ZlibDecoder};
use flate2::write::GzEncoder;
use http::HeaderMap;
use std::io::{Read, Write};

/// A shorter answer is not worth it: it is on its way in the first packets that a connection may send, and to compress
/// it takes longer than to make it.
pub(crate) const MIN_COMPRESSED_BYTES: usize = 4 << 10;

/// Decompresses a request's body, of at most `limit` bytes. Reads little beyond them.
pub fn decompress(headers: &HeaderMap, body: Vec<u8>, limit: usize) -> Result<Vec<u8>, Problem> {
    let mut encodings = headers.get_all("content-encoding").iter();
    let encoding = match (encodings.next(), encodings.next()) {
        (None, _) => return Ok(body),
        (Some(encoding), None) => encoding.to_str().unwrap_or("").trim().to_ascii_lowercase(),
        (Some(_), Some(_)) => return Err(Problem::UnsupportedContentEncoding),
    };
    let max = limit as u64 + 1;
    let mut bytes = Vec::new();
    let (read, rest) = match encoding.as_str() {
        "identity" => return Ok(body),
        // A body may have several members, one after the other (RFC 1952, section 2.2).
        "gzip" | "x-gzip" => (MultiGzDecoder::new(body.as_slice()).take(max).read_to_end(&mut bytes), 0),
        "deflate" if !is_zlib(&body) => {
            let message = Text::new(
                "is not in the zlib format, which content-encoding deflate is (RFC 9110, section 8.4.1.2)",
                "não está no formato zlib, que é o que content-encoding deflate significa (RFC 9110, seção 8.4.1.2)",
            );
            return Err(Problem::invalid("body", message));
        }
        "deflate" => {
            let mut decoder = ZlibDecoder::new(body.as_slice());
            (decoder.by_ref().take(max).read_to_end(&mut bytes), decoder.into_inner().len())
        }
        _ => return Err(Problem::UnsupportedContentEncoding),
    };
    match read {
        Ok(length) if length > limit => Err(Problem::TooLarge { limit }),
        Ok(_) if rest == 0 => Ok(bytes),
        _ => {
            let message =
                Text::new("is not what its content-encoding says", "não é o que o seu content-encoding declara");
            Err(Problem::invalid("body", message))
        }
    }
}

/// Returns true if bytes begin as the zlib format does (RFC 1950, section 2.2). Some send bare deflate in its place.
fn is_zlib(bytes: &[u8]) -> bool {
    matches!(bytes, [method, flags, ..] if method & 0x0f == 8 && u16::from_be_bytes([*method, *flags]) % 31 == 0)
}

/// Compresses an answer's body.
pub(crate) fn gzip(body: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    encoder.write_all(body).and_then(|()| encoder.finish()).ok()
}

/// Decompresses a file that the build has compressed.
pub(crate) fn gunzip(gzip: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    GzDecoder::new(gzip).read_to_end(&mut bytes).ok().map(|_| bytes)
}

/// Returns true if `accept-encoding` has gzip, by its own name or as anything.
pub(crate) fn is_gzip_accepted(headers: &HeaderMap) -> bool {
    accepts(headers, "accept-encoding", &["gzip", "x-gzip"], Some("*"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(encoding: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(http::header::CONTENT_ENCODING, http::HeaderValue::from_static(encoding))])
    }

    #[test]
    fn a_compressed_body_comes_back_as_it_was() {
        let body = vec![b' '; MIN_COMPRESSED_BYTES];
        let compressed = gzip(&body).expect("gzip");
        assert!(compressed.len() < 100);
        assert_eq!(gunzip(&compressed).as_deref(), Some(&*body));
        assert_eq!(decompress(&encoded("gzip"), compressed, MIN_COMPRESSED_BYTES), Ok(body));
    }

    #[test]
    fn members_of_a_body_are_read_to_the_last_and_bare_deflate_is_refused_by_name() {
        let [one, two] = [&b"[1,"[..], b"2]"].map(|part| gzip(part).expect("gzip"));
        let read = |encoding: &'static str, body: Vec<u8>, limit| decompress(&encoded(encoding), body, limit);
        assert_eq!(read("gzip", [one.as_slice(), &two].concat(), 5), Ok(b"[1,2]".to_vec()));
        assert_eq!(read("gzip", [one.as_slice(), &two].concat(), 4), Err(Problem::TooLarge { limit: 4 }));
        assert!(read("gzip", [one.as_slice(), b"rest"].concat(), 100).is_err());
        assert!(read("gzip", [one.as_slice(), &two[..two.len() - 1]].concat(), 100).is_err());
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(b"[1]").expect("compressed");
        let zlib = zlib.finish().expect("compressed");
        assert_eq!(read("deflate", zlib.clone(), 100), Ok(b"[1]".to_vec()));
        assert!(read("deflate", [zlib.as_slice(), b"rest"].concat(), 100).is_err());
        let bare = zlib[2..zlib.len() - 4].to_vec();
        let Err(Problem::Invalid(errors)) = read("deflate", bare, 100) else { panic!("it is not refused") };
        assert!(errors[0].message.of(features::Language::English).contains("zlib"));
    }

    proptest! {
        #[test]
        fn no_compressed_bytes_panic_or_become_more_than_they_may(
            mut noise in proptest::collection::vec(any::<u8>(), 0..64), at in any::<prop::sample::Index>(), is_gzip: bool,
        ) {
            let encoding = encoded(if is_gzip { "gzip" } else { "deflate" });
            let _ = decompress(&encoding, noise.clone(), 100);
            let mut bytes = gzip(&[b'x'; 5000]).expect("gzip");
            let at = at.index(bytes.len());
            noise.truncate(bytes.len() - at);
            bytes[at..at + noise.len()].copy_from_slice(&noise);
            prop_assert!(decompress(&encoding, bytes, 100).is_err());
        }
    }
}
