//! `GET /openapi.json`: what can be asked, as OpenAPI 3.1 describes it. The document is `openapi.json` beside this file; tests hold it
//! against the routes, the fields of a check-in and, with schemathesis, the answers.

use crate::compression;
use crate::response::Response;
use http::HeaderMap;

/// Compressed by the build.
const DOCUMENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/openapi.json.gz"));

pub(super) fn answer(headers: &HeaderMap) -> Response {
    compression::stored(DOCUMENT, "application/json", headers).unless_known(env!("OPENAPI_HASH"), headers)
}

#[cfg(test)]
mod tests {
    use crate::route;
    use features::{FIELDS, Range};
    use serde_json::Value;

    fn document() -> Value {
        serde_json::from_str(include_str!("openapi.json")).expect("JSON")
    }

    #[test]
    fn every_path_is_described_with_every_method() {
        let document = document();
        let paths = document["paths"].as_object().expect("paths");
        for (path, described) in paths {
            let path = path.replace("{name}", "mood_state").replace("{user_id}", "x").replace("{id}", "x");
            let methods = route::methods(&path).expect("a route");
            let mut there: Vec<&str> = methods.split(", ").filter(|method| *method != "HEAD").collect();
            let mut described: Vec<String> =
                described.as_object().expect("methods").keys().map(|method| method.to_uppercase()).collect();
            there.sort_unstable();
            described.sort_unstable();
            assert_eq!(there, described, "{path}");
            let template = route::name(&path).expect("a route");
            assert!(paths.contains_key(template), "{template}");
        }
        for template in route::ALL_NAMES {
            assert!(paths.contains_key(template), "{template} is not described");
        }
    }

    #[test]
    fn a_check_in_is_described_with_every_field_and_its_range() {
        let document = document();
        let checkin = &document["components"]["schemas"]["CheckIn"]["properties"];
        for field in FIELDS {
            let described = &checkin[field.group]["properties"][field.name];
            let most = match field.range {
                Range::YesNo => Some(1.0),
                Range::UpTo(most) => Some(f64::from(most)),
                Range::Count => None,
            };
            assert_eq!(
                (described["minimum"].as_f64(), described["maximum"].as_f64()),
                (Some(0.0), most),
                "{}",
                field.name
            );
        }
        let described: usize = checkin
            .as_object()
            .expect("properties")
            .values()
            .filter_map(|group| group["properties"].as_object())
            .map(serde_json::Map::len)
            .sum();
        assert_eq!(described, FIELDS.len());
    }
}
