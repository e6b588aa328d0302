//! The questions that clients ask, with the answers that they must have.

use super::traffic::Phase;
use harness::{DEPRESSED, EUTHYMIC, Host, MANIC, MIXED, WITHOUT_CHECK_INS, platform};
use serde_json::{Value, json};
use std::ops::RangeInclusive;

pub(super) const PEOPLE: [&str; 4] = [EUTHYMIC, MANIC, DEPRESSED, MIXED];

/// One question, and the answer that it must have.
pub(super) struct Question {
    pub(super) method: &'static str,
    pub(super) route: &'static str,
    pub(super) path: String,
    pub(super) body: Option<String>,
    /// The person that it is about, where the answer names them.
    person: Option<&'static str>,
    /// The part of the answer that does not depend on when it is given.
    part: Option<&'static str>,
    expected: Value,
}

/// An answer, read to its end.
pub(super) struct Answer {
    pub(super) status: u16,
    /// The header `x-cache`.
    pub(super) cache: String,
    pub(super) body: String,
}

/// Questions, each with the answer of a host that nothing disturbs.
struct Questions<'a> {
    host: &'a Host,
    all: Vec<Question>,
}

impl Questions<'_> {
    fn add(
        &mut self,
        (method, route): (&'static str, &'static str),
        (path, body): (String, Option<Value>),
        (person, part): (Option<&'static str>, Option<&'static str>),
    ) {
        let body = body.map(|body| body.to_string());
        let answer = match &body {
            None => self.host.request(method, &path, &[]),
            Some(body) => self.host.post_text(&path, "application/json", body),
        };
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        let expected = part.map_or(Value::Null, |part| stable(&answer.json(), part));
        self.all.push(Question { method, route, path, body, person, part, expected });
    }

    fn add_predictions(&mut self, person: &'static str, query: &str) {
        let path = format!("/data/predictions/{person}{query}");
        self.add(("GET", "/data/predictions/{user_id}"), (path, None), (Some(person), Some("predictions")));
    }
}

/// Every question, as a host answers that nothing disturbs.
pub(super) fn every_question() -> Vec<Question> {
    let host = Host::demo();
    let mut questions = Questions { host: &host, all: Vec::new() };
    for person in PEOPLE.into_iter().chain([WITHOUT_CHECK_INS]) {
        for query in ["", "?window_days=7", "?window_days=1&explain=true", "?types=mood_state&limit_checkins=3"] {
            questions.add_predictions(person, query);
        }
        let path = format!("/data/prediction_of_day/{person}");
        questions.add(("GET", "/data/prediction_of_day/{user_id}"), (path, None), (None, Some("label")));
        let path = format!("/data/predictions/{person}");
        questions.add(("DELETE", "/data/predictions/{user_id}"), (path, None), (None, None));
        let path = format!("/data/check-ins/{person}?window_days=7");
        questions.add(("GET", "/data/check-ins/{user_id}"), (path, None), (None, Some("checkins")));
    }
    let checkins = |mood: u64| {
        json!([{
            "checkin_date": "2026-01-02", "depressedMood": mood, "energyLevel": 9 - mood, "hoursSlept": 4 + mood
        }])
    };
    let route = "/data/predictions";
    for mood in 0..6 {
        let body = json!({ "checkins": checkins(mood), "explain": mood == 3, "as_of": "2026-01-02" });
        questions.add(("POST", route), (route.to_owned(), Some(body)), (None, Some("predictions")));
    }
    let items: Vec<Value> = (0..5).map(|mood| json!({ "checkins": checkins(mood), "as_of": "2026-01-02" })).collect();
    let route = "/data/predictions/batch";
    questions.add(("POST", route), (route.to_owned(), Some(json!({ "items": items }))), (None, Some("")));
    let row = vec![0.5; host.get("/models/mood_state").json()["features"].as_array().expect("features").len()];
    let tensor = json!({ "inputs": [{ "name": "input", "datatype": "FP64", "shape": [1, row.len()], "data": row }] });
    let path = "/v2/models/mood_state/infer".to_owned();
    questions.add(("POST", "/v2/models/{name}/infer"), (path, Some(tensor)), (None, Some("outputs")));
    questions.all
}

/// Questions whose answers say from which version of the check-ins they were made.
pub(super) fn questions_with_versions() -> Vec<Question> {
    let host = Host::demo();
    let mut questions = Questions { host: &host, all: Vec::new() };
    for person in PEOPLE {
        for query in ["?limit_checkins=1", "?limit_checkins=2&lang=pt-BR", "?limit_checkins=1&window_days=7"] {
            questions.add_predictions(person, query);
        }
    }
    questions.all
}

impl Question {
    /// Returns the fault of an answer in a phase, if it has one. `versions` are those of the check-ins that it may be
    /// made from, where that is looked at.
    pub(super) fn fault(
        &self,
        phase: &Phase,
        versions: Option<&RangeInclusive<u64>>,
        answer: Option<&Answer>,
    ) -> Option<String> {
        match answer {
            None => (!phase.breaks).then(|| "no answer".to_owned()),
            Some(Answer { status: 200, body, cache }) => self.part.and_then(|part| {
                let body: Value = serde_json::from_str(body).unwrap_or_default();
                let is = stable(&body, part);
                let version = body["per_checkin"][0]["checkin_id"].as_str().and_then(|id| id.parse().ok());
                if is != self.expected {
                    return Some(format!("{is} is not {}", self.expected));
                }
                if self.person.is_some_and(|person| body["user_id"] != person) {
                    return Some(format!("it is about {}", body["user_id"]));
                }
                let versions = versions.filter(|versions| version.is_none_or(|version| !versions.contains(&version)));
                versions.map(|versions| format!("{cache}: from version {version:?}, which is not in {versions:?}"))
            }),
            Some(Answer { status, .. }) if phase.statuses.contains(status) => None,
            // The platform's writes of this second, or its requests to the database of this hour, are used up.
            Some(Answer { status: 503, .. }) if platform().is_some() => None,
            Some(Answer { status, body, .. }) => Some(format!("{status}: {body}")),
        }
    }
}

/// A part of an answer, without the times in it; the whole for no name.
fn stable(body: &Value, part: &str) -> Value {
    let mut part = if part.is_empty() { body.clone() } else { body[part].clone() };
    remove_times(&mut part);
    part
}

fn remove_times(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            ["generated_at", "decision_id", "age_days"].iter().for_each(|name| drop(fields.remove(*name)));
            fields.values_mut().for_each(remove_times);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_times),
        _ => {}
    }
}
