//! Predictions about the people of the demo cohort.

use bipolar_edge_models::{MODELS, Output};
use features::{CheckIn, FIELDS};
use harness::{DEPRESSED, EUTHYMIC, Host, MANIC, MIXED, TYPES, WITHOUT_CHECK_INS, moved, without_ids};
use serde_json::{Value, json};

#[test]
fn person_gets_every_prediction_in_order_with_every_field() {
    let host = Host::demo();
    let answer = host.predictions(DEPRESSED, "");
    let body = answer.json();
    assert_eq!(body["user_id"], DEPRESSED);
    assert_eq!(body["window_days"], 3);
    assert!(body["generated_at"].as_str().is_some_and(|time| time.ends_with('Z') && time.len() == 20), "{body}");
    assert!(body.get("per_checkin").is_none());
    let predictions = body["predictions"].as_array().expect("an array");
    let types: Vec<&Value> = predictions.iter().map(|prediction| &prediction["type"]).collect();
    assert_eq!(types, TYPES);
    for prediction in predictions {
        let probability = prediction["probability"].as_f64().expect("a probability");
        assert!((0.0..=1.0).contains(&probability));
        assert!(["low", "medium", "high", "critical"].contains(&prediction["risk_level"].as_str().expect("a level")));
        let explanation = prediction["explanation"].as_str().expect("a sentence");
        assert!(explanation.ends_with('.') && explanation.matches(", which ").count() == 3, "{explanation}");
        assert!(prediction["display"]["label"].is_string() && prediction.get("observed").is_some());
        assert_eq!(prediction["source"], "aggregated_last_checkin");
        assert_eq!(prediction["model_version"], format!("{}_v1", prediction["type"].as_str().expect("a type")));
        assert!(prediction.get("contributions").is_none());
    }
    assert_eq!(answer.header("cache-control"), "private, no-store");
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("content-length"), answer.body.len().to_string());
    assert!(answer.header("server-timing").contains("inference;dur="));
}

#[test]
fn demo_people_have_the_mood_of_their_cohort() {
    let host = Host::demo();
    for (user_id, label) in [(EUTHYMIC, "euthymia"), (MANIC, "mania"), (DEPRESSED, "depression"), (MIXED, "mixed")] {
        let of_day = host.get(&format!("/data/prediction_of_day/{user_id}"));
        assert_eq!(of_day.status, 200);
        let mood = host.predictions(user_id, "").prediction("mood_state");
        assert_eq!(mood["label"], label);
        let mut expected = mood.clone();
        expected.as_object_mut().expect("a prediction").remove("explanation");
        assert_eq!(without_ids(of_day.json()), without_ids(expected));
        let classes = mood["details"]["class_probs"].as_object().expect("class probabilities");
        assert_eq!(classes.keys().collect::<Vec<_>>(), ["depression", "euthymia", "mania", "mixed"]);
        let total: f64 = classes.values().map(|p| p.as_f64().expect("a number")).sum();
        assert!((total - 1.0).abs() < 1e-6, "{total}");
    }
}

#[test]
fn suicidality_alone_is_sensitive_with_crisis_resources() {
    let host = Host::with_flags(&["--variable", "crisis_resources=Someone who listens ; 112"]);
    for kind in TYPES {
        let prediction = host.predictions(WITHOUT_CHECK_INS, "").prediction(kind);
        if kind == "suicidality_risk" {
            assert_eq!(prediction["sensitive"], true);
            assert!(prediction["disclaimer"].as_str().is_some_and(|text| text.contains("not a diagnosis")));
            assert_eq!(prediction["resources"], json!(["Someone who listens", "112"]));
        } else {
            assert!(prediction.get("sensitive").is_none() && prediction.get("resources").is_none());
        }
    }
}

