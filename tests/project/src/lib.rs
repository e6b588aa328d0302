//! A fake Supabase project, where there is no real one: a real PostgreSQL with the project's schema and the demo people
//! in it, PostgREST's way of asking it, access tokens, and the database webhook. For tests, and for trying the service
//! as it would be deployed: `cargo xtask up --supabase-demo`.
//!
//! ```no_run
//! use demo_project::{Project, token};
//!
//! let person = "33333333-3333-4333-8333-333333333333";
//! let project = Project::start(".".as_ref(), &[person])?;
//! println!("{}, as {person}: {}", project.variables().join(" "), token(&project.url, person));
//! # anyhow::Ok(())
//! ```
//!
//! `platform.sql` makes the objects that a project has before `schema.sql` is run, as far as `schema.sql` uses them.

mod cluster;
mod rest;
mod tokens;

pub use tokens::{SECRET, claims, token};

use anyhow::{Context, Result};
use cluster::Cluster;
use features::FIELDS;
use jiff::civil::Date;
use jiff::{Span, Timestamp};
use postgres::Client;
use serde_json::{Map, Value, json};
use std::path::Path;

/// The key that the gateway asks for beside a token. Nothing here reads it.
pub const ANON_KEY: &str = "the-anon-key";
/// The secret that the webhook sends.
pub const WEBHOOK_SECRET: &str = "a secret of the demo's own";
/// Id of the therapist of the first of the demo people that [`Project::start`] is given.
pub const THERAPIST: &str = "99999999-9999-4999-8999-999999999999";

/// A project. It ends with this value.
pub struct Project {
    cluster: Cluster,
    /// URL of its REST interface, as in `supabase_url`.
    pub url: String,
}

impl Project {
    /// Starts a database with these of the demo people in it, and the REST interface to it. `root` is the repository's
    /// folder.
    pub fn start(root: &Path, people: &[&str]) -> Result<Project> {
        let cluster = Cluster::start()?;
        let mut client = cluster.connect()?;
        for file in ["platform.sql", "schema.sql"] {
            let sql = std::fs::read_to_string(root.join("tests/fixtures/supabase").join(file))?;
            client.batch_execute(&sql).with_context(|| file.to_owned())?;
        }
        for id in people.iter().chain([&THERAPIST]) {
            client.batch_execute(&format!("insert into auth.users values ('{id}')"))?;
        }
        if let Some(first) = people.first() {
            client.batch_execute(&format!("insert into care_team values ('{first}', '{THERAPIST}')"))?;
        }
        let demo = demo(root)?;
        for person in people {
            for row in rows(&demo, person) {
                // The table makes ids of its own.
                let columns = "user_id, checkin_date, sleep_data, mood_data, symptoms_data, risk_routine_data, \
                               appetite_impulse_data, meds_context_data";
                let sql = format!(
                    "insert into check_ins ({columns}) select {columns} from json_populate_record(null::check_ins, '{row}')"
                );
                client.batch_execute(&sql).with_context(|| format!("a check-in: {row}"))?;
            }
        }
        client.batch_execute("delete from supabase_functions.sent")?;
        let url = rest::serve(cluster.address())?;
        Ok(Project { cluster, url })
    }

    /// Connects to the database as its owner.
    pub fn connect(&self) -> Result<Client> {
        self.cluster.connect()
    }

    /// Returns the connection string for `psql`, as the database's owner.
    pub fn address(&self) -> String {
        self.cluster.address()
    }

    /// Returns the variables of a service that reads from here.
    pub fn variables(&self) -> Vec<String> {
        vec![
            format!("supabase_url={}", self.url),
            format!("supabase_anon_key={ANON_KEY}"),
            format!("supabase_jwt_secret={SECRET}"),
            format!("webhook_secret={WEBHOOK_SECRET}"),
        ]
    }

    /// Returns the bodies that the database's webhook would have sent since the last call.
    pub fn sent(&self) -> Result<Vec<Value>> {
        let rows = self.connect()?.query("delete from supabase_functions.sent returning body::text", &[])?;
        rows.iter().map(|row| serde_json::from_str(row.get(0)).context("the webhook's body")).collect()
    }
}

/// The last day of the demo cohort's file.
const LAST_DATE: Date = Date::constant(2026, 1, 31);

/// Returns a date of the demo cohort's file as the service has it: its last day is today, in UTC.
pub fn moved(date: Date) -> Date {
    date.saturating_add(days_ago(0) - LAST_DATE)
}

/// Returns the day so many days before today, in UTC.
pub fn days_ago(days: i64) -> Date {
    let today = Timestamp::now().as_second().div_euclid(86_400);
    Date::constant(1970, 1, 1).saturating_add(Span::new().days(today - days))
}

/// Returns the text of the demo cohort's file, `demo.csv`, with the dates that the service has. `root` is the
/// repository's folder.
pub fn demo(root: &Path) -> Result<String> {
    let text = std::fs::read_to_string(root.join("src/checkins/demo.csv"))?;
    let (header, lines) = text.split_once('\n').context("demo.csv has a header")?;
    let mut out = format!("{header}\n");
    for line in lines.lines() {
        let mut cells: Vec<String> = line.split(',').map(str::to_owned).collect();
        let date = cells.get_mut(2).context("demo.csv has dates in its third column")?;
        *date = moved(date.parse()?).to_string();
        out.push_str(&cells.join(","));
        out.push('\n');
    }
    Ok(out)
}

/// Returns a demo person's check-ins with the table's columns, oldest first, out of the text of `demo.csv`.
pub fn rows(demo: &str, person: &str) -> Vec<Value> {
    let mut lines = demo.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let row = |line: &str| {
        let mut row = Map::new();
        for field in FIELDS {
            row.entry(field.group).or_insert_with(|| json!({}));
        }
        for (name, cell) in header.iter().zip(line.split(',')).filter(|(_, cell)| !cell.is_empty()) {
            match (FIELDS.iter().find(|field| field.name == *name), cell.parse::<f64>()) {
                (Some(field), Ok(number)) => row[field.group][*name] = json!(number),
                _ => drop(row.insert((*name).to_owned(), json!(cell))),
            }
        }
        Value::Object(row)
    };
    lines.filter(|line| line.starts_with(person)).map(row).collect()
}
