//! The Open Inference Protocol, as clients of other model servers speak it.

use bipolar_edge_models::{MODELS, Model};
use harness::tokens::API_KEY;
use harness::{Host, Response, wait_until};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;

const MODEL: &str = "mood_state";

fn model() -> &'static Model {
    Model::find(MODEL).expect("a model")
}

/// Rows that reach many leaves, with what no number is in some places.
fn rows(count: usize) -> Vec<Vec<f64>> {
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 0.1, 1e-40];
    let number = |row: usize, column: usize| match (row * 31 + column * 17) % 11 {
        0 => odd[(row + column) % odd.len()],
        step => (row % 13) as f64 * 0.7 + step as f64,
    };
    (0..count).map(|row| (0..model().features.len()).map(|column| number(row, column)).collect()).collect()
}

fn infer(host: &Host, body: &Value) -> Response {
    host.post(&format!("/v2/models/{MODEL}/infer"), body)
}

/// A tensor of rows as Python's JSON has it.
fn tensor(rows: &[Vec<f64>], datatype: &str) -> Value {
    let number = |number: &f64| if number.is_nan() { Value::Null } else { json!(number) };
    let data: Vec<Vec<Value>> = rows.iter().map(|row| row.iter().map(number).collect()).collect();
    json!({ "name": "input", "shape": [rows.len(), model().features.len()], "datatype": datatype, "data": data })
}

fn output(answer: &Response, name: &str) -> Vec<f64> {
    let outputs = answer.json()["outputs"].clone();
    let found = outputs.as_array().expect("outputs").iter().find(|output| output["name"] == name).expect("the output");
    found["data"].as_array().expect("data").iter().map(|number| number.as_f64().expect("a number")).collect()
}

/// The models' native outputs. Their `exp` is another library's than Wasm's: the last digits may differ.
fn close(ours: &[f64], theirs: &[f64]) {
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(theirs) {
        assert!((ours - theirs).abs() <= 1e-14 * theirs.abs().max(1.0), "{ours} is not {theirs}");
    }
}

#[test]
fn metadata_describes_the_server_and_every_model() {
    let host = Host::demo();
    assert_eq!(host.get("/v2/health/live").json(), json!({ "live": true }));
    assert_eq!(host.get("/v2/health/ready").json(), json!({ "ready": true }));
    let server = host.get("/v2").json();
    let extensions = json!(["binary_tensor_data", "model_configuration", "statistics"]);
    assert_eq!((&server["name"], &server["extensions"]), (&json!("bipolar-edge"), &extensions));
    for model in MODELS {
        let path = format!("/v2/models/{}", model.name);
        assert_eq!(host.get(&format!("{path}/ready")).json(), json!({ "name": model.name, "ready": true }));
        let metadata = host.get(&path).json();
        assert_eq!((&metadata["name"], &metadata["versions"]), (&json!(model.name), &json!([model.version])));
        let input = &metadata["inputs"][0];
        assert_eq!((&input["name"], &input["shape"]), (&json!("input"), &json!([-1, model.features.len()])));
        assert_eq!(input["parameters"]["names"], model.features.join(","));
        let outputs = metadata["outputs"].as_array().expect("outputs");
        let names: Vec<&Value> = outputs.iter().map(|output| &output["name"]).collect();
        assert_eq!(names, ["probabilities", "margin", "contributions"]);
        assert_eq!(outputs[0]["shape"], json!([-1, model.output_count()]));
        assert_eq!(outputs[2]["shape"], json!([-1, model.output_count(), model.features.len() + 1]));
        let version = host.get(&format!("{path}/versions/{}", model.version));
        assert_eq!(version.json(), metadata);
    }
    for path in ["/v2/models/nothing", "/v2/models/mood_state/versions/2", "/v2/models/nothing/ready", "/v2/nothing"] {
        let answer = host.get(path);
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.json()["error"].is_string() && answer.json().as_object().map(serde_json::Map::len) == Some(1));
    }
    assert_eq!(host.request("DELETE", "/v2/models/mood_state", &[]).header("allow"), "GET, HEAD");
}

