//! A store in Redis, as Spin keeps one there: the key as it is, in the database that the URL names.

use super::Result;
use anyhow::Context;
use redis::aio::ConnectionManager;
use redis::{FromRedisValue, cmd};

/// A connection to the server, which reconnects by itself.
pub(crate) struct Redis(ConnectionManager);

/// Compare and swap in one step: the server runs a script without interruption. An absent key is `false` to Lua.
const SWAP: &str = "local stored = redis.call('GET', KEYS[1]) \
                    local expected = ARGV[1] == '1' and ARGV[2] \
                    if stored ~= expected then return 0 end \
                    redis.call('SET', KEYS[1], ARGV[3]) return 1";

impl Redis {
    pub(super) async fn connect(url: &str) -> anyhow::Result<Redis> {
        let client = redis::Client::open(url).context("the Redis URL")?;
        Ok(Redis(ConnectionManager::new(client).await.context("Redis does not answer")?))
    }

    async fn query<T: FromRedisValue>(&self, command: &redis::Cmd) -> Result<T> {
        command.query_async(&mut self.0.clone()).await.map_err(|error| error.to_string())
    }

    pub(super) async fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        self.query(cmd("GET").arg(key)).await
    }

    pub(super) async fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        self.query(cmd("SET").arg(key).arg(value)).await
    }

    pub(super) async fn delete(&self, key: &str) -> Result<()> {
        self.query(cmd("DEL").arg(key)).await
    }

    pub(super) async fn keys(&self) -> Result<Vec<String>> {
        self.query(cmd("KEYS").arg("*")).await
    }

    pub(super) async fn increment(&self, key: &str, delta: i64) -> Result<i64> {
        self.query(cmd("INCRBY").arg(key).arg(delta)).await
    }

    pub(super) async fn swap(&self, key: &str, expected: Option<&[u8]>, value: &[u8]) -> Result<bool> {
        let (given, expected) = (u8::from(expected.is_some()), expected.unwrap_or_default());
        self.query(cmd("EVAL").arg(SWAP).arg(1).arg(key).arg(given).arg(expected).arg(value)).await
    }
}
