//! `spin:redis@3.0.0`, and `fermyon:spin/redis@2.0.0`, which is synchronous to the guest. As in Spin every `open` makes
//! a connection of its own, and nothing times out.

use crate::bindings::fermyon::spin::redis as v2;
use crate::bindings::spin::redis::redis as v3;
use crate::fault::Writes;
use crate::guest::{Guest, GuestData, Shared};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, ErrorKind, FromRedisValue, RedisError, Value, cmd};
use std::sync::Arc;
use wasmtime::Result;
use wasmtime::component::{Accessor, Resource};

/// Commands that change nothing, which a store that loses writes still runs.
const READS: [&str; 11] =
    ["EXISTS", "GET", "HGET", "HGETALL", "HMGET", "MGET", "PING", "SCARD", "SMEMBERS", "STRLEN", "TTL"];

/// A connection that a guest has opened.
#[allow(unreachable_pub, reason = "the generated bindings re-export it")]
#[derive(Clone)]
pub struct Connection {
    connection: MultiplexedConnection,
    shared: Arc<Shared>,
}

/// Result of an operation, in the newer interface's types.
type Outcome<T> = std::result::Result<T, v3::Error>;

fn other(error: RedisError) -> v3::Error {
    v3::Error::Other(error.to_string())
}

/// Dials an address that the component may call.
async fn connect(shared: Arc<Shared>, address: &str) -> Outcome<Connection> {
    if !shared.allowed_hosts.allow_address(address, "redis") {
        return Err(v3::Error::InvalidAddress);
    }
    shared.redis_faults.apply().await.map_err(v3::Error::Other)?;
    let client = redis::Client::open(address).map_err(|_| v3::Error::InvalidAddress)?;
    let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
    let connection = client.get_multiplexed_async_connection_with_config(&config).await.map_err(other)?;
    Ok(Connection { connection, shared })
}

impl Connection {
    /// Sends a command. `lost` is the answer of a store that loses writes.
    async fn query<T: FromRedisValue>(&mut self, command: &Cmd, lost: Option<T>) -> Outcome<T> {
        match (self.shared.redis_faults.apply().await.map_err(v3::Error::Other)?, lost) {
            (Writes::Lost, Some(answer)) => Ok(answer),
            // As a server without room answers.
            (Writes::Refused, Some(_)) if !is_deletion(command) => {
                Err(v3::Error::Other("OOM command not allowed when used memory > 'maxmemory'".to_owned()))
            }
            _ => command.query_async(&mut self.connection).await.map_err(other),
        }
    }

    async fn publish(&mut self, channel: &str, payload: &[u8]) -> Outcome<()> {
        self.query(cmd("PUBLISH").arg(channel).arg(payload), Some(())).await
    }

    async fn get(&mut self, key: &str) -> Outcome<Option<Vec<u8>>> {
        self.query(cmd("GET").arg(key), None).await
    }

    async fn set(&mut self, key: &str, value: &[u8]) -> Outcome<()> {
        self.query(cmd("SET").arg(key).arg(value), Some(())).await
    }

    async fn incr(&mut self, key: &str) -> Outcome<i64> {
        self.query(cmd("INCRBY").arg(key).arg(1), Some(1)).await
    }

    async fn del(&mut self, keys: &[String]) -> Outcome<u32> {
        self.query(cmd("DEL").arg(keys), Some(0)).await
    }

    async fn sadd(&mut self, key: &str, values: &[String]) -> Outcome<u32> {
        let mut command = cmd("SADD");
        command.arg(key).arg(values);
        match self.shared.redis_faults.apply().await.map_err(v3::Error::Other)? {
            Writes::Kept => {}
            Writes::Lost => return Ok(0),
            Writes::Refused => return Err(v3::Error::Other("OOM command not allowed".to_owned())),
        }
        let added = command.query_async(&mut self.connection).await;
        added.map_err(|error| match error.kind() {
            ErrorKind::UnexpectedReturnType => v3::Error::TypeError,
            _ => other(error),
        })
    }