#[test]
fn inference_equals_the_native_model_row_by_row() {
    let host = Host::demo();
    for count in [1, 2, 256, 700] {
        let rows: Vec<Vec<f64>> = rows(count)
            .into_iter()
            .map(|row| row.into_iter().map(|x| if x.is_infinite() { 9.0 } else { x }).collect())
            .collect();
        let answer = infer(&host, &json!({ "id": "seven", "inputs": [tensor(&rows, "FP64")] }));
        assert_eq!(answer.status, 200, "{}", answer.body);
        let body = answer.json();
        assert_eq!(
            (&body["id"], &body["model_name"], &body["model_version"]),
            (&json!("seven"), &json!(MODEL), &json!(model().version))
        );
        assert_eq!(body["outputs"][0]["shape"], json!([count, 4]));
        let margins: Vec<f64> = rows.iter().flat_map(|row| model().margins(row).expect("a row")).collect();
        assert_eq!(output(&answer, "margin"), margins, "to the bit");
        let probabilities: Vec<f64> = rows.iter().flat_map(|row| model().probabilities(row).expect("a row")).collect();
        close(&output(&answer, "probabilities"), &probabilities);
    }
    // Flat as well as nested, one row without its list, in another datatype, and in Python's own words for what is no
    // number.
    let rows = rows(3);
    let flat: Vec<f64> = rows.concat();
    let word = |number: &f64| match number {
        x if x.is_nan() => "NaN".to_owned(),
        x if *x == f64::INFINITY => "Infinity".to_owned(),
        x if *x == f64::NEG_INFINITY => "-Infinity".to_owned(),
        x => format!("{x:?}"),
    };
    let words: Vec<String> = flat.iter().map(word).collect();
    let margins: Vec<f64> = rows.iter().flat_map(|row| model().margins(row).expect("a row")).collect();
    for (shape, words, datatype, expected) in [
        (format!("[3,{}]", model().features.len()), &words[..], "FP64", &margins[..]),
        (format!("[{}]", model().features.len()), &words[..model().features.len()], "FP32", &margins[..4]),
    ] {
        let body = format!(
            r#"{{"id":"NaN \"Infinity\" \\","inputs":[{{"name":"input","shape":{shape},"datatype":"{datatype}","data":[{}]}}]}}"#,
            words.join(", ")
        );
        let answer = host.send("POST", &format!("/v2/models/{MODEL}/infer"), &[], &body);
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.json()["id"], "NaN \"Infinity\" \\");
        assert_eq!(output(&answer, "margin"), expected);
    }
}

#[test]
fn requested_outputs_are_returned_and_contributions_sum_to_the_margin() {
    let host = Host::demo();
    let rows = rows(4);
    let input =
        tensor(&rows.iter().map(|row| row.iter().map(|x| x.clamp(-1e9, 1e9)).collect()).collect::<Vec<_>>(), "FP64");
    let asked =
        infer(&host, &json!({ "inputs": [input], "outputs": [{ "name": "contributions" }, { "name": "margin" }] }));
    let outputs = asked.json()["outputs"].as_array().expect("outputs").clone();
    assert_eq!(outputs.iter().map(|output| &output["name"]).collect::<Vec<_>>(), ["contributions", "margin"]);
    assert_eq!(outputs[0]["shape"], json!([4, 4, model().features.len() + 1]));
    let sums: Vec<f64> =
        output(&asked, "contributions").chunks(model().features.len() + 1).map(|row| row.iter().sum()).collect();
    for (sum, margin) in sums.iter().zip(output(&asked, "margin")) {
        assert!((sum - margin).abs() < 1e-4, "{sum} is not {margin}");
    }
    let by_parameter = infer(&host, &json!({ "inputs": [input], "parameters": { "contributions": true } }));
    assert_eq!(output(&by_parameter, "contributions"), output(&asked, "contributions"));
    let without = infer(&host, &json!({ "inputs": [input] })).json();
    assert_eq!(without["outputs"].as_array().map(Vec::len), Some(2));
}

/// A request as it goes over the wire, answered as it comes.
fn raw(host: &Host, head: &str, body: &[u8]) -> (String, Vec<u8>) {
    let length = body.len();
    let head = format!("{head}host: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    exchange(host, &[head.as_bytes(), body].concat())
}

fn exchange(host: &Host, request: &[u8]) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(&host.address).expect("a connection");
    // A server that has seen enough stops reading.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head");
    (String::from_utf8_lossy(&answer[..end]).to_lowercase(), answer[end + 4..].to_vec())
}

