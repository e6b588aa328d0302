//! `GET /openapi.json`: the API as OpenAPI 3.1 describes it. The document is `openapi.json` beside this file; tests
//! hold it against the routes, the fields of a check-in and, with schemathesis, the answers.

use crate::context::EndpointRequest;
use crate::http::Response;
use crate::http::response::Asset;
use crate::platform::Platform;
use crate::problem::Problem;

const DOCUMENT: Asset = Asset {
    gzip: include_bytes!(concat!(env!("OUT_DIR"), "/OPENAPI.gz")),
    content_type: "application/json",
    tag: env!("OPENAPI_TAG"),
};

pub(super) async fn get<P: Platform>(request: EndpointRequest<'_, P>) -> Result<Response, Problem> {
    Response::asset(&DOCUMENT, request.headers)
}

#[cfg(test)]
mod tests {
    use crate::endpoints::{self, Routes};
    use crate::fake_platform::Fake;
    use features::{FIELDS, Range};
    use serde_json::{Value, json};

    fn document() -> Value {
        serde_json::from_str(include_str!("openapi.json")).expect("JSON")
    }

    #[test]
    fn every_path_is_described_with_every_method() {
        let document = document();
        let paths = document["paths"].as_object().expect("paths");
        for (path, described) in paths {
            let path = path.replace("{name}", "mood_state").replace("{user_id}", "x").replace("{id}", "x");
            let found = endpoints::find::<Fake>(&path).expect("a route");
            let allow = found.allow();
            let mut there: Vec<&str> = allow.split(", ").filter(|method| *method != "HEAD").collect();
            let mut described: Vec<String> =
                described.as_object().expect("methods").keys().map(|method| method.to_uppercase()).collect();
            there.sort_unstable();
            described.sort_unstable();
            assert_eq!(there, described, "{path}");
        }
        for route in Routes::<Fake>::TABLE {
            assert!(paths.contains_key(route.templates[0]), "{} is not described", route.templates[0]);
        }
    }

    #[test]
    fn a_check_in_is_described_with_every_field_and_its_range() {
        let document = document();
        let checkin = &document["components"]["schemas"]["CheckIn"]["properties"];
        for field in FIELDS {
            let reference = checkin[field.group]["properties"][field.name]["$ref"].as_str().unwrap_or_default();
            assert_eq!(checkin[field.name]["$ref"], reference, "flat or in its group, {} is the same", field.name);
            let schema = &document["components"]["schemas"][reference.rsplit('/').next().unwrap_or_default()];
            let numbers =
                schema["anyOf"].as_array().and_then(|forms| forms.iter().find(|form| form["type"] == "number"));
            let bound = |name: &str| numbers.and_then(|numbers| numbers[name].as_f64());
            match field.range {
                Range::YesNo => {
                    let forms = json!([
                        { "type": "boolean" },
                        { "type": "integer", "minimum": 0, "maximum": 1 },
                        { "type": "string", "enum": ["0", "1"] },
                        { "type": "null" }
                    ]);
                    assert_eq!(schema["anyOf"], forms, "{}", field.name);
                }
                Range::UpTo(most) => {
                    assert_eq!(
                        (bound("minimum"), bound("maximum")),
                        (Some(0.0), Some(f64::from(most))),
                        "{}",
                        field.name
                    );
                }
                Range::Count => {
                    let most = Some(f64::from(f32::MAX));
                    assert_eq!((bound("minimum"), bound("maximum")), (Some(0.0), most), "{}", field.name);
                }
            }
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
