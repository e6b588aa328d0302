//! Bodies that are sent smaller than they are (RFC 9110, section 8.4): gzip and deflate in requests, gzip in answers.

use crate::problem::Problem;
use crate::response::Response;
use flate2::Compression;
use flate2::bufread::{GzDecoder, ZlibDecoder};
use flate2::write::GzEncoder;
use http::HeaderMap;
use std::io::{Read, Write};

/// A shorter answer is not worth it: it is on its way in the first packets that a connection may send, and to compress it takes
/// longer than to make it.
const SHORTEST: usize = 4 << 10;

/// What a request's body was before it was compressed, of at most `limit` bytes. Reads little beyond them.
pub(crate) fn decompress(headers: &HeaderMap, body: Vec<u8>, limit: usize) -> Result<Vec<u8>, Problem> {
    let mut encodings = headers.get_all("content-encoding").iter();
    let encoding = match (encodings.next(), encodings.next()) {
        (None, _) => return Ok(body),
        (Some(encoding), None) => encoding.to_str().unwrap_or("").trim().to_ascii_lowercase(),
        (Some(_), Some(_)) => return Err(Problem::CompressedBody),
    };
    let most = limit as u64 + 1;
    let mut bytes = Vec::new();
    let read = match encoding.as_str() {
        "identity" => return Ok(body),
        "gzip" | "x-gzip" => GzDecoder::new(body.as_slice()).take(most).read_to_end(&mut bytes),
        "deflate" => ZlibDecoder::new(body.as_slice()).take(most).read_to_end(&mut bytes),
        _ => return Err(Problem::CompressedBody),
    };
    match read {
        Ok(length) if length > limit => Err(Problem::TooLarge { limit }),
        Ok(_) => Ok(bytes),
        Err(_) => Err(Problem::invalid("body", "is not what its content-encoding says")),
    }
}

/// The same answer, compressed if its caller takes that and it is long enough.
pub(crate) fn compress(response: Response, headers: &HeaderMap) -> Response {
    let is_compressed = response.headers.iter().any(|(name, _)| *name == "content-encoding");
    if response.body.len() < SHORTEST || is_compressed {
        return response;
    }
    let mut response = response.varying("accept-encoding");
    if !takes_gzip(headers) {
        return response;
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(response.body.len() / 4), Compression::fast());
    let Ok(compressed) = encoder.write_all(&response.body).and_then(|()| encoder.finish()) else { return response };
    let length = compressed.len().to_string();
    response.body = compressed;
    response.with_header("content-encoding", "gzip").with_header("content-length", length)
}

/// A text that the build has compressed.
pub(crate) struct Stored {
    pub(crate) gzip: &'static [u8],
    pub(crate) content_type: &'static str,
    /// Changes with it.
    pub(crate) tag: &'static str,
}

impl Stored {
    /// The answer: as it is for who takes that, else as it was; to who has it, that it is the same.
    pub(crate) fn answer(&self, headers: &HeaderMap) -> Response {
        let response = if takes_gzip(headers) {
            Response::text(200, self.content_type, self.gzip).with_header("content-encoding", "gzip")
        } else {
            let mut bytes = Vec::new();
            match GzDecoder::new(self.gzip).read_to_end(&mut bytes) {
                Ok(_) => Response::text(200, self.content_type, bytes),
                // The build wrote it.
                Err(_) => return Problem::NoSuchRoute.into_response(),
            }
        };
        response.varying("accept-encoding").unless_known(self.tag, headers)
    }
}

/// Whether `accept-encoding` has gzip, by its own name or as anything, with a weight above nothing.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all("accept-encoding").iter().filter_map(|value| value.to_str().ok());
    let mut codings = values.flat_map(|value| value.split(',')).map(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or("").to_ascii_lowercase();
        let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        (name, weight.is_none_or(|weight| weight.parse().is_ok_and(|weight: f64| weight > 0.0)))
    });
    let mut any = false;
    let named = codings.find_map(|(name, wanted)| match name.as_str() {
        "gzip" | "x-gzip" => Some(wanted),
        "*" => {
            any = wanted;
            None
        }
        _ => None,
    });
    named.unwrap_or(any)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(http::HeaderName::from_static(name), value.parse().expect("a header"))])
    }

    #[test]
    fn gzip_is_sent_to_whoever_takes_it() {
        for (accepted, gzip) in [
            ("gzip", true),
            ("deflate, GZIP;q=0.5, br", true),
            ("x-gzip", true),
            ("*", true),
            ("*;q=0", false),
            ("gzip;q=0, *", false),
            ("*, gzip;q=0", false),
            ("gzip; q=0.000", false),
            ("gzip;q=x", false),
            ("identity", false),
            ("", false),
        ] {
            assert_eq!(takes_gzip(&headers("accept-encoding", accepted)), gzip, "{accepted}");
        }
        let accepted = headers("accept-encoding", "gzip");
        let long = compress(Response::json_text(200, vec![b' '; SHORTEST]), &accepted);
        assert!(long.headers.contains(&("content-encoding", "gzip".to_owned())) && long.body.len() < 100);
        let back = decompress(&headers("content-encoding", "gzip"), long.body, SHORTEST).expect("gzip");
        assert_eq!(back, vec![b' '; SHORTEST]);
        let short = compress(Response::json_text(200, vec![b' '; SHORTEST - 1]), &accepted);
        assert_eq!(short.body.len(), SHORTEST - 1);
    }

    proptest! {
        #[test]
        fn no_compressed_bytes_panic_or_become_more_than_they_may(
            mut noise in proptest::collection::vec(any::<u8>(), 0..64), at in any::<prop::sample::Index>(), gzip: bool,
        ) {
            let encoding = headers("content-encoding", if gzip { "gzip" } else { "deflate" });
            let _ = decompress(&encoding, noise.clone(), 100);
            let mut bytes = compress(Response::json_text(200, vec![b'x'; 5000]), &headers("accept-encoding", "*")).body;
            let at = at.index(bytes.len());
            noise.truncate(bytes.len() - at);
            bytes[at..at + noise.len()].copy_from_slice(&noise);
            prop_assert!(decompress(&encoding, bytes, 100).is_err());
        }
    }
}
