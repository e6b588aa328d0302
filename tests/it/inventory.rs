//! The inventory: health, models, and the service's description of itself.

use harness::{Host, TYPES};

#[test]
fn inventory_lists_every_model_with_size_and_quality() {
    let host = Host::demo();
    let body = host.get("/models").json();
    let models = body["models"].as_array().expect("an array");
    let names: Vec<&str> = models.iter().map(|model| model["name"].as_str().expect("a name")).collect();
    assert_eq!(names, TYPES);
    for summary in models {
        let name = summary["name"].as_str().expect("a name");
        let whole = host.get(&format!("/models/{name}")).json();
        for field in ["type", "version", "format", "trees", "nodes", "warnings", "draft"] {
            assert_eq!(summary[field], whole[field], "{name}: {field}");
        }
        for field in ["intended_use", "out_of_scope"] {
            assert_eq!(summary[field], whole["source_attributes"][field], "{name}: {field}");
        }
        assert_eq!(whole["features"].as_array().map(Vec::len), summary["features"].as_u64().map(|n| n as usize));
        assert!(whole["warnings"][0].as_str().is_some_and(|text| text.contains("synthetic")));
        let (model, heuristic) = (&whole["quality"]["model"], &whole["quality"]["heuristic"]);
        assert!(model["auroc"].as_f64() > heuristic["auroc"].as_f64(), "{name} beats its heuristic");
        assert!(model["brier"].as_f64() < heuristic["brier"].as_f64(), "{name} beats its heuristic");
        let labels = whole["quality"]["confusion_labels"].as_array().map(Vec::len);
        assert_eq!(whole["quality"]["confusion"].as_array().map(Vec::len), labels);
    }
}

#[test]
fn every_model_says_what_it_is_for_and_how_well_it_does_in_which_group() {
    let host = Host::demo();
    for name in TYPES {
        let whole = host.get(&format!("/models/{name}")).json();
        assert_eq!(whole["draft"], false);
        let answers = whole["source_attributes"].as_object().expect("answers");
        let open = answers.iter().find(|(_, answer)| answer.as_str().is_none_or(str::is_empty));
        assert!(answers.len() > 20 && open.is_none(), "{name}: {open:?}");
        let (rows, groups) = (&whole["quality"]["rows"], whole["quality"]["groups"].as_array().expect("groups"));
        for group in ["mood state", "chronic insomnia", "check-ins in the window"] {
            let of = groups.iter().filter(|other| other["group"] == group);
            let count: u64 = of.filter_map(|group| group["rows"].as_u64()).sum();
            let expected = if name == "mood_state" && group == "mood state" { Some(0) } else { rows.as_u64() };
            assert_eq!(Some(count), expected, "{name}: {group}");
        }
        let metadata = host.get(&format!("/v2/models/{name}")).json();
        for (field, answer) in answers {
            assert_eq!(metadata["parameters"][field], *answer, "{name}: {field}");
        }
        assert_eq!(metadata["parameters"]["card"], format!("/models/{name}"));
    }
}

#[test]
fn health_and_home_respond() {
    let host = Host::demo();
    assert_eq!(host.get("/health/live").json()["status"], "live");
    let ready = host.get("/health/ready").json();
    assert_eq!(
        (&ready["status"], &ready["models"], &ready["store"]),
        (&"ready".into(), &TYPES.len().into(), &"ok".into())
    );
    let home = host.get("/").json();
    assert_eq!(home["service"], "bipolar-edge");
    let person = home["demo_people"][0]["user_id"].as_str().expect("an id");
    assert_eq!(host.predictions(person, "").status, 200);
}

#[test]
fn if_none_match_with_the_models_etag_is_304() {
    let host = Host::demo();
    for path in ["/models", "/models/mood_state", "/v2", "/v2/models/mood_state"] {
        let first = host.get(path);
        let tag = first.header("etag").to_owned();
        assert!(tag.starts_with("W/\"") && first.header("cache-control") == "private, no-cache", "{path}");
        for known in [tag.as_str(), &tag[2..], &format!("\"other\", {tag}"), "*"] {
            let again = host.request("GET", path, &[("if-none-match", known)]);
            assert_eq!((again.status, again.body.as_str(), again.header("etag")), (304, "", tag.as_str()), "{known}");
        }
        let other = host.request("GET", path, &[("if-none-match", "\"other\"")]);
        assert_eq!((other.status, &other.body), (200, &first.body));
        let head = host.request("HEAD", path, &[]);
        assert_eq!((head.status, head.body.as_str(), head.header("etag")), (200, "", tag.as_str()));
    }
    assert_eq!(host.request("GET", "/models/nothing", &[("if-none-match", "*")]).status, 404);
    assert_eq!(host.request("HEAD", "/models/nothing", &[]).status, 404);
    let path = format!("/data/predictions/{}", harness::DEPRESSED);
    let head = host.request("HEAD", &path, &[]);
    assert_eq!((head.status, head.body.as_str(), head.header("etag")), (200, "", ""));
    assert_eq!(host.request("HEAD", "/data/predictions", &[]).status, 405);
}
