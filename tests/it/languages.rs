//! The texts of answers, in both languages, and that an answer depends on its own request alone.

use harness::supabase::{FakeSupabase, Reply};
use harness::tokens::token;
use harness::{DEPRESSED, EUTHYMIC, Host, MANIC, MIXED, Response, WITHOUT_CHECK_INS, state, wait_for, without_ids};
use serde_json::{Value, json};

/// Every combination of the parameters of a question, the ones that ask for most first.
fn questions() -> Vec<String> {
    let mut all = Vec::new();
    for limit in [3, 1, 0] {
        for explain in ["true", "false", "none"] {
            for window in [3, 7] {
                for types in ["", "&types=mood_state,suicidality_risk"] {
                    for language in ["", "&lang=en", "&lang=pt-BR"] {
                        all.push(format!(
                            "?window_days={window}&limit_checkins={limit}&explain={explain}{types}{language}"
                        ));
                    }
                }
            }
        }
    }
    all
}

/// An answer without what belongs to the moment at which it was made.
fn timeless(answer: &Response) -> String {
    assert_eq!(answer.status, 200, "{}", answer.body);
    let made = answer.json()["generated_at"].as_str().expect("a time").to_owned();
    without_ids(answer.json()).to_string().replace(&made, "then")
}

#[test]
fn an_answer_depends_on_its_request_alone_and_not_on_who_asked_before() {
    let fresh = Host::with_flags(&["--variable", "cache_ttl_seconds=0"]);
    let questions = questions();
    let alone: Vec<String> = questions.iter().map(|query| timeless(&fresh.predictions(MIXED, query))).collect();
    let of_day = |host: &Host| without_ids(host.get(&format!("/data/prediction_of_day/{MIXED}")).json());
    let day = of_day(&fresh);
    // Those who ask for most come first, and last.
    for reversed in [false, true] {
        let cached = Host::with_flags(&["--variable", "work_after_response=false"]);
        let mut hits = 0;
        let order: Vec<usize> = if reversed { (0..alone.len()).rev().collect() } else { (0..alone.len()).collect() };
        for _ in 0..2 {
            for &at in &order {
                let answer = cached.predictions(MIXED, &questions[at]);
                hits += usize::from(answer.header("x-cache") == "HIT");
                assert_eq!(timeless(&answer), alone[at], "{}", questions[at]);
            }
        }
        assert!(hits > alone.len(), "{hits} of {} came from the cache", 2 * alone.len());
        assert_eq!(of_day(&cached), day);
    }
}

#[test]
fn one_entry_is_rendered_in_both_languages_and_labels_are_of_none() {
    let host = Host::with_flags(&["--variable", "work_after_response=false"]);
    let ask = |language: &str| {
        let path = format!("/data/predictions/{DEPRESSED}?limit_checkins=1");
        let answer = host.request("GET", &path, &[("accept-language", language)]);
        assert!(answer.header("vary").split(", ").any(|name| name == "accept-language"), "{:?}", answer.headers);
        answer
    };
    let english = ask("en-GB,en;q=0.9,pt;q=0.8");
    let portuguese = ask("pt-PT");
    assert_eq!((english.header("x-cache"), portuguese.header("x-cache")), ("MISS", "HIT"));
    assert_eq!((english.header("content-language"), portuguese.header("content-language")), ("en", "pt-BR"));
    assert_eq!(ask("de").body, english.body, "whoever wants neither gets English");
    let (in_english, in_portuguese) = (english.prediction("mood_state"), portuguese.prediction("mood_state"));
    assert_eq!(
        in_english["explanation"],
        "Depressed mood averaged 6.3 of 10 over the last 3 days, which speaks most for “depression”; energy averaged \
         3.3 of 10, which speaks for it too; depressed mood was 5 of 10 at the latest check-in, which speaks for it too."
    );
    assert_eq!(
        in_portuguese["explanation"],
        "O humor deprimido teve média de 6,3 de 10 nos últimos 3 dias, o que mais indica “depressão”; a energia teve \
         média de 3,3 de 10, o que também aponta para isso; o humor deprimido ficou em 5 de 10 no último check-in, o que \
         também aponta para isso."
    );
    assert_eq!(in_portuguese["display"]["label"], "depressão");
    assert_eq!(in_portuguese["display"]["classes"]["mixed"], "estado misto");
    for name in ["label", "probability", "risk_level", "details", "observed", "as_of", "data"] {
        assert_eq!(in_english[name], in_portuguese[name], "{name}");
    }
    let disclaimer = |answer: &Response| answer.prediction("suicidality_risk")["disclaimer"].clone();
    assert!(disclaimer(&english).as_str().is_some_and(|text| text.contains("not a diagnosis")));
    assert!(disclaimer(&portuguese).as_str().is_some_and(|text| text.contains("não um diagnóstico")));
    let at_a_check_in = &portuguese.json()["per_checkin"][0]["predictions"][0]["explanation"];
    assert!(at_a_check_in.as_str().is_some_and(|text| text.contains("neste check-in")), "{at_a_check_in}");
}

