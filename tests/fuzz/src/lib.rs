//! A world for targets that send requests through the whole service: the input decides what its Redis server and its
//! database reply.

use bipolar_edge::platform::{
    BodyError, Exporter, Fetch, FetchError, Fetched, Inbound, KeyValue, OutboundHttp, Redis, RedisValue, RequestBody,
    StoreError, Tasks, Variables,
};
use bipolar_edge::{Instance, answer};
use futures::executor::{LocalPool, LocalSpawner};
use futures::task::LocalSpawnExt;
use http::{HeaderMap, Request, Response};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

pub mod bundle;
pub mod redis;

/// The person whose predictions are asked for.
pub const PERSON: &str = "11111111-1111-4111-8111-111111111111";
pub const WEBHOOK_SECRET: &str = "a secret of the database's webhook";
/// Shorter times pass at once, as those between two looks; longer ones never, as time-outs do not.
const LONGEST_SLEEP: Duration = Duration::from_millis(300);
/// More commands than this of one input are a loop.
const MAX_COMMANDS: u32 = 1_000_000;

/// The bytes of an input, which decide one thing after the other: zeros once they are used up.
pub struct Choices {
    bytes: Vec<u8>,
    position: Cell<usize>,
}

impl Choices {
    pub fn new(bytes: &[u8]) -> Choices {
        Choices { bytes: bytes.to_vec(), position: Cell::new(0) }
    }

    pub fn byte(&self) -> u8 {
        let position = self.position.get();
        self.position.set(position + 1);
        self.bytes.get(position).copied().unwrap_or(0)
    }

    pub fn number(&self) -> i64 {
        i64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// A number below `end`.
    pub fn below(&self, end: usize) -> usize {
        usize::from(u16::from_le_bytes([self.byte(), self.byte()])) % end.max(1)
    }

    pub fn one_of<'a, T>(&self, all: &'a [T]) -> &'a T {
        &all[usize::from(self.byte()) % all.len()]
    }

    /// As many bytes as the next one says.
    pub fn some_bytes(&self) -> Vec<u8> {
        (0..self.byte()).map(|_| self.byte()).collect()
    }

    pub fn rest(&self) -> &[u8] {
        self.bytes.get(self.position.get()..).unwrap_or_default()
    }

    pub fn is_used_up(&self) -> bool {
        self.position.get() >= self.bytes.len()
    }
}

/// A deployment: instances, their platform, and what is around them.
pub struct Deployment {
    pool: LocalPool,
    instances: [Rc<Instance<World>>; 2],
    world: World,
}

impl Deployment {
    /// A deployment with some variables, whose database answers with these rows, and with a key set to whoever asks
    /// for that.
    pub fn new(variables: &[(&str, &str)], choices: Rc<Choices>, rows: Vec<u8>, key_set: &'static str) -> Deployment {
        let pool = LocalPool::new();
        let world = World(Rc::new(State {
            settings: settings(variables),
            choices,
            rows,
            key_set,
            stored: RefCell::default(),
            counts: RefCell::default(),
            spawner: pool.spawner(),
            commands: Cell::new(0),
        }));
        let instances = [(); 2].map(|()| Rc::new(Instance::new(world.clone())));
        Deployment { pool, instances, world }
    }

    /// Sends a request to one of the instances, and has all done that follows its answer.
    pub fn send(&mut self, instance: usize, request: Request<&str>) -> Response<Vec<u8>> {
        let (parts, body) = request.into_parts();
        let instance = &self.instances[instance % self.instances.len()];
        let response = self.pool.run_until(answer(instance, &parts, Body(body.as_bytes().to_vec())));
        self.pool.run_until_stalled();
        assert!(self.world.0.commands.get() < MAX_COMMANDS, "a loop");
        response.into_http()
    }
}

/// The component's one variable, as the manifest makes it.
fn settings(variables: &[(&str, &str)]) -> String {
    const MANIFEST: &str = include_str!("../../../spin.toml");
    let lines = MANIFEST.lines().skip_while(|line| !line.starts_with("settings = ")).skip(1);
    let names = lines.take_while(|line| *line != "\"\"\"").filter_map(|line| line.split('=').next());
    let default = |name: &str| {
        let line = MANIFEST.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = { default = \""));
        line.and_then(|line| line.split('"').next()).unwrap_or_default()
    };
    let value =
        |name: &str| variables.iter().find(|(other, _)| *other == name).map_or(default(name), |(_, value)| *value);
    names.map(|name| format!("{name}={}\n", value(name))).collect()
}

/// The platform of all instances.
#[derive(Clone)]
pub struct World(Rc<State>);

struct State {
    settings: String,
    choices: Rc<Choices>,
    rows: Vec<u8>,
    key_set: &'static str,
    /// The contents of Redis: values, and the fields of hashes.
    stored: RefCell<BTreeMap<Vec<u8>, Vec<u8>>>,
    counts: RefCell<BTreeMap<Vec<u8>, i64>>,
    spawner: LocalSpawner,
    commands: Cell<u32>,
}

/// The body of a request.
pub struct Body(Vec<u8>);

impl RequestBody for Body {
    async fn read(self, max: usize) -> Result<Vec<u8>, BodyError> {
        if self.0.len() > max { Err(BodyError::TooLong) } else { Ok(self.0) }
    }
}

impl Inbound for World {
    type Body = Body;

    fn client_address<'a>(&self, _: &'a HeaderMap) -> Option<&'a str> {
        Some("192.0.2.1")
    }

    fn is_https(&self, _: &HeaderMap) -> bool {
        false
    }
}

impl Exporter for World {}

impl Variables for World {
    async fn variable(&self, _: &'static str) -> Option<String> {
        Some(self.0.settings.clone())
    }
}

/// Nothing is kept in it.
impl KeyValue for World {
    async fn get(&self, _: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }

    async fn set(&self, _: &str, _: &[u8]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn delete(&self, _: &str) -> Result<(), StoreError> {
        Ok(())
    }

    async fn keys(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }
}

impl Redis for World {
    type Connection = ();

    async fn connect(&self, _: &str) -> Result<(), StoreError> {
        Ok(())
    }

    async fn execute(&self, _: &(), command: &str, arguments: &[&[u8]]) -> Result<Vec<RedisValue>, StoreError> {
        self.0.commands.set(self.0.commands.get() + 1);
        let reply = redis::reply(&mut self.0.stored.borrow_mut(), &mut self.0.counts.borrow_mut(), command, arguments);
        redis::tampered(reply, &self.0.choices)
    }
}

impl OutboundHttp for World {
    async fn fetch(&self, fetch: &Fetch, _: usize) -> Result<Fetched, FetchError> {
        let body = if fetch.url.contains("jwks") { self.0.key_set.as_bytes().to_vec() } else { self.0.rows.clone() };
        Ok(Fetched { status: 200, body })
    }
}

impl Tasks for World {
    const REUSES_INSTANCES: bool = true;

    async fn sleep(&self, duration: Duration) {
        match duration < LONGEST_SLEEP {
            true => self.yield_now().await,
            false => std::future::pending().await,
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.0.spawner.spawn_local(task).expect("the pool is there");
    }
}