    async fn smembers(&mut self, key: &str) -> Outcome<Vec<String>> {
        self.query(cmd("SMEMBERS").arg(key), None).await
    }

    async fn srem(&mut self, key: &str, values: &[String]) -> Outcome<u32> {
        self.query(cmd("SREM").arg(key).arg(values), Some(0)).await
    }

    async fn execute(&mut self, name: &str, arguments: &[v3::RedisParameter]) -> Outcome<Vec<v3::RedisResult>> {
        let mut command = cmd(name);
        for argument in arguments {
            match argument {
                v3::RedisParameter::Int64(number) => command.arg(*number),
                v3::RedisParameter::Binary(bytes) => command.arg(bytes.as_slice()),
            };
        }
        let lost = (!READS.contains(&name.to_ascii_uppercase().as_str())).then_some(Value::Okay);
        let answer = self.query(&command, lost).await?;
        let mut results = Vec::new();
        flatten(answer, &mut results)?;
        Ok(results)
    }
}

/// Returns true if a command makes room.
fn is_deletion(command: &Cmd) -> bool {
    let name = command.args_iter().next();
    matches!(name, Some(redis::Arg::Simple(name)) if [&b"DEL"[..], b"SREM"].contains(&&*name.to_ascii_uppercase()))
}

/// Appends what a server answered: arrays and sets item by item, without a trace of where they began and ended.
fn flatten(value: Value, results: &mut Vec<v3::RedisResult>) -> Outcome<()> {
    let unsupported = |what: &str| Err(v3::Error::Other(format!("a Redis {what} is not supported")));
    results.push(match value {
        Value::Nil => v3::RedisResult::Nil,
        Value::Int(number) => v3::RedisResult::Int64(number),
        Value::Boolean(is_true) => v3::RedisResult::Int64(is_true.into()),
        Value::BulkString(bytes) => v3::RedisResult::Binary(bytes),
        Value::Double(number) => v3::RedisResult::Binary(number.to_string().into_bytes()),
        Value::SimpleString(status) => v3::RedisResult::Status(status),
        Value::Okay => v3::RedisResult::Status("OK".to_owned()),
        Value::Array(items) | Value::Set(items) => {
            return items.into_iter().try_for_each(|item| flatten(item, results));
        }
        Value::ServerError(error) => return Err(v3::Error::Other(format!("Server error: {error:?}"))),
        Value::Map(_) => return unsupported("map"),
        Value::Push { .. } => return unsupported("push message"),
        _ => return unsupported("value of this type"),
    });
    Ok(())
}

fn connection<T: 'static>(accessor: &Accessor<T, GuestData>, connection: &Resource<Connection>) -> Result<Connection> {
    accessor.with(|mut access| Ok(access.get().table.get(connection)?.clone()))
}

impl v3::Host for &mut Guest {}

impl v3::HostConnection for &mut Guest {
    async fn drop(&mut self, connection: Resource<Connection>) -> Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}

