//! PostgREST's way of asking a database, as far as the service asks: `select=*`, filters (`eq`, `lte`), an order, a
//! limit; run as the role of the token with its claims, so that row-level security decides. Errors have PostgREST's
//! statuses and bodies (docs.postgrest.org, "Errors"); `tests/fixtures/supabase/client.py` holds them against
//! PostgREST's own client.

use crate::tokens::{self, TokenError};
use anyhow::Result;
use postgres::error::SqlState;
use postgres::{Client, NoTls};
use serde_json::json;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

/// Maximum length of a request's head in bytes.
const MAX_HEAD: usize = 64 << 10;

/// Serves on a free port for as long as the process lives; returns the URL.
pub(crate) fn serve(address: String) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let address = address.clone();
            // A client that hangs up is its own business.
            std::thread::spawn(move || handle(stream, &address));
        }
    });
    Ok(url)
}

fn handle(mut stream: TcpStream, address: &str) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    let (mut authorization, mut head) = (None, 0);
    for line in lines {
        let line = line?;
        head += line.len();
        if line.is_empty() || head > MAX_HEAD {
            break;
        }
        if let Some((_, value)) = line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("authorization")) {
            authorization = value.trim().strip_prefix("Bearer ").map(str::to_owned);
        }
    }
    let path = request.split(' ').nth(1).unwrap_or_default();
    let (status, body) = select(address, path, authorization.as_deref());
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status} x\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    )
}

/// Returns the status and the body of an error.
fn problem(status: u16, code: &str, message: &str) -> (u16, String) {
    (status, json!({ "code": code, "details": null, "hint": null, "message": message }).to_string())
}

/// Answers a request for rows: a status and a body.
fn select(address: &str, path: &str, token: Option<&str>) -> (u16, String) {
    let Some((table, query)) = path.strip_prefix("/rest/v1/").map(|rest| rest.split_once('?').unwrap_or((rest, "")))
    else {
        return problem(404, "PGRST125", "Invalid path specified in request URL");
    };
    let (role, claims) = match token.map(tokens::read) {
        None => ("anon".to_owned(), json!({})),
        Some(Ok(claims)) => (claims["role"].as_str().unwrap_or("anon").to_owned(), claims),
        Some(Err(TokenError::Expired)) => return problem(401, "PGRST303", "JWT expired"),
        Some(Err(TokenError::Signature)) => return problem(401, "PGRST301", "No suitable key or wrong key type"),
    };
    let Some(sql) = statement(table, query) else {
        return problem(400, "PGRST100", "\"failed to parse the query\"");
    };
    let selected = Client::connect(address, NoTls).and_then(|mut client| {
        client.batch_execute(&format!(
            "set role {}; set request.jwt.claims = {}",
            identifier(&role),
            literal(&claims.to_string())
        ))?;
        client.query_one(&sql, &[]).map(|row| row.get::<_, String>(0))
    });
    let error = match selected {
        Ok(rows) => return (200, rows),
        Err(error) => error,
    };
    let Some(database) = error.as_db_error() else { return problem(503, "PGRST001", "Database client error") };
    match *database.code() {
        SqlState::UNDEFINED_TABLE => {
            let message = format!("Could not find the table 'public.{table}' in the schema cache");
            problem(404, "PGRST205", &message)
        }
        // PostgREST tells those who have not said who they are to do so.
        SqlState::INSUFFICIENT_PRIVILEGE if role == "anon" => problem(401, "42501", database.message()),
        SqlState::INSUFFICIENT_PRIVILEGE => problem(403, "42501", database.message()),
        ref code => problem(400, code.code(), database.message()),
    }
}

/// Returns the statement of a query, or `None` for one that the service never sends.
fn statement(table: &str, query: &str) -> Option<String> {
    let (mut filters, mut order, mut limit) = (Vec::new(), String::new(), String::new());
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "select" if value == "*" => {}
            "order" => {
                let (column, direction) = value.split_once('.').unwrap_or((&value, "asc"));
                let known = ["asc", "desc"].contains(&direction);
                order = known.then(|| format!(" order by {} {direction}", identifier(column)))?;
            }
            "limit" => limit = format!(" limit {}", value.parse::<u32>().ok()?),
            column => {
                let (operator, value) = value.split_once('.')?;
                let operator = match operator {
                    "eq" => "=",
                    "lte" => "<=",
                    _ => return None,
                };
                filters.push(format!("{} {operator} {}", identifier(column), literal(value)));
            }
        }
    }
    let filters = if filters.is_empty() { String::new() } else { format!(" where {}", filters.join(" and ")) };
    let table = identifier(table);
    Some(format!("select coalesce(json_agg(t), '[]')::text from (select * from {table}{filters}{order}{limit}) t"))
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_service_asks_becomes_a_statement_and_anything_else_does_not() {
        let query = "select=*&user_id=eq.11111111&checkin_date=lte.2026-01-31&order=checkin_date.desc&limit=8";
        assert_eq!(
            statement("check_ins", query).as_deref(),
            Some(
                "select coalesce(json_agg(t), '[]')::text from (select * from \"check_ins\" where \"user_id\" = '11111111' \
                 and \"checkin_date\" <= '2026-01-31' order by \"checkin_date\" desc limit 8) t"
            )
        );
        assert!(statement("check_ins", "select=%2A").is_some(), "as PostgREST's own client sends it");
        for other in ["select=id", "limit=many", "user_id=gt.1", "order=a.sideways"] {
            assert_eq!(statement("check_ins", other), None, "{other}");
        }
        assert!(statement("a\"b", "x=eq.it's").is_some_and(|sql| sql.contains("\"a\"\"b\" where \"x\" = 'it''s'")));
    }

    #[test]
    fn a_token_is_read_back_and_a_changed_one_is_not() {
        let token = tokens::token("http://project", "someone");
        assert_eq!(tokens::read(&token).map(|claims| claims["sub"] == "someone"), Ok(true));
        assert_eq!(tokens::read(&token[..token.len() - 2]), Err(TokenError::Signature));
    }
}
