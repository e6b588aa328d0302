//! Bodies of requests, read up to a limit and until a deadline.

use super::compression::decompress;
use crate::deadline::Deadline;
use crate::limits::MAX_ITEM_BYTES;
use crate::load::{Load, Share};
use crate::platform::{BodyError, RequestBody, Tasks, with_timeout};
use crate::problem::Problem;
use http::HeaderMap;
use std::ops::Deref;
use std::rc::Rc;

/// A body that was read, which counts as load for as long as it is there.
pub(crate) struct ReadBody {
    bytes: Vec<u8>,
    _share: Share,
}

impl Deref for ReadBody {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads the body of a request that declares JSON.
pub(crate) async fn read_json(
    (platform, load): (&impl Tasks, &Rc<Load>),
    headers: &HeaderMap,
    body: impl RequestBody,
    limit: usize,
    deadline: Deadline,
) -> Result<ReadBody, Problem> {
    let content_type = headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or("");
    let media_type = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let is_json =
        media_type == "application/json" || (media_type.starts_with("application/") && media_type.ends_with("+json"));
    if !is_json {
        return Err(Problem::UnsupportedMediaType);
    }
    read_bytes((platform, load), headers, body, limit, deadline).await
}

/// Reads the body of a request, of at most `limit` bytes once it is decompressed, if it arrives before the deadline
/// and the instance has room for it.
pub(crate) async fn read_bytes(
    (platform, load): (&impl Tasks, &Rc<Load>),
    headers: &HeaderMap,
    body: impl RequestBody,
    limit: usize,
    deadline: Deadline,
) -> Result<ReadBody, Problem> {
    let declared = headers.get("content-length").and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > limit as u64) {
        return Err(Problem::TooLarge { limit });
    }
    // One that is compressed, or does not say how long it is, may become as long as it may be.
    let is_compressed = headers.contains_key("content-encoding");
    let most = declared.filter(|_| !is_compressed).and_then(|length| usize::try_from(length).ok()).unwrap_or(limit);
    let share = load.take_bytes(most, most > MAX_ITEM_BYTES).ok_or(Problem::Overloaded)?;
    match with_timeout(platform, deadline.remaining(), body.read(limit)).await {
        Some(Ok(bytes)) => Ok(ReadBody { bytes: decompress(headers, bytes, limit)?, _share: share }),
        Some(Err(BodyError::TooLong)) => Err(Problem::TooLarge { limit }),
        Some(Err(BodyError::Incomplete)) => Err(Problem::IncompleteBody),
        None => Err(Problem::RequestTimeout),
    }
}