#[test]
fn lang_wins_over_the_header_and_a_wrong_one_is_refused_in_the_header_s_language() {
    let host = Host::demo();
    let get = |path: &str| host.request("GET", path, &[("accept-language", "pt-BR")]);
    for path in [format!("/data/predictions/{EUTHYMIC}"), format!("/data/prediction_of_day/{EUTHYMIC}")] {
        assert_eq!(get(&path).header("content-language"), "pt-BR");
        assert_eq!(get(&format!("{path}?lang=en")).header("content-language"), "en");
        for (wrong, message) in [
            ("lang=de", "deve ser en ou pt-BR"),
            ("lang=EN", "deve ser en ou pt-BR"),
            ("lang=en&lang=en", "is given more than once"),
        ] {
            let refused = get(&format!("{path}?{wrong}"));
            assert_eq!(refused.status, 400);
            let errors = &refused.json()["errors"];
            assert_eq!(errors, &json!([{ "field": "lang", "message": message }]), "{wrong}");
        }
    }
    let body =
        json!({ "as_of": "2026-01-31", "checkins": [{ "checkin_date": "2026-01-31" }], "types": ["mood_state"] });
    let posted = host.post("/data/predictions?lang=pt-BR", &body);
    assert_eq!((posted.status, posted.header("content-language")), (200, "pt-BR"));
    assert_eq!(posted.json()["predictions"][0]["reason"]["detail"], "Faltam respostas: humor deprimido; energia.");
    for (path, body) in [
        ("/data/predictions?lang=x", body.clone()),
        ("/data/predictions?language=en", body.clone()),
        ("/data/predictions/batch?lang=x", json!({ "items": [] })),
    ] {
        assert_eq!(host.post(path, &body).status, 400, "{path}");
    }
    let items = json!({ "items": [body, { "checkins": [], "windowdays": 3 }] });
    let batch = host.post("/data/predictions/batch?lang=pt-BR", &items);
    assert_eq!(batch.header("content-language"), "pt-BR");
    assert_eq!(batch.json()[0]["predictions"][0]["display"]["label"], "dados insuficientes");
    assert_eq!(batch.json()[1]["title"], "Requisição inválida");
}

#[test]
fn problems_and_reasons_are_in_the_callers_language() {
    let host = Host::demo();
    let get = |path: &str| host.request("GET", path, &[("accept-language", "pt-BR")]);
    let nothing = get("/nothing");
    assert_eq!((nothing.status, nothing.header("content-language")), (404, "pt-BR"));
    assert_eq!(nothing.json()["title"], "Não encontrado");
    assert_eq!(nothing.json()["type"], "urn:bipolar-edge:problem:not-found");
    let wrong = get("/data/predictions/me?window_days=0").json();
    assert_eq!(wrong["detail"], "Um ou mais parâmetros estão malformados ou fora do intervalo.");
    assert_eq!(wrong["errors"][1]["message"], "deve ser um número inteiro de 1 a 30");
    let none = get(&format!("/data/predictions/{WITHOUT_CHECK_INS}")).prediction("mood_state");
    assert_eq!(none["reason"]["detail"], "Não há check-ins para fazer uma previsão.");
    assert_eq!(none["label"], "insufficient_data");
    // The Open Inference Protocol has one language.
    assert_eq!(get("/v2/models/none").json(), host.get("/v2/models/none").json());
}

#[test]
fn a_job_keeps_numbers_and_is_told_in_the_language_of_whoever_looks() {
    let supabase = FakeSupabase::start(vec![Reply::Rows]);
    let state = state();
    let host = Host::with_supabase(&state, &supabase.url, &["--variable", "inference_timeout_seconds=3"]);
    let bearer = format!("Bearer {}", token(&supabase.url, DEPRESSED));
    let headers = [("authorization", bearer.as_str()), ("prefer", "respond-async"), ("accept-language", "pt")];
    let begun = host.request("GET", &format!("/data/predictions/{DEPRESSED}?explain=true"), &headers);
    assert_eq!(begun.status, 202, "{}", begun.body);
    let look = |language: &str| -> Value {
        let path = format!("{}?lang={language}", begun.header("location"));
        let looked = host.request("GET", &path, &[("authorization", bearer.as_str())]);
        assert_eq!((looked.status, looked.header("content-language")), (200, language), "{}", looked.body);
        looked.json()
    };
    wait_for(|| Some(()).filter(|()| look("en")["status"] == "done"));
    for (language, beginning) in [("en", "Depressed mood averaged"), ("pt-BR", "O humor deprimido teve média")] {
        let mood = look(language)["result"]["predictions"][0].clone();
        assert!(mood["explanation"].as_str().is_some_and(|text| text.starts_with(beginning)), "{mood}");
        assert!(mood["contributions"].as_array().is_some_and(|all| all.len() > 10), "{mood}");
    }
}

#[test]
fn what_was_observed_is_the_cards_own_bin() {
    let host = Host::demo();
    let mut compared = 0;
    for user_id in [EUTHYMIC, MANIC, DEPRESSED, MIXED] {
        for prediction in host.predictions(user_id, "").json()["predictions"].as_array().expect("an array") {
            let kind = prediction["type"].as_str().expect("a type");
            let probability = prediction["probability"].as_f64().expect("a number");
            let card = host.get(&format!("/models/{kind}")).json();
            let bins = card["quality"]["calibration"].as_array().expect("bins");
            let tenth = |bin: &Value| (bin["predicted"].as_f64().expect("a number") * 10.0).floor();
            let bin = bins.iter().find(|bin| tenth(bin) == (probability * 10.0).floor());
            let enough = bin.filter(|bin| bin["rows"].as_u64() >= Some(30));
            let expected = enough.map_or(Value::Null, |bin| json!({ "rate": bin["observed"], "n": bin["rows"] }));
            assert_eq!(prediction["observed"], expected, "{kind} {probability}");
            compared += usize::from(!expected.is_null());
        }
    }
    assert!(compared > 10, "{compared}");
}
