//! The people of the demo cohort and their check-ins.

#![allow(clippy::expect_used, reason = "a test ends there")]

use serde_json::{Value, json};

/// The demo person whose latest mood is euthymia.
pub const EUTHYMIC: &str = "11111111-1111-4111-8111-111111111111";
/// The demo person whose latest mood is mania.
pub const MANIC: &str = "22222222-2222-4222-8222-222222222222";
/// The demo person whose latest mood is depression.
pub const DEPRESSED: &str = "33333333-3333-4333-8333-333333333333";
/// The demo person whose latest mood is a mixed state.
pub const MIXED: &str = "44444444-4444-4444-8444-444444444444";
/// The demo person who has not checked in yet.
pub const WITHOUT_CHECK_INS: &str = "55555555-5555-4555-8555-555555555555";

pub use demo_project::moved;

/// Returns a demo person's check-ins, oldest first: the columns that have something in them, by name.
pub fn demo_check_ins(user_id: &str) -> Vec<Vec<(String, String)>> {
    let text = demo_csv();
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().expect("a header").split(',').collect();
    let row = |line: &str| {
        let cells = header.iter().zip(line.split(',')).filter(|(_, cell)| !cell.is_empty());
        cells.map(|(name, cell)| ((*name).to_owned(), cell.to_owned())).collect()
    };
    lines.filter(|line| line.starts_with(user_id)).map(row).collect()
}

/// Returns a demo person's check-ins as rows of the database's table, latest first, with its nested columns.
pub fn demo_rows(user_id: &str) -> Vec<Value> {
    let mut rows = demo_project::rows(&demo_csv(), user_id);
    rows.reverse();
    for row in &mut rows {
        row["created_at"] = json!("2026-01-31T08:00:00.123456+00:00");
    }
    rows
}

/// Returns an answer without the ids of its predictions, which differ whenever they are made.
pub fn without_ids(mut answer: Value) -> Value {
    fn remove(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.remove("decision_id");
                fields.values_mut().for_each(remove);
            }
            Value::Array(items) => items.iter_mut().for_each(remove),
            _ => {}
        }
    }
    remove(&mut answer);
    answer
}

fn demo_csv() -> String {
    demo_project::demo(crate::root()).expect("the demo cohort")
}
