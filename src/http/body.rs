//! Bodies of requests, read up to a limit and until a deadline.

use super::compression::decompress;
use crate::deadline::Deadline;
use crate::platform::{BodyError, RequestBody, Tasks, with_timeout};
use crate::problem::Problem;
use http::HeaderMap;

/// Reads the body of a request that declares JSON.
pub(crate) async fn read_json(
    platform: &impl Tasks,
    headers: &HeaderMap,
    body: impl RequestBody,
    limit: usize,
    deadline: Deadline,
) -> Result<Vec<u8>, Problem> {
    let content_type = headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or("");
    let media_type = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let is_json =
        media_type == "application/json" || (media_type.starts_with("application/") && media_type.ends_with("+json"));
    if !is_json {
        return Err(Problem::UnsupportedMediaType);
    }
    read_bytes(platform, headers, body, limit, deadline).await
}

/// Reads the body of a request, of at most `limit` bytes once it is decompressed, if it arrives before the deadline.
pub(crate) async fn read_bytes(
    platform: &impl Tasks,
    headers: &HeaderMap,
    body: impl RequestBody,
    limit: usize,
    deadline: Deadline,
) -> Result<Vec<u8>, Problem> {
    let declared = headers.get("content-length").and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > limit as u64) {
        return Err(Problem::TooLarge { limit });
    }
    match with_timeout(platform, deadline.remaining(), body.read(limit)).await {
        Some(Ok(bytes)) => decompress(headers, bytes, limit),
        Some(Err(BodyError::TooLong)) => Err(Problem::TooLarge { limit }),
        Some(Err(BodyError::Incomplete)) => Err(Problem::IncompleteBody),
        None => Err(Problem::RequestTimeout),
    }
}