#[test]
fn missing_check_ins_and_unknown_people_are_insufficient_data() {
    let host = Host::demo();
    for user_id in [WITHOUT_CHECK_INS, "99999999-9999-4999-8999-999999999999"] {
        let answer = host.predictions(user_id, "?limit_checkins=5");
        for kind in TYPES {
            let prediction = answer.prediction(kind);
            assert_eq!(prediction["label"], "insufficient_data");
            assert_eq!(prediction["probability"], Value::Null);
            assert_eq!(prediction["risk_level"], "unknown");
            assert_eq!(prediction["reason"]["code"], "no_checkins");
            assert_eq!((&prediction["as_of"], &prediction["valid_until"]), (&Value::Null, &Value::Null));
            assert_eq!(
                prediction["data"],
                json!({ "checkins": 0, "days_covered": 0, "answered": 0.0, "age_days": null })
            );
        }
        assert_eq!(answer.json()["per_checkin"], json!([]));
    }
}

#[test]
fn every_prediction_says_which_days_it_rests_on_and_speaks_of() {
    let host = Host::demo();
    let answer = host.predictions(MANIC, "?limit_checkins=2&window_days=7").json();
    let latest = demo(MANIC);
    let in_window = |day: jiff::civil::Date| {
        let days = move |other: jiff::civil::Date| (day - other).get_days();
        let dates = latest.iter().map(|checkin| checkin.date);
        dates.map(days).filter(|days| (0..=7).contains(days)).collect::<Vec<_>>()
    };
    let check = |predictions: &Value, day: jiff::civil::Date| {
        for (model, served) in MODELS.iter().zip(predictions.as_array().expect("an array")) {
            assert_eq!(served["as_of"], day.to_string());
            let horizon =
                if let Output::Risk { horizon_days, .. } = model.output { i64::from(horizon_days) } else { 0 };
            let last = day.checked_add(jiff::Span::new().days(horizon)).expect("in range");
            assert_eq!(served["valid_until"], last.to_string(), "{}", model.name);
            let days = in_window(day);
            assert_eq!(served["data"]["age_days"], (latest[0].date - day).get_days());
            assert_eq!(served["data"]["checkins"], days.len());
            assert_eq!(served["data"]["days_covered"], days.iter().max().expect("itself") + 1);
            assert!(served["data"]["answered"].as_f64().is_some_and(|share| (0.1..=1.0).contains(&share)), "{served}");
            assert!(served.get("reason").is_none() || served["probability"].is_null());
        }
    };
    check(&answer["predictions"], latest[0].date);
    for (index, checkin) in answer["per_checkin"].as_array().expect("two").iter().enumerate() {
        check(&checkin["predictions"], latest[index].date);
    }
    let of_day = host.get(&format!("/data/prediction_of_day/{MANIC}")).json();
    assert_eq!(of_day["as_of"], latest[0].date.to_string());
}

#[test]
fn types_select_and_explain_adds_non_zero_contributions() {
    let host = Host::demo();
    let answer = host.predictions(MANIC, "?types=relapse_risk,mood_state&explain=true");
    let body = answer.json();
    let predictions = body["predictions"].as_array().expect("an array");
    assert_eq!(predictions.len(), 2);
    for prediction in predictions {
        let contributions = prediction["contributions"].as_array().expect("contributions");
        let impacts: Vec<f64> =
            contributions.iter().map(|one| one["impact"].as_f64().expect("a number").abs()).collect();
        assert!(impacts.is_sorted_by(|a, b| a >= b) && impacts.last().is_some_and(|least| *least > 0.0));
        let answered: Vec<&Value> = contributions.iter().filter(|one| !one["value"].is_null()).collect();
        let explanation = prediction["explanation"].as_str().expect("a sentence");
        let raises =
            |text: &str| text.contains("raises") || text.contains("speaks most for") || text.contains("speaks for");
        for (clause, one) in explanation.split("; ").zip(&answered) {
            assert_eq!(raises(clause), one["impact"].as_f64() > Some(0.0), "{clause}: {one}");
        }
    }
}

