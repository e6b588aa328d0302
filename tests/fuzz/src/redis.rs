//! A Redis server that does what it is told, and replies something else now and then.

use crate::Choices;
use bipolar_edge::platform::{RedisValue, StoreError};
use std::collections::BTreeMap;

/// Numbers at which arithmetic ends.
const NUMBERS: [i64; 8] = [0, 1, -1, i64::MAX, i64::MIN, i64::MAX - 20, 1 << 40, -(1 << 40)];
/// Scalars that may stand in place of a number in JSON.
const SCALARS: [&str; 12] = [
    "0",
    "-1",
    "1.5",
    "255",
    "256",
    "4294967296",
    "9223372036854775807",
    "18446744073709551615",
    // The bits of 1.0, of infinity, and of something that is no number.
    "4607182418800017408",
    "9218868437227405312",
    "9221120237041090560",
    "null",
];

/// The honest reply to a command.
pub(crate) fn reply(
    stored: &mut BTreeMap<Vec<u8>, Vec<u8>>,
    counts: &mut BTreeMap<Vec<u8>, i64>,
    command: &str,
    arguments: &[&[u8]],
) -> Vec<RedisValue> {
    let get = |stored: &BTreeMap<Vec<u8>, Vec<u8>>, key: &[u8]| {
        stored.get(key).map_or(RedisValue::Nil, |value| RedisValue::Bytes(value.clone()))
    };
    match command {
        "MGET" => arguments.iter().map(|key| get(stored, key)).collect(),
        "SET" => {
            stored.insert(arguments[0].to_vec(), arguments[1].to_vec());
            vec![RedisValue::Status("OK".to_owned())]
        }
        "DEL" => {
            let deleted = arguments.iter().filter(|key| stored.remove(**key).is_some()).count();
            vec![RedisValue::Integer(deleted as i64)]
        }
        _ => {
            let number = |text: &[u8]| std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
            let script = String::from_utf8_lossy(arguments[0]);
            let (keys, arguments) = arguments[2..].split_at(number(arguments[1]) as usize);
            if script.contains("PEXPIRE") {
                // A request is counted: it is the first in its bucket.
                let read = keys[1..].iter().map(|key| get(stored, key));
                let counted = [1, 1, number(arguments[1])].map(RedisValue::Integer);
                counted.into_iter().chain(read).collect()
            } else if script.contains("'NX'") {
                vec![RedisValue::Integer(i64::from(stored.insert(keys[0].to_vec(), b"1".to_vec()).is_none()))]
            } else if script.contains("HINCRBY") {
                for field in arguments[1..].chunks_exact(2) {
                    *counts.entry(field[0].to_vec()).or_default() += number(field[1]);
                }
                vec![RedisValue::Integer(1)]
            } else {
                let bytes = |text: String| RedisValue::Bytes(text.into_bytes());
                let fields = counts.iter();
                fields.flat_map(|(name, count)| [RedisValue::Bytes(name.clone()), bytes(count.to_string())]).collect()
            }
        }
    }
}

/// The reply that is given in place of an honest one.
pub(crate) fn tampered(mut reply: Vec<RedisValue>, choices: &Choices) -> Result<Vec<RedisValue>, StoreError> {
    let choice = choices.byte();
    // The lower half is honest, and so is a server of which the input has nothing more to say.
    if choice < 128 {
        return Ok(reply);
    }
    let place = choices.below(reply.len());
    match (choice % 8, reply.get_mut(place)) {
        (0, _) => return Err(StoreError::Other),
        (1, _) => reply = (0..choices.byte() % 12).map(|_| value(choices)).collect(),
        (2, Some(changed)) => *changed = value(choices),
        (3, Some(RedisValue::Bytes(bytes))) if !bytes.is_empty() => {
            let at = choices.below(bytes.len());
            let put = choices.some_bytes();
            bytes.iter_mut().skip(at).zip(put).for_each(|(byte, put)| *byte = put);
        }
        (4, Some(RedisValue::Bytes(bytes))) => bytes.truncate(choices.below(bytes.len())),
        (5 | 6, Some(RedisValue::Bytes(bytes))) => replace_number(bytes, choices),
        (5.., Some(RedisValue::Integer(number))) => *number = *choices.one_of(&NUMBERS),
        (6, _) => drop(reply.pop()),
        _ => reply.push(value(choices)),
    }
    Ok(reply)
}

fn value(choices: &Choices) -> RedisValue {
    match choices.byte() % 6 {
        0 => RedisValue::Nil,
        1 => RedisValue::Integer(*choices.one_of(&NUMBERS)),
        2 => RedisValue::Integer(choices.number()),
        3 => RedisValue::Status(String::from_utf8_lossy(&choices.some_bytes()).into_owned()),
        4 => RedisValue::Bytes(choices.one_of(&SCALARS).as_bytes().to_vec()),
        _ => RedisValue::Bytes(choices.some_bytes()),
    }
}

/// Replaces one of the numbers in a text.
fn replace_number(bytes: &mut Vec<u8>, choices: &Choices) {
    let is_first = |at: &usize| bytes[*at].is_ascii_digit() && (*at == 0 || !bytes[*at - 1].is_ascii_digit());
    let begins: Vec<usize> = (0..bytes.len()).filter(is_first).collect();
    let Some(begin) = begins.get(choices.below(begins.len())).copied() else { return };
    let end = begin + bytes[begin..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    bytes.splice(begin..end, choices.one_of(&SCALARS).bytes());
}
