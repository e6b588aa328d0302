//! A native server that calls the same features and forests, with what it has answered in its own memory: what the
//! service would cost without Wasm, a store, access, limits and metrics.
//!
//!     native cache | no-cache

use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use bipolar_edge_models::MODELS;
use features::{CheckIn, FIELDS};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, RwLock};

/// Answers by what was asked; `None` keeps none.
type Cache = Option<Arc<RwLock<HashMap<String, String>>>>;

/// The demo people, read once.
static PEOPLE: LazyLock<HashMap<String, Vec<CheckIn>>> = LazyLock::new(|| {
    let demo = include_str!("../../../../src/checkins/demo.csv");
    let people = demo.lines().skip(1).filter_map(|line| line.split(',').next()).map(str::to_owned);
    people.map(|person| (person.clone(), checkins(&demo_project::rows(demo, &person)))).collect()
});

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let cache: Cache = std::env::args().nth(1).is_none_or(|mode| mode == "cache").then(Arc::default);
    let router = Router::new()
        .route("/data/predictions/{user_id}", get(person))
        .route("/data/predictions", post(posted))
        .route("/data/predictions/batch", post(batch))
        .with_state(cache);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("Serving native on http://{}", listener.local_addr()?);
    axum::serve(listener, router).await
}

async fn person(
    State(cache): State<Cache>,
    Path(user_id): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> impl IntoResponse {
    let explain = query.get("explain").is_some_and(|explain| explain == "true");
    let key = format!("{user_id} {explain}");
    let known = cache.as_ref().and_then(|cache| cache.read().ok()?.get(&key).cloned());
    let body = known.unwrap_or_else(|| {
        let checkins = PEOPLE.get(&user_id).map_or(&[][..], Vec::as_slice);
        let body = predictions(checkins, explain).to_string();
        if let Some(mut cache) = cache.as_ref().and_then(|cache| cache.write().ok()) {
            cache.insert(key, body.clone());
        }
        body
    });
    ([(CONTENT_TYPE, "application/json")], body)
}

async fn posted(Json(question): Json<Value>) -> Json<Value> {
    Json(answer(&question))
}

async fn batch(Json(questions): Json<Value>) -> Json<Value> {
    Json(questions["items"].as_array().into_iter().flatten().map(answer).collect())
}

fn answer(question: &Value) -> Value {
    let rows = question["checkins"].as_array().map_or(&[][..], Vec::as_slice);
    predictions(&checkins(rows), question["explain"] == true)
}

/// Check-ins of rows, flat or nested.
fn checkins(rows: &[Value]) -> Vec<CheckIn> {
    let checkin = |row: &Value| {
        let answer = |name: &str, group: &str| row.get(name).or_else(|| row.get(group)?.get(name))?.as_f64();
        Some(CheckIn {
            id: row["id"].as_str().unwrap_or_default().to_owned(),
            date: row["checkin_date"].as_str()?.get(..10)?.parse().ok()?,
            values: FIELDS.map(|field| answer(field.name, field.group).map_or(f32::NAN, |number| number as f32)),
        })
    };
    let mut checkins: Vec<CheckIn> = rows.iter().filter_map(checkin).collect();
    checkins.sort_by_key(|checkin| std::cmp::Reverse(checkin.date));
    checkins
}

fn predictions(checkins: &[CheckIn], explain: bool) -> Value {
    let Some(row) = features::row(checkins, 3) else { return json!({ "predictions": [] }) };
    let one = |model: &bipolar_edge_models::Model| {
        let inputs = model.inputs(&row);
        let probabilities = model.probabilities(&inputs).unwrap_or_default();
        let best = (0..probabilities.len()).max_by(|a, b| probabilities[*a].total_cmp(&probabilities[*b])).unwrap_or(0);
        let mut impacts = vec![0.0; inputs.len()];
        model.explain(best, &inputs, &mut impacts);
        let mut order: Vec<usize> = (0..impacts.len()).collect();
        order.sort_by(|a, b| impacts[*b].abs().total_cmp(&impacts[*a].abs()));
        let words: Vec<String> =
            order.iter().take(3).map(|index| format!("{}={}", model.features[*index], inputs[*index])).collect();
        let mut prediction = json!({
            "type": model.name, "probability": probabilities[best], "details": probabilities,
            "model_version": model.version, "explanation": format!("Mostly: {}", words.join(", ")),
            "risk_level": model.risk_level(probabilities[best]).as_str(),
        });
        if explain {
            let contribution = |index: &usize| json!({ "feature": model.features[*index], "value": inputs[*index], "impact": impacts[*index] });
            prediction["contributions"] = order.iter().map(contribution).collect();
        }
        prediction
    };
    json!({
        "window_days": 3, "generated_at": Timestamp::now().to_string(),
        "predictions": MODELS.iter().map(one).collect::<Vec<_>>(),
    })
}