#[test]
fn explain_none_leaves_out_the_sentence_and_no_more() {
    let host = Host::demo();
    let without = host.predictions(MANIC, "?explain=none");
    assert_eq!(without.header("x-cache"), "MISS");
    let without = without.json();
    let posted = host.post("/data/predictions", &json!({ "checkins": [], "explain": "none" }));
    assert_eq!(posted.status, 200, "{}", posted.body);
    assert_eq!(host.post("/data/predictions", &json!({ "checkins": [], "explain": "true" })).status, 400);
    // An entry without contributions does not serve a question for sentences.
    let mut with = host.predictions(MANIC, "").json();
    let sentences = with["predictions"].as_array_mut().expect("an array").iter_mut();
    let sentences: Vec<_> =
        sentences.map(|one| one.as_object_mut().expect("an object").remove("explanation")).collect();
    assert!(sentences.iter().all(|sentence| sentence.as_ref().is_some_and(|text| text.is_string())), "{sentences:?}");
    assert_eq!(without_ids(with)["predictions"], without_ids(without)["predictions"]);
}

/// The demo cohort as the trainer wrote it, with dates that move with the calendar.
fn demo(user_id: &str) -> Vec<CheckIn> {
    let text = include_str!("../../src/checkins/demo.csv");
    let lines = text.lines().filter(|line| line.starts_with(user_id));
    let mut checkins: Vec<CheckIn> = lines
        .map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            let mut values = [f32::NAN; FIELDS.len()];
            for (value, cell) in values.iter_mut().zip(&cells[3..]) {
                if !cell.is_empty() {
                    *value = cell.parse().expect("a number");
                }
            }
            CheckIn { id: cells[1].to_owned(), date: moved(cells[2].parse().expect("a date")), values }
        })
        .collect();
    checkins.reverse();
    checkins
}

/// Compares predictions as served, from Wasm, with the same models run natively: every bit.
fn assert_native(predictions: &Value, checkins: &[CheckIn], window_days: u8) -> usize {
    let row = features::row(checkins, window_days).expect("there are check-ins");
    let mut compared = 0;
    for (model, served) in MODELS.iter().zip(predictions.as_array().expect("an array")) {
        assert_eq!(served["type"], model.name);
        let missing = model.missing_critical(&row);
        if !missing.is_empty() {
            assert_eq!(served["label"], "insufficient_data");
            assert_eq!(served["reason"]["code"], "missing_answers");
            assert_eq!(served["reason"]["missing"], json!(missing));
            continue;
        }
        let probabilities = model.probabilities(&model.inputs(&row)).expect("the inputs fit");
        let native = match model.output {
            Output::Risk { .. } => probabilities[0],
            Output::Classes { .. } => probabilities.iter().fold(0.0, |best: f64, p| best.max(*p)),
        };
        let served = served["probability"].to_string().parse::<f64>().expect("a probability");
        assert_eq!(served.to_bits(), native.to_bits(), "{}: {served} is not {native}", model.name);
        compared += 1;
    }
    compared
}

#[test]
fn probabilities_equal_the_native_ones_bit_for_bit_in_every_window() {
    let host = Host::with_flags(&["--variable", "cache_ttl_seconds=0"]);
    let mut compared = 0;
    for user_id in [EUTHYMIC, MANIC, DEPRESSED, MIXED] {
        let checkins = demo(user_id);
        for window_days in 1..=30 {
            let answer = host.predictions(user_id, &format!("?window_days={window_days}&limit_checkins=10"));
            assert_eq!(answer.header("server-timing").matches("inference;dur=").count(), 1, "each part once");
            let body = answer.json();
            compared += assert_native(&body["predictions"], &checkins, window_days);
            let per_checkin = body["per_checkin"].as_array().expect("asked for");
            assert_eq!(per_checkin.len(), 10);
            for (index, one) in per_checkin.iter().enumerate() {
                assert_eq!(one["checkin_id"], checkins[index].id);
                assert_eq!(one["checkin_date"], checkins[index].date.to_string());
                assert!(one["predictions"].as_array().expect("an array").iter().all(|p| p["source"] == "checkin"));
                compared += assert_native(&one["predictions"], &checkins[index..], window_days);
            }
        }
    }
    assert!(compared > 6000, "{compared} predictions were compared");
}

#[test]
fn window_changes_the_probability() {
    let host = Host::demo();
    let probability = |days| {
        let answer = host.predictions(DEPRESSED, &format!("?window_days={days}&types=relapse_risk"));
        answer.json()["predictions"][0]["probability"].to_string()
    };
    assert_ne!(probability(3), probability(30));
}
