//! `spin:variables@3.0.0`.

use crate::bindings::spin::variables::variables::{Error, Host, HostWithStore};
use crate::instance::Guest;
use crate::key_value::KeyValue;
use wasmtime::Result;
use wasmtime::component::Accessor;

impl<T: Send + 'static> HostWithStore<T> for KeyValue {
    async fn get(accessor: &Accessor<T, Self>, name: String) -> Result<Result<String, Error>> {
        accessor.with(|mut access| {
            let value = access.get().variables.get(&name).cloned();
            Ok(value.ok_or_else(|| Error::Undefined(format!("no variable for {name:?}"))))
        })
    }
}

impl Host for &mut Guest {}