impl<T: Send + 'static> v3::HostConnectionWithStore<T> for GuestData {
    async fn open(accessor: &Accessor<T, Self>, address: String) -> Result<Outcome<Resource<Connection>>> {
        let shared = accessor.with(|mut access| access.get().shared.clone());
        match connect(shared, &address).await {
            Ok(opened) => Ok(Ok(accessor.with(|mut access| access.get().table.push(opened))?)),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn publish(
        accessor: &Accessor<T, Self>,
        opened: Resource<Connection>,
        channel: String,
        payload: Vec<u8>,
    ) -> Result<Outcome<()>> {
        Ok(connection(accessor, &opened)?.publish(&channel, &payload).await)
    }

    async fn get(
        accessor: &Accessor<T, Self>,
        opened: Resource<Connection>,
        key: String,
    ) -> Result<Outcome<Option<Vec<u8>>>> {
        Ok(connection(accessor, &opened)?.get(&key).await)
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        opened: Resource<Connection>,
        key: String,
        value: Vec<u8>,
    ) -> Result<Outcome<()>> {
        Ok(connection(accessor, &opened)?.set(&key, &value).await)
    }

    async fn incr(accessor: &Accessor<T, Self>, opened: Resource<Connection>, key: String) -> Result<Outcome<i64>> {
        Ok(connection(accessor, &opened)?.incr(&key).await)
    }

    async fn del(
        accessor: &Accessor<T, Self>,
        opened: Resource<Connection>,
        keys: Vec<String>,
    ) -> Result<Outcome<u32>> {
        Ok(connection(accessor, &opened)?.del(&keys).await)
    }

    async fn sadd(
        accessor: &Accessor<T, Self>,
        opened: Resource<Connection>,
        key: String,
        values: Vec<String>,
    ) -> Result<Outcome<u32>> {
        Ok(connection(accessor, &opened)?.sadd(&key, &values).await)
    }

    async fn smembers(
        accessor: &Accessor<T, Self>,
        opened: Resource<Connection>,
        key: String,
    ) -> Result<Outcome<Vec<String>>> {
        Ok(connection(accessor, &opened)?.smembers(&key).await)
    }

    async fn srem(
        accessor: &Accessor<T, Self>,
        opened: Resource<Connection>,
        key: String,
        values: Vec<String>,
    ) -> Result<Outcome<u32>> {
        Ok(connection(accessor, &opened)?.srem(&key, &values).await)
    }

    async fn execute(
        accessor: &Accessor<T, Self>,
        opened: Resource<Connection>,
        command: String,
        arguments: Vec<v3::RedisParameter>,
    ) -> Result<Outcome<Vec<v3::RedisResult>>> {
        Ok(connection(accessor, &opened)?.execute(&command, &arguments).await)
    }
}

impl From<v3::Error> for v2::Error {
    fn from(error: v3::Error) -> v2::Error {
        match error {
            v3::Error::InvalidAddress => v2::Error::InvalidAddress,
            v3::Error::TooManyConnections => v2::Error::TooManyConnections,
            v3::Error::TypeError => v2::Error::TypeError,
            v3::Error::Other(message) => v2::Error::Other(message),
        }
    }
}

impl From<v2::RedisParameter> for v3::RedisParameter {
    fn from(parameter: v2::RedisParameter) -> v3::RedisParameter {
        match parameter {
            v2::RedisParameter::Int64(number) => v3::RedisParameter::Int64(number),
            v2::RedisParameter::Binary(bytes) => v3::RedisParameter::Binary(bytes),
        }
    }
}

impl From<v3::RedisResult> for v2::RedisResult {
    fn from(result: v3::RedisResult) -> v2::RedisResult {
        match result {
            v3::RedisResult::Nil => v2::RedisResult::Nil,
            v3::RedisResult::Status(status) => v2::RedisResult::Status(status),
            v3::RedisResult::Int64(number) => v2::RedisResult::Int64(number),
            v3::RedisResult::Binary(bytes) => v2::RedisResult::Binary(bytes),
        }
    }
}

/// Result of an operation, in the older interface's types.
type OldOutcome<T> = std::result::Result<T, v2::Error>;

impl Guest {
    fn connection(&mut self, connection: &Resource<Connection>) -> Result<&mut Connection> {
        Ok(self.table.get_mut(connection)?)
    }
}

impl v2::Host for &mut Guest {}

impl v2::HostConnection for &mut Guest {
    async fn open(&mut self, address: String) -> Result<OldOutcome<Resource<Connection>>> {
        self.enter(|calls| &mut calls.redis.open).await;
        match connect(self.shared.clone(), &address).await {
            Ok(opened) => Ok(Ok(self.table.push(opened)?)),
            Err(error) => Ok(Err(error.into())),
        }
    }

    async fn publish(
        &mut self,
        connection: Resource<Connection>,
        channel: String,
        payload: Vec<u8>,
    ) -> Result<OldOutcome<()>> {
        self.enter(|calls| &mut calls.redis.other).await;
        Ok(self.connection(&connection)?.publish(&channel, &payload).await.map_err(Into::into))
    }

    async fn get(&mut self, connection: Resource<Connection>, key: String) -> Result<OldOutcome<Option<Vec<u8>>>> {
        self.enter(|calls| &mut calls.redis.other).await;
        self.shared.redis_faults.check_trap()?;
        Ok(self.connection(&connection)?.get(&key).await.map_err(Into::into))
    }

    async fn set(&mut self, connection: Resource<Connection>, key: String, value: Vec<u8>) -> Result<OldOutcome<()>> {
        self.enter(|calls| &mut calls.redis.other).await;
        Ok(self.connection(&connection)?.set(&key, &value).await.map_err(Into::into))
    }

    async fn incr(&mut self, connection: Resource<Connection>, key: String) -> Result<OldOutcome<i64>> {
        self.enter(|calls| &mut calls.redis.other).await;
        Ok(self.connection(&connection)?.incr(&key).await.map_err(Into::into))
    }

    async fn del(&mut self, connection: Resource<Connection>, keys: Vec<String>) -> Result<OldOutcome<u32>> {
        self.enter(|calls| &mut calls.redis.other).await;
        Ok(self.connection(&connection)?.del(&keys).await.map_err(Into::into))
    }

    async fn sadd(
        &mut self,
        connection: Resource<Connection>,
        key: String,
        values: Vec<String>,
    ) -> Result<OldOutcome<u32>> {
        self.enter(|calls| &mut calls.redis.other).await;
        Ok(self.connection(&connection)?.sadd(&key, &values).await.map_err(Into::into))
    }

    async fn smembers(&mut self, connection: Resource<Connection>, key: String) -> Result<OldOutcome<Vec<String>>> {
        self.enter(|calls| &mut calls.redis.other).await;
        Ok(self.connection(&connection)?.smembers(&key).await.map_err(Into::into))
    }

    async fn srem(
        &mut self,
        connection: Resource<Connection>,
        key: String,
        values: Vec<String>,
    ) -> Result<OldOutcome<u32>> {
        self.enter(|calls| &mut calls.redis.other).await;
        Ok(self.connection(&connection)?.srem(&key, &values).await.map_err(Into::into))
    }

    async fn execute(
        &mut self,
        connection: Resource<Connection>,
        command: String,
        arguments: Vec<v2::RedisParameter>,
    ) -> Result<OldOutcome<Vec<v2::RedisResult>>> {
        self.enter(|calls| &mut calls.redis.execute).await;
        self.shared.redis_faults.check_trap()?;
        let arguments: Vec<v3::RedisParameter> = arguments.into_iter().map(Into::into).collect();
        let results = self.connection(&connection)?.execute(&command, &arguments).await;
        Ok(results.map(|results| results.into_iter().map(Into::into).collect()).map_err(Into::into))
    }

    async fn drop(&mut self, connection: Resource<Connection>) -> Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_flattened_and_maps_refused() {
        let nested = Value::Array(vec![
            Value::Int(1),
            Value::Array(vec![Value::Nil, Value::BulkString(b"two".to_vec())]),
            Value::Okay,
            Value::SimpleString("PONG".to_owned()),
        ]);
        let mut results = Vec::new();
        flatten(nested, &mut results).expect("supported");
        assert_eq!(
            format!("{results:?}"),
            "[RedisResult::Int64(1), RedisResult::Nil, RedisResult::Binary([116, 119, 111]), \
             RedisResult::Status(\"OK\"), RedisResult::Status(\"PONG\")]"
        );
        assert!(flatten(Value::Map(Vec::new()), &mut results).is_err());
    }
}
