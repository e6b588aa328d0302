//! A platform for tests: variables by hand, a store in memory, time that passes at once.

use crate::config::{COMBINED, Settings, VARIABLES};
use crate::platform::{
    BodyError, Exporter, Fetch, FetchError, Fetched, Inbound, KeyValue, OutboundHttp, Redis, RedisValue, RequestBody,
    StoreError, Tasks, Variables,
};
use crate::store::{Layout, Store};
use futures::future::LocalBoxFuture;
use http::HeaderMap;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;
use std::time::Duration;

/// A function that is told of a write, or with no value of a deletion.
type OnWrite = dyn Fn(&str, Option<&[u8]>);

/// An operation on the store.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Operation {
    Read,
    Write,
    Delete,
}

/// A function that decides if an operation fails.
type Fails = dyn Fn(Operation) -> bool;

/// A function that answers a request to another server.
type OnFetch = dyn Fn(&Fetch) -> Result<Fetched, FetchError>;

#[derive(Clone, Default)]
pub(crate) struct Fake {
    pub(crate) variables: HashMap<&'static str, String>,
    /// By key in order, so that what is listed does not depend on chance.
    pub(crate) stored: Rc<RefCell<BTreeMap<String, Vec<u8>>>>,
    /// Keys whose operations fail; `*` for the list of all.
    pub(crate) failing: Rc<RefCell<HashSet<String>>>,
    /// Nothing can be written, but for deletions.
    pub(crate) full: Rc<Cell<bool>>,
    /// No more keys than so many, if there is a number.
    pub(crate) quota: Rc<Cell<Option<usize>>>,
    /// Decides if an operation fails, besides.
    pub(crate) fails: Option<Rc<Fails>>,
    /// The answer of every other server.
    pub(crate) upstream: String,
    /// Answers requests to other servers, in its place.
    pub(crate) on_fetch: Option<Rc<OnFetch>>,
    /// The number of requests to other servers.
    pub(crate) fetches: Rc<Cell<usize>>,
    pub(crate) spawned: Rc<RefCell<Vec<LocalBoxFuture<'static, ()>>>>,
    /// Comes before each operation on the store, for a test to order them.
    pub(crate) before_operation: Option<Rc<dyn Fn() -> LocalBoxFuture<'static, ()>>>,
    /// Is told of each write and deletion.
    pub(crate) on_write: Option<Rc<OnWrite>>,
}

impl Fake {
    /// The defaults of `spin.toml` with one variable changed.
    pub(crate) fn with_variable(name: &'static str, value: &str) -> Fake {
        let mut fake = Fake::default();
        fake.variables.insert("crisis_resources", "CVV 188; findahelpline.com".to_owned());
        fake.set_variable(name, value);
        fake
    }

    /// A store on this platform with a configuration.
    pub(crate) fn store(&self, settings: &Settings) -> Rc<Store<Fake>> {
        let store = Rc::new(Store::new(self.clone()));
        let layout = Layout::new(settings.cache_slots);
        store.configure(settings.store_secrets.clone(), settings.redis.clone(), layout);
        store
    }

    async fn before_operation(&self) {
        if let Some(before) = &self.before_operation {
            before().await;
        }
    }

    fn check(&self, key: &str, operation: Operation) -> Result<(), StoreError> {
        let fails = self.fails.as_ref().is_some_and(|fails| fails(operation));
        if fails || self.failing.borrow().contains(key) { Err(StoreError::Other) } else { Ok(()) }
    }

    /// Returns true if there is room for a value under a key.
    fn has_room(&self, key: &str) -> bool {
        let stored = self.stored.borrow();
        let is_within = self.quota.get().is_none_or(|quota| stored.len() < quota || stored.contains_key(key));
        is_within && !self.full.get()
    }

    pub(crate) fn set_variable(&mut self, name: &'static str, value: &str) {
        self.variables.insert(name, value.to_owned());
    }
}

impl RequestBody for Vec<u8> {
    async fn read(self, max: usize) -> Result<Vec<u8>, BodyError> {
        if self.len() > max { Err(BodyError::TooLong) } else { Ok(self) }
    }
}

impl Inbound for Fake {
    type Body = Vec<u8>;

    fn client_address<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        headers.get("client-address").and_then(|address| address.to_str().ok())
    }

    fn is_https(&self, _: &HeaderMap) -> bool {
        false
    }
}

impl Exporter for Fake {}

impl Variables for Fake {
    /// The component's one variable, as the manifest makes it.
    async fn variable(&self, name: &'static str) -> Option<String> {
        let value = |(name, default): &(&'static str, &str)| {
            format!("{name}={}\n", self.variables.get(name).map_or(*default, String::as_str))
        };
        (name == COMBINED).then(|| VARIABLES.iter().map(value).collect())
    }
}

impl KeyValue for Fake {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.before_operation().await;
        self.check(key, Operation::Read)?;
        Ok(self.stored.borrow().get(key).cloned())
    }

    async fn set(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        self.before_operation().await;
        self.check(key, Operation::Write)?;
        if !self.has_room(key) {
            return Err(StoreError::Other);
        }
        self.stored.borrow_mut().insert(key.to_owned(), value.to_vec());
        self.on_write.iter().for_each(|told| told(key, Some(value)));
        Ok(())
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.before_operation().await;
        self.check(key, Operation::Delete)?;
        self.stored.borrow_mut().remove(key);
        self.on_write.iter().for_each(|told| told(key, None));
        Ok(())
    }

    async fn keys(&self) -> Result<Vec<String>, StoreError> {
        self.check("*", Operation::Read)?;
        Ok(self.stored.borrow().keys().cloned().collect())
    }
}

impl Redis for Fake {
    type Connection = ();

    async fn connect(&self, _: &str) -> Result<(), StoreError> {
        Err(StoreError::Other)
    }

    async fn execute(&self, _: &(), _: &str, _: &[&[u8]]) -> Result<Vec<RedisValue>, StoreError> {
        Err(StoreError::Other)
    }
}

impl OutboundHttp for Fake {
    /// Takes a few turns of whoever else is waiting.
    async fn fetch(&self, fetch: &Fetch, _: usize) -> Result<Fetched, FetchError> {
        self.fetches.set(self.fetches.get() + 1);
        for _ in 0..5 {
            self.yield_now().await;
        }
        if let Some(answer) = &self.on_fetch {
            return answer(fetch);
        }
        Ok(Fetched { status: 200, body: self.upstream.clone().into_bytes() })
    }
}

impl Tasks for Fake {
    const REUSES_INSTANCES: bool = true;

    /// Takes a turn of whoever else is waiting; a time-out is longer than any test.
    async fn sleep(&self, duration: Duration) {
        match duration < Duration::from_millis(10) {
            true => self.yield_now().await,
            false => std::future::pending().await,
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        use futures::FutureExt;
        let mut task = task.boxed_local();
        // A task that waits for a time to pass waits for ever, and keeps what it holds.
        if (&mut task).now_or_never().is_none() {
            self.spawned.borrow_mut().push(task);
        }
    }
}
