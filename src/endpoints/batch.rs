//! `POST /data/predictions/batch`: up to 256 questions with their check-ins, answered in order. One that is wrong spoils no
//! other: its place has its problem.

use super::Asked;
use super::posted_predictions::answer_to;
use super::predictions::{Served, predict_all, private};
use crate::platform::{Platform, RequestBody};
use crate::problem::{FieldError, Problem};
use crate::request::{self, ITEM_LIMIT, PostedRequest};
use crate::response::{Response, in_seconds};
use crate::telemetry::Record;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// The most bytes of a batch.
const BODY_LIMIT: usize = 4 << 20;
/// The most items.
const MOST_ITEMS: usize = 256;
/// The most check-ins that a batch may have predicted, over all items: it bounds the answer, which with contributions has
/// some 20 kB for each.
const MOST_PREDICTED: usize = 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch<'a> {
    /// As they stand in the body: each is read when its turn comes.
    #[serde(borrow, deserialize_with = "some_items")]
    items: Vec<&'a RawValue>,
}

fn some_items<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<&'a RawValue>, D::Error> {
    struct Items;
    impl<'de> Visitor<'de> for Items {
        type Value = Vec<&'de RawValue>;

        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Self::Value, A::Error> {
            let mut items = Vec::new();
            while let Some(item) = all.next_element()? {
                if items.len() == MOST_ITEMS {
                    return Err(A::Error::custom(TOO_MANY));
                }
                items.push(item);
            }
            Ok(items)
        }
    }
    deserializer.deserialize_seq(Items)
}

const TOO_MANY: &str = "has more than 256 items";

pub(super) async fn answer<P: Platform>(
    asked: &Asked<'_, P>,
    body: impl RequestBody,
    record: &mut Record,
) -> Result<Response, Problem> {
    let bytes = request::read_json(&asked.instance.platform, asked.headers, body, BODY_LIMIT, asked.deadline).await?;
    let batch: Batch<'_> = serde_json::from_slice(&bytes).map_err(|error| refused(&error))?;
    record.lap("request");
    record.source = Some("request");
    let mut predicted_checkins = 0;
    let mut answers = b"[".to_vec();
    for (index, item) in batch.items.iter().enumerate() {
        if index > 0 {
            answers.push(b',');
        }
        asked.instance.platform.yield_now().await;
        let request = read(item, &mut predicted_checkins);
        record.lap("request");
        match request {
            Ok(request) => {
                let predicted = predict_all(asked, &request.checkins, &request.wanted, record).await;
                answers
                    .extend(Response::json(200, &answer_to(&request, &predicted, &in_seconds(Timestamp::now()))).body);
            }
            Err(problem) => answers.extend(problem.into_response().body),
        }
    }
    answers.push(b']');
    Ok(private(Response::json_text(200, answers), Served::Bypass))
}

fn read(item: &RawValue, predicted_checkins: &mut usize) -> Result<PostedRequest, Problem> {
    if item.get().len() > ITEM_LIMIT {
        return Err(Problem::TooLarge { limit: ITEM_LIMIT });
    }
    let request = PostedRequest::parse(item.get().as_bytes())?;
    *predicted_checkins += 1 + usize::from(request.wanted.limit_checkins).min(request.checkins.len());
    if *predicted_checkins > MOST_PREDICTED {
        return Err(Problem::Invalid(vec![FieldError {
            field: "limit_checkins".to_owned(),
            message: format!("with this item the batch asks for predictions at more than {MOST_PREDICTED} check-ins"),
        }]));
    }
    Ok(request)
}

/// A batch that is no batch.
fn refused(error: &serde_json::Error) -> Problem {
    let message = match error.classify() {
        serde_json::error::Category::Data if error.to_string().starts_with(TOO_MANY) => TOO_MANY,
        serde_json::error::Category::Data => "must be an object with nothing but items, an array of up to 256",
        _ => return request::not_json(error),
    };
    Problem::invalid("items", message)
}

/// What the fuzzer calls: the whole body of a batch, and each of its items.
#[cfg(feature = "fuzzing")]
pub(super) fn fuzz(bytes: &[u8]) {
    let mut predicted_checkins = 0;
    match serde_json::from_slice::<Batch<'_>>(bytes) {
        Ok(batch) => batch.items.iter().for_each(|item| drop(read(item, &mut predicted_checkins))),
        Err(error) => drop(refused(&error)),
    }
}