#[test]
fn binary_tensors_follow_the_json_in_both_directions() {
    let host = Host::demo();
    let rows = rows(5);
    for (datatype, wide) in [("FP32", false), ("FP64", true)] {
        let bytes: Vec<u8> = rows
            .iter()
            .flatten()
            .flat_map(|x| if wide { x.to_le_bytes().to_vec() } else { (*x as f32).to_le_bytes().to_vec() })
            .collect();
        let (columns, size) = (model().features.len(), bytes.len());
        // As Triton's client writes it.
        let json = format!(
            r#"{{"id":"r1","inputs":[{{"name":"input","shape":[5,{columns}],"datatype":"{datatype}","parameters":{{"binary_data_size":{size}}}}}],"parameters":{{"binary_data_output":true}}}}"#
        );
        let head =
            format!("POST /v2/models/{MODEL}/infer HTTP/1.1\r\nInference-Header-Content-Length: {}\r\n", json.len());
        let (head, body) = raw(&host, &head, &[json.as_bytes(), &bytes].concat());
        assert!(head.starts_with("http/1.1 200 ") && head.contains("content-type: application/octet-stream"), "{head}");
        let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<usize>().ok());
        let json_length = header("inference-header-content-length:").expect("a length");
        assert_eq!(header("content-length:"), Some(body.len()));
        let answer: Value = serde_json::from_slice(&body[..json_length]).expect("JSON");
        assert_eq!(answer["outputs"][1]["parameters"]["binary_data_size"], 5 * 4 * 8);
        assert!(answer["outputs"][1].get("data").is_none());
        let (numbers, _) = body[json_length..].as_chunks::<8>();
        let numbers: Vec<f64> = numbers.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
        let margins: Vec<f64> = rows.iter().flat_map(|row| model().margins(row).expect("a row")).collect();
        assert_eq!(numbers[20..], margins);
    }
}

#[test]
fn invalid_requests_are_400_with_one_sentence() {
    let host = Host::demo();
    let columns = model().features.len();
    let good = tensor(&rows(1)[..1].iter().map(|row| vec![1.0; row.len()]).collect::<Vec<_>>(), "FP64");
    let with = |name: &str, value: Value| {
        let mut input = good.clone();
        input[name] = value;
        json!({ "inputs": [input] })
    };
    for (body, word) in [
        (json!({}), "body"),
        (json!([]), "body"),
        (json!({ "inputs": [] }), "inputs"),
        (json!({ "inputs": [good, good] }), "inputs"),
        (with("name", json!("x")), "inputs[0].name"),
        (with("datatype", json!("INT64")), "inputs[0].datatype"),
        (with("shape", json!([1, 3])), "inputs[0].shape"),
        (with("shape", json!([2, columns])), "inputs[0].data"),
        (with("shape", json!([u64::MAX, columns])), "inputs[0].data"),
        (with("shape", json!([-1, columns])), "body"),
        (with("data", json!("text")), "body"),
        (with("data", json!([[[[[[1]]]]]])), "body"),
        (with("data", json!(null)), "inputs[0].data"),
        (with("parameters", json!({ "binary_data_size": 8 })), "inputs[0].data"),
        (json!({ "inputs": [good], "outputs": [{ "name": "label" }] }), "outputs[0].name"),
        (
            json!({ "inputs": [good], "outputs": [{ "name": "margin", "parameters": { "classification": 2 } }] }),
            "outputs[0].parameters.classification",
        ),
        (json!({ "inputs": [good], "outputs": [{ "name": "margin" }, { "name": "margin" }] }), "outputs[1].name"),
    ] {
        let answer = infer(&host, &body);
        let error = answer.json()["error"].as_str().expect("an error").to_owned();
        assert_eq!((answer.status, error.split(' ').next()), (400, Some(word)), "{error}: {body}");
    }
    let error = |datatype: &str| infer(&host, &with("datatype", json!(datatype))).json()["error"].clone();
    assert_eq!(error("INT64"), "inputs[0].datatype must be FP32 or FP64, not INT64");
    assert_eq!(error("someone"), "inputs[0].datatype must be FP32 or FP64");
    let many = tensor(&vec![vec![1.0; columns]; 257], "FP64");
    let answer = infer(&host, &json!({ "inputs": [many], "parameters": { "contributions": true } }));
    assert!(answer.status == 400 && answer.body.contains("256 rows"), "{}", answer.body);
    let path = format!("/v2/models/{MODEL}/infer");
    let (head, _) = raw(&host, &format!("POST {path} HTTP/1.1\r\n"), &vec![b' '; (4 << 20) + 1]);
    assert!(head.starts_with("http/1.1 413 "), "{head}");
    assert_eq!(host.send("POST", &path, &[("content-encoding", "br")], "x").status, 415);
    assert_eq!(host.send("POST", &path, &[("content-encoding", "gzip")], "x").status, 400);
    for length in ["-1", "99", "x"] {
        assert_eq!(
            host.send("POST", &path, &[("inference-header-content-length", length)], "{}").status,
            400,
            "{length}"
        );
    }
    for body in ["", "{", "NaN", "[[[[", "\"", "\\", "{\"inputs\":[{\"data\":[NaN"] {
        assert_eq!(host.send("POST", &path, &[], body).status, 400, "{body}");
    }
}

