//! Redis as a store. A connection is opened at the first command; where each request has an instance of its own, that
//! is one a request.

use crate::platform::{Platform, RedisValue, StoreError};
use crate::redis::RedisUrl;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// Stands before every key: others may use the database too. In braces, by which a cluster keeps all of them together.
const PREFIX: &str = "{bipolar-edge}:";

/// The connection of one instance to its Redis server.
pub(super) struct RedisConnection<P: Platform> {
    platform: P,
    url: RedisUrl,
    connection: RefCell<Option<Rc<P::Connection>>>,
}

impl<P: Platform> RedisConnection<P> {
    pub(super) fn new(platform: P, url: RedisUrl) -> RedisConnection<P> {
        RedisConnection { platform, url, connection: RefCell::default() }
    }

    /// Returns true if the last command was answered, though it be with an error.
    pub(super) fn is_connected(&self) -> bool {
        self.connection.borrow().is_some()
    }

    /// Executes a command, and once more if a connection that was kept has broken meanwhile. So what is sent here may
    /// be executed twice.
    async fn execute(&self, command: &str, arguments: &[&[u8]]) -> Result<Vec<RedisValue>, StoreError> {
        let kept = self.connection.borrow().clone();
        if let Some(connection) = kept {
            if let Ok(reply) = self.platform.execute(&connection, command, arguments).await {
                return Ok(reply);
            }
            self.connection.take();
        }
        let connection = Rc::new(self.platform.connect(self.url.as_str()).await?);
        // One that the server refuses, as it is full, breaks no connection.
        *self.connection.borrow_mut() = Some(connection.clone());
        self.platform.execute(&connection, command, arguments).await
    }

    /// Executes a command whose arguments are keys.
    async fn execute_on(&self, command: &str, keys: &[&str]) -> Result<Vec<RedisValue>, StoreError> {
        let keys: Vec<String> = keys.iter().map(|key| prefixed(key)).collect();
        let arguments: Vec<&[u8]> = keys.iter().map(String::as_bytes).collect();
        self.execute(command, &arguments).await
    }

    pub(super) async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.get_all(&[key]).await?.pop().flatten())
    }

    /// Gets several keys, in one command.
    pub(super) async fn get_all(&self, keys: &[&str]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let reply = self.execute_on("MGET", keys).await?;
        match reply.len() == keys.len() {
            true => Ok(reply.into_iter().map(RedisValue::into_bytes).collect()),
            false => Err(StoreError::Other),
        }
    }

    pub(super) async fn set(&self, key: &str, value: &[u8], keep: Duration) -> Result<(), StoreError> {
        let (key, milliseconds) = (prefixed(key), milliseconds(keep));
        self.execute("SET", &[key.as_bytes(), value, b"PX", milliseconds.as_bytes()]).await.map(drop)
    }

    /// Deletes keys, and returns how many of them were there.
    pub(super) async fn delete(&self, keys: &[&str]) -> Result<usize, StoreError> {
        match self.execute_on("DEL", keys).await?.as_slice() {
            [RedisValue::Integer(deleted)] => Ok(usize::try_from(*deleted).unwrap_or(0)),
            _ => Err(StoreError::Other),
        }
    }

    /// Runs a script, which the server does not interrupt for others.
    pub(super) async fn evaluate(
        &self,
        script: &str,
        keys: &[&str],
        arguments: &[&[u8]],
    ) -> Result<Vec<RedisValue>, StoreError> {
        let keys: Vec<String> = keys.iter().map(|key| prefixed(key)).collect();
        let count = keys.len().to_string();
        let mut all = vec![script.as_bytes(), count.as_bytes()];
        all.extend(keys.iter().map(String::as_bytes));
        all.extend(arguments);
        self.execute("EVAL", &all).await
    }
}

fn prefixed(key: &str) -> String {
    format!("{PREFIX}{key}")
}

/// A time to live; Redis refuses 0.
fn milliseconds(keep: Duration) -> String {
    keep.as_millis().max(1).to_string()
}
