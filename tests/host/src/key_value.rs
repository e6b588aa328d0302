//! `spin:key-value@3.0.0`.

use crate::bindings::spin::key_value::key_value::{Error, Host, HostStore, HostStoreWithStore};
use crate::instance::Guest;
use crate::store::Store;
use std::sync::Arc;
use wasmtime::Result;
use wasmtime::component::{Accessor, FutureReader, HasData, Resource, StreamReader};

/// A store that a guest has opened.
#[allow(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct OpenStore(pub(crate) Arc<Store>);

/// Marker of the host data that the interfaces work on.
pub(crate) struct KeyValue;

impl HasData for KeyValue {
    type Data<'a> = &'a mut Guest;
}

fn opened<T: 'static>(accessor: &Accessor<T, KeyValue>, store: &Resource<OpenStore>) -> Result<Arc<Store>> {
    accessor.with(|mut access| Ok(access.get().table.get(store)?.0.clone()))
}

impl<T: Send + 'static> HostStoreWithStore<T> for KeyValue {
    async fn open(accessor: &Accessor<T, Self>, label: String) -> Result<Result<Resource<OpenStore>, Error>> {
        accessor.with(|mut access| {
            let guest = access.get();
            match guest.stores.get(&label) {
                Some(store) => Ok(Ok(guest.table.push(OpenStore(store.clone()))?)),
                None => Ok(Err(Error::AccessDenied)),
            }
        })
    }

    async fn get(
        accessor: &Accessor<T, Self>,
        store: Resource<OpenStore>,
        key: String,
    ) -> Result<Result<Option<Vec<u8>>, Error>> {
        let store = opened(accessor, &store)?;
        if store.traps() {
            return Err(wasmtime::Error::msg("the store was told to end the instance"));
        }
        Ok(store.get(&key).await.map_err(Error::Other))
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        store: Resource<OpenStore>,
        key: String,
        value: Vec<u8>,
    ) -> Result<Result<(), Error>> {
        Ok(opened(accessor, &store)?.set(&key, &value).await.map_err(Error::Other))
    }

    async fn delete(
        accessor: &Accessor<T, Self>,
        store: Resource<OpenStore>,
        key: String,
    ) -> Result<Result<(), Error>> {
        Ok(opened(accessor, &store)?.delete(&key).await.map_err(Error::Other))
    }

    async fn exists(
        accessor: &Accessor<T, Self>,
        store: Resource<OpenStore>,
        key: String,
    ) -> Result<Result<bool, Error>> {
        Ok(opened(accessor, &store)?.exists(&key).await.map_err(Error::Other))
    }

    async fn get_keys(
        accessor: &Accessor<T, Self>,
        store: Resource<OpenStore>,
    ) -> Result<(StreamReader<String>, FutureReader<Result<(), Error>>)> {
        let (keys, result) = match opened(accessor, &store)?.keys().await {
            Ok(keys) => (keys, Ok(())),
            Err(error) => (Vec::new(), Err(Error::Other(error))),
        };
        accessor.with(|mut access| {
            let keys = StreamReader::new(&mut access, keys)?;
            let result = FutureReader::new(&mut access, async move { wasmtime::error::Ok(result) })?;
            Ok((keys, result))
        })
    }
}

impl HostStore for &mut Guest {
    async fn drop(&mut self, store: Resource<OpenStore>) -> Result<()> {
        self.table.delete(store)?;
        Ok(())
    }
}

impl Host for &mut Guest {}