#[test]
fn models_are_listed_configured_and_counted_as_tritons_clients_ask() {
    let host = Host::with_flags(&["--variable", "work_after_response=false"]);
    for body in ["", "{}", r#"{"ready":true}"#] {
        let index = host.send("POST", "/v2/repository/index", &[], body);
        let index = index.json();
        let names: Vec<&str> =
            index.as_array().expect("a list").iter().filter_map(|one| one["name"].as_str()).collect();
        assert_eq!(names, harness::TYPES);
        assert_eq!((&index[0]["state"], &index[0]["version"]), (&json!("READY"), &json!(model_version(&host))));
    }
    for body in ["[", "7", r#"{"ready":1}"#] {
        assert_eq!(host.send("POST", "/v2/repository/index", &[], body).status, 400, "{body}");
    }
    let version = model_version(&host);
    for path in [format!("/v2/models/{MODEL}/config"), format!("/v2/models/{MODEL}/versions/{version}/config")] {
        let config = host.get(&path).json();
        assert_eq!((&config["name"], &config["max_batch_size"]), (&json!(MODEL), &json!(0)));
        let input = json!({ "name": "input", "data_type": "TYPE_FP64", "dims": [-1, model().features.len()] });
        assert_eq!(config["input"], json!([input]));
        assert_eq!(config["output"][0], json!({ "name": "probabilities", "data_type": "TYPE_FP64", "dims": [-1, 4] }));
    }
    for _ in 0..2 {
        let tensor = tensor(&rows(3)[..3].iter().map(|row| vec![1.0; row.len()]).collect::<Vec<_>>(), "FP64");
        assert_eq!(infer(&host, &json!({ "inputs": [tensor] })).status, 200);
    }
    // The module for Spin 4.1 hands its counts over a moment after its answers.
    let counted = || host.get(&format!("/v2/models/{MODEL}/stats")).json()["model_stats"][0]["execution_count"].clone();
    wait_until(|| counted() == 2);
    let all = host.get("/v2/models/stats").json();
    assert_eq!(all["model_stats"].as_array().map(Vec::len), Some(harness::TYPES.len()));
    for path in [format!("/v2/models/{MODEL}/stats"), format!("/v2/models/{MODEL}/versions/{version}/stats")] {
        let own = host.get(&path).json()["model_stats"][0].clone();
        assert_eq!(
            (&own["name"], &own["inference_count"], &own["execution_count"]),
            (&json!(MODEL), &json!(6), &json!(2))
        );
        assert_eq!(own["inference_stats"]["success"]["count"], 2);
        assert!(own["inference_stats"]["compute_infer"]["ns"].as_u64() > Some(0), "{own}");
        assert!(all["model_stats"].as_array().is_some_and(|all| all.contains(&own)), "{all}");
    }
    for path in ["/v2/models/nothing/config", "/v2/models/nothing/stats", "/v2/models/mood_state/versions/0/stats"] {
        assert_eq!(host.get(path).status, 404, "{path}");
    }
}

