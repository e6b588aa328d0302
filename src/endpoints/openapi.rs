//! `GET /openapi.json`: what can be asked, as OpenAPI 3.1 describes it. The document is `openapi.json` beside this file; tests hold it
//! against the routes, the fields of a check-in and, with schemathesis, the answers.

use crate::compression::Stored;
use crate::response::Response;
use http::HeaderMap;

const DOCUMENT: Stored = Stored {
    gzip: include_bytes!(concat!(env!("OUT_DIR"), "/OPENAPI.gz")),
    content_type: "application/json",
    tag: env!("OPENAPI_TAG"),
};

pub(super) fn answer(headers: &HeaderMap) -> Response {
    DOCUMENT.answer(headers)
}

#[cfg(test)]
mod tests {
    use crate::route;
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
            let reference = checkin[field.group]["properties"][field.name]["$ref"].as_str().unwrap_or_default();
            let schema = &document["components"]["schemas"][reference.rsplit('/').next().unwrap_or_default()];
            let numbers =
                schema["anyOf"].as_array().and_then(|forms| forms.iter().find(|form| form["type"] == "number"));
            let bound = |name: &str| numbers.and_then(|numbers| numbers[name].as_f64());
            match field.range {
                Range::YesNo => {
                    assert_eq!(schema["enum"], json!([0, 1, true, false, "0", "1", null]), "{}", field.name)
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
