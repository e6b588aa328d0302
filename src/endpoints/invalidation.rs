//! `DELETE /data/predictions/{user_id}` and `POST /hooks/check-ins`: what was predicted about a person is not served again.

use super::Asked;
use crate::cache;
use crate::platform::{Platform, RequestBody};
use crate::problem::Problem;
use crate::request::{self, ITEM_LIMIT, UserId};
use crate::response::Response;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

/// The header in which the database's webhook sends the secret that it shares with this service.
const SECRET_HEADER: &str = "x-webhook-secret";
/// The table whose rows are check-ins.
const TABLE: &str = "check_ins";

#[derive(Serialize)]
struct Body {
    /// How many entries were there and are gone.
    invalidated: usize,
}

/// A database webhook, as Supabase sends it. What else it has is not read.
#[derive(Deserialize)]
struct Change {
    table: String,
    record: Option<Row>,
    old_record: Option<Row>,
}

#[derive(Deserialize)]
struct Row {
    user_id: Option<String>,
}

/// One person, by request.
pub(super) async fn of_person<P: Platform>(
    asked: &Asked<'_, P>,
    user_id: &str,
    query: &str,
) -> Result<Response, Problem> {
    let user_id = request::person_alone(user_id, query)?;
    asked.caller.may_invalidate(user_id)?;
    let invalidated = cache::invalidate(asked.instance, asked.settings, user_id).await?;
    Ok(Response::json(200, &Body { invalidated }).with_header("cache-control", "private, no-store"))
}

/// Whoever a changed row is, and was, of.
pub(super) async fn of_change<P: Platform>(asked: &Asked<'_, P>, body: impl RequestBody) -> Result<Response, Problem> {
    let secret = asked.settings.webhook_secret.as_ref().ok_or(Problem::NotConfigured {
        detail: "The variable webhook_secret is not set, so no webhook can be believed.",
    })?;
    let given = request::only(asked.headers, SECRET_HEADER).map_or(&[][..], |value| value.as_bytes());
    if !bool::from(given.ct_eq(secret.as_bytes())) {
        return Err(Problem::BadWebhookSecret);
    }
    let bytes = request::read_json(&asked.instance.platform, asked.headers, body, ITEM_LIMIT, asked.deadline).await?;
    let change: Change = serde_json::from_slice(&bytes).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => {
            Problem::invalid("body", "is no change of a row: table, record and old_record are needed")
        }
        _ => request::not_json(&error),
    })?;
    if change.table != TABLE {
        return Err(Problem::invalid("table", "must be check_ins"));
    }
    let ids = [change.record, change.old_record].into_iter().flatten().filter_map(|row| row.user_id);
    let mut people: Vec<UserId> = Vec::new();
    for id in ids {
        let person = UserId::parse(&id).ok_or_else(|| Problem::invalid("record.user_id", "is not a UUID"))?;
        if !people.contains(&person) {
            people.push(person);
        }
    }
    if people.is_empty() {
        return Err(Problem::invalid("record.user_id", "is missing, and so is old_record's"));
    }
    let mut invalidated = 0;
    for person in people {
        invalidated += cache::invalidate(asked.instance, asked.settings, person).await?;
    }
    Ok(Response::json(200, &Body { invalidated }))
}