fn model_version(host: &Host) -> String {
    let metadata = host.get(&format!("/v2/models/{MODEL}")).json();
    metadata["versions"][0].as_str().expect("a version").to_owned()
}

#[test]
fn protocol_is_guarded_like_the_inventory() {
    let keys = format!("api_keys={API_KEY}");
    let host = Host::with_flags(&["--variable", "auth_mode=api_key", "--variable", &keys]);
    for path in [
        "/v2",
        "/v2/models/mood_state",
        "/v2/models/mood_state/ready",
        "/v2/models/mood_state/config",
        "/v2/models/mood_state/stats",
        "/v2/models/stats",
    ] {
        let answer = host.get(path);
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, "ApiKey header=\"x-api-key\""), "{path}");
        assert!(answer.json()["error"].is_string());
        assert_eq!(host.request("GET", path, &[("x-api-key", API_KEY)]).status, 200);
    }
    assert_eq!(infer(&host, &json!({})).status, 401);
    assert_eq!(host.send("POST", "/v2/repository/index", &[], "").status, 401);
    assert_eq!((host.get("/v2/health/live").status, host.get("/v2/health/ready").status), (200, 200));
}

/// The margins of an answer, wherever they stand in it.
fn margins(head: &str, body: &[u8]) -> Vec<f64> {
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<usize>().ok());
    let (json, mut binary) = body.split_at(header("inference-header-content-length:").unwrap_or(body.len()));
    let json: Value = serde_json::from_slice(json).expect("JSON");
    for output in json["outputs"].as_array().expect("outputs") {
        let size = output["parameters"]["binary_data_size"].as_u64().unwrap_or(0) as usize;
        let (bytes, rest) = binary.split_at(size);
        binary = rest;
        if output["name"] == "margin" {
            return match output["data"].as_array() {
                Some(numbers) => numbers.iter().map(|number| number.as_f64().expect("a number")).collect(),
                None => bytes.as_chunks().0.iter().map(|eight| f64::from_le_bytes(*eight)).collect(),
            };
        }
    }
    panic!("no margin: {json}")
}

/// A request after which the connection ends, whatever it said of that. (Spin goes by the first of two such headers.)
fn closing(request: &[u8]) -> Vec<u8> {
    let end = request.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("the end of a head");
    let head = String::from_utf8_lossy(&request[..end]);
    let lines = head.split("\r\n").filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
    let lines: Vec<&str> = lines.chain(["connection: close"]).collect();
    [lines.join("\r\n").as_bytes(), &request[end..]].concat()
}

/// Every file is what a client of another model server sent about the same three rows:
/// `tests/fixtures/inference/make.py`.
#[test]
fn recorded_requests_of_other_clients_are_understood() {
    let host = Host::demo();
    let mut answers = Vec::new();
    for file in std::fs::read_dir("tests/fixtures/inference").expect("a folder") {
        let path = file.expect("a file").path();
        if path.extension().is_none_or(|extension| extension != "http") {
            continue;
        }
        let recorded = std::fs::read(&path).expect("a request");
        let (head, body) = exchange(&host, &closing(&recorded));
        assert!(head.starts_with("http/1.1 200 "), "{}: {head}", path.display());
        answers.push((path, margins(&head, &body)));
    }
    assert_eq!(answers.len(), 12);
    let plain = std::fs::read_to_string("tests/fixtures/inference/kserve-fp64-json.http").expect("a request");
    let json: Value = serde_json::from_str(plain.split("\r\n\r\n").nth(1).expect("a body")).expect("JSON");
    let rows = json["inputs"][0]["data"].as_array().expect("data");
    let rows: Vec<f64> = rows.iter().map(|number| number.as_f64().expect("a number")).collect();
    let model = Model::find("sleep_disturbance_risk").expect("a model");
    let margins: Vec<f64> =
        rows.chunks(model.features.len()).flat_map(|row| model.margins(row).expect("a row")).collect();
    for (path, answered) in &answers {
        assert_eq!(answered, &margins, "{}", path.display());
    }
}
