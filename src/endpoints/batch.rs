//! `POST /data/predictions/batch`: up to 256 questions with their check-ins, answered in order. One that is wrong
//! spoils no other: its place has its problem.

use super::posted_predictions;
use super::predictions::predict_all;
use crate::context::{EndpointRequest, RequestContext};
use crate::http::Response;
use crate::http::problem_response::problem_json;
use crate::http::response::CacheStatus;
use crate::json;
use crate::limits::{MAX_BATCH_ANSWER_BYTES, MAX_BATCH_BYTES, MAX_ITEM_BYTES};
use crate::load::Share;
use crate::platform::Platform;
use crate::problem::{Problem, Text};
use crate::request::{PostedRequest, json_problem, reject_other_parameters};
use crate::telemetry::timing::CheckInSource;
use crate::time::{now, rfc3339_seconds, today};
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use std::time::Duration;

/// The time between two looks of a batch whether it is its turn.
const POLL_INTERVAL: Duration = Duration::from_millis(3);
/// The most items of a batch.
const MAX_ITEMS: usize = 256;
/// The most check-ins that a batch may have predicted, over all items: it bounds the time that an answer takes.
const MAX_PREDICTED: usize = 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch<'a> {
    /// As they stand in the body: each is parsed when its turn comes.
    #[serde(borrow, deserialize_with = "bounded_items")]
    items: Vec<&'a RawValue>,
}

const TOO_MANY: &str = "has more than 256 items";

fn too_many() -> Text {
    Text::new(TOO_MANY, "tem mais de 256 itens")
}

fn bounded_items<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<&'a RawValue>, D::Error> {
    struct Items;
    impl<'de> Visitor<'de> for Items {
        type Value = Vec<&'de RawValue>;

        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Self::Value, A::Error> {
            let mut items = Vec::new();
            while let Some(item) = all.next_element()? {
                if items.len() == MAX_ITEMS {
                    return Err(A::Error::custom(TOO_MANY));
                }
                items.push(item);
            }
            Ok(items)
        }
    }
    deserializer.deserialize_seq(Items)
}

pub(super) async fn post<P: Platform>(request: EndpointRequest<'_, P>) -> Result<Response, Problem> {
    let EndpointRequest { context, headers, query, body, .. } = request;
    reject_other_parameters(query)?;
    let bytes = context.read_json(headers, body, MAX_BATCH_BYTES).await?;
    let batch = parse_batch(&bytes)?;
    let _turn = wait_for_turn(context).await?;
    context.timing.lap("request");
    context.timing.set_source(CheckInSource::Request);
    let mut predicted_checkins = 0;
    let mut answers = b"[".to_vec();
    for (index, item) in batch.items.iter().enumerate() {
        if index > 0 {
            answers.push(b',');
        }
        context.instance.platform.yield_now().await;
        let asked = match answers.len() < MAX_BATCH_ANSWER_BYTES {
            true => parse_item(item, &mut predicted_checkins),
            false => Err(Problem::AnswerTooLarge),
        };
        context.timing.lap("request");
        answers.extend(answer_item(context, asked).await);
    }
    answers.push(b']');
    let unread = context.instance.load.take_unread(answers.len());
    let response = Response::json_text(200, answers).with_share(unread);
    Ok(response.with_cache_status(CacheStatus::Bypass).in_language(context.language))
}

/// Waits until no other batch is predicted in this instance, and what it has answered to batches is read.
async fn wait_for_turn<P: Platform>(context: &RequestContext<P>) -> Result<Share, Problem> {
    loop {
        if let Some(turn) = context.instance.load.take_batch() {
            return Ok(turn);
        }
        if context.deadline.has_passed() {
            return Err(Problem::Overloaded);
        }
        context.instance.platform.sleep(POLL_INTERVAL).await;
    }
}

/// The answer to one item, or its problem, as JSON.
async fn answer_item<P: Platform>(context: &RequestContext<P>, asked: Result<PostedRequest, Problem>) -> Box<[u8]> {
    let answered = match asked {
        Ok(asked) => {
            let as_of = asked.as_of.unwrap_or_else(today);
            let predictions = predict_all(context, &asked.checkins, &asked.options, as_of).await;
            let generated_at = rfc3339_seconds(now());
            let body = posted_predictions::response_body(
                context.rendering(asked.options.explain),
                &asked,
                &predictions,
                &generated_at,
            );
            serde_json::value::to_raw_value(&body).map_err(|_| Problem::Internal)
        }
        Err(problem) => Err(problem),
    };
    let json: Box<str> = answered.unwrap_or_else(|problem| problem_json(&problem, context.language)).into();
    json.into_boxed_bytes()
}

fn parse_batch(bytes: &[u8]) -> Result<Batch<'_>, Problem> {
    serde_json::from_slice(bytes).map_err(|error| {
        if json::is_key_twice(&error) {
            return json_problem(&error);
        }
        let message = match error.classify() {
            serde_json::error::Category::Data if error.to_string().starts_with(TOO_MANY) => too_many(),
            serde_json::error::Category::Data => Text::new(
                "must be an object with nothing but items, an array of up to 256",
                "deve ser um objeto só com items, uma lista de até 256",
            ),
            _ => return json_problem(&error),
        };
        Problem::invalid("items", message)
    })
}

fn parse_item(item: &RawValue, predicted_checkins: &mut usize) -> Result<PostedRequest, Problem> {
    if item.get().len() > MAX_ITEM_BYTES {
        return Err(Problem::TooLarge { limit: MAX_ITEM_BYTES });
    }
    let asked = PostedRequest::parse(item.get().as_bytes())?;
    *predicted_checkins += 1 + usize::from(asked.options.limit_checkins).min(asked.checkins.len());
    if *predicted_checkins > MAX_PREDICTED {
        let message = Text::new(
            format!("with this item the batch asks for predictions at more than {MAX_PREDICTED} check-ins"),
            format!("com este item o lote pede previsões em mais de {MAX_PREDICTED} check-ins"),
        );
        return Err(Problem::invalid("limit_checkins", message));
    }
    Ok(asked)
}

/// Parses the body of a batch, and each of its items.
pub fn parse(bytes: &[u8]) -> Result<Vec<Result<PostedRequest, Problem>>, Problem> {
    let mut predicted_checkins = 0;
    let batch = parse_batch(bytes)?;
    Ok(batch.items.iter().map(|item| parse_item(item, &mut predicted_checkins)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_name_the_limit_that_is_checked() {
        assert_eq!(TOO_MANY, format!("has more than {MAX_ITEMS} items"));
        let items = |count: usize| format!("{{\"items\":[{}]}}", vec!["{}"; count].join(","));
        assert_eq!(parse(items(MAX_ITEMS).as_bytes()).expect("a batch").len(), MAX_ITEMS);
        let error = parse(items(MAX_ITEMS + 1).as_bytes()).expect_err("too many");
        assert_eq!(error, Problem::invalid("items", too_many()));
        let error = parse(b"{\"items\":{}}").expect_err("no array");
        let english = format!("must be an object with nothing but items, an array of up to {MAX_ITEMS}");
        let message = Text::new(english, format!("deve ser um objeto só com items, uma lista de até {MAX_ITEMS}"));
        assert_eq!(error, Problem::invalid("items", message));
    }
}
