//! `GET /docs`: a page that renders `/openapi.json`.

use crate::context::EndpointRequest;
use crate::http::Response;
use crate::http::response::Asset;
use crate::platform::Platform;
use crate::problem::Problem;
use http::header::CONTENT_SECURITY_POLICY;

const DOCS: Asset = Asset {
    gzip: include_bytes!(concat!(env!("OUT_DIR"), "/DOCS.gz")),
    content_type: "text/html; charset=utf-8",
    tag: env!("DOCS_TAG"),
};

pub(super) async fn get<P: Platform>(request: EndpointRequest<'_, P>) -> Result<Response, Problem> {
    let response = Response::asset(&DOCS, request.headers)?;
    Ok(response.with_header(CONTENT_SECURITY_POLICY, env!("DOCS_POLICY")))
}
