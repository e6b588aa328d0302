//! `POST /hooks/check-ins`: the database's webhook, after which predictions about the people of a changed row are not
//! served again.

use crate::context::EndpointRequest;
use crate::http::Response;
use crate::ids::UserId;
use crate::json;
use crate::limits::MAX_ITEM_BYTES;
use crate::platform::Platform;
use crate::problem::Problem;
use crate::request::json_problem;
use crate::retention;
use serde::{Deserialize, Serialize};

/// The table whose rows are check-ins.
const TABLE: &str = "check_ins";

#[derive(Serialize)]
struct Body {
    /// The number of people whose predictions are not served again.
    invalidated: usize,
}

/// A database webhook, as Supabase sends it. Its other fields are not read.
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

pub(super) async fn post<P: Platform>(request: EndpointRequest<'_, P>) -> Result<Response, Problem> {
    let EndpointRequest { context, headers, body, .. } = request;
    let body = context.read_json(headers, body, MAX_ITEM_BYTES).await?;
    let people = people(&body)?;
    for person in &people {
        retention::invalidate(&context.instance, *person).await?;
    }
    Ok(Response::json(200, &Body { invalidated: people.len() }))
}

/// Parses the people that a changed row is, and was, of.
pub fn people(body: &[u8]) -> Result<Vec<UserId>, Problem> {
    let body = json::parse(body).map_err(|error| json_problem(&error))?;
    let change: Change = serde_json::from_value(body)
        .map_err(|_| Problem::invalid("body", "is no change of a row: table, record and old_record are needed"))?;
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
    Ok(people)
}
