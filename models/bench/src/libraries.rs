//! LightGBM, XGBoost and a model compiled by lleaves, called as a C program would: through their shared libraries, on
//! one thread, margins only. Each answer is held against this project's.

#![allow(
    unsafe_code,
    clippy::type_complexity,
    reason = "these are C interfaces; each declaration is from the library's own header"
)]

use crate::{Measurement, Rows, Task, time};
use anyhow::{Context, Result, ensure};
use forest::import::{Options, read};
use libloading::{Library, Symbol};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::{null, null_mut};

type Handle = *mut c_void;

/// This project's margins of all rows, for comparison.
fn margins(path: &str, rows: &Rows) -> Result<Vec<f64>> {
    let imported = read(&std::fs::read(path)?, &Options::default())?;
    let margin = |row| Some(imported.forests.margins(row)?[0]);
    rows.wide.chunks(rows.features).map(margin).collect::<Option<_>>().context("the rows do not fit")
}

fn agree(who: &str, theirs: impl IntoIterator<Item = f64>, ours: &[f64]) -> Result<()> {
    let theirs: Vec<f64> = theirs.into_iter().collect();
    ensure!(theirs.len() == ours.len(), "{who} gives {} margins for {} rows", theirs.len(), ours.len());
    for (row, (theirs, ours)) in theirs.iter().zip(ours).enumerate() {
        ensure!((theirs - ours).abs() <= 1e-5, "row {row}: {who} says {theirs}, this forest {ours}");
    }
    Ok(())
}

pub(crate) fn lightgbm(library: &str, folder: &str, size: &'static str, rows: &Rows) -> Result<Vec<Measurement>> {
    const RAW: c_int = 1;
    const CONTRIBUTIONS: c_int = 3;
    const F64: c_int = 1;
    let path = format!("{folder}/lightgbm_{size}.txt");
    let ours = margins(&path, rows)?;
    let (count, features) = (rows.count(), rows.features as i32);
    let parameters = CString::new("num_threads=1")?;
    let file = CString::new(path)?;
    let mut results = vec![0.0f64; count.max(rows.features + 1)];
    let mut length = 0i64;
    let add = |task, nanoseconds| Measurement {
        size,
        file: "LightGBM",
        who: "LightGBM's C interface".to_owned(),
        task,
        nanoseconds,
    };
    // SAFETY: names and types are those of LightGBM's c_api.h; every buffer is as long as the call writes, and outlives
    // it.
    unsafe {
        let library = Library::new(library)?;
        let load: Symbol<'_, unsafe extern "C" fn(*const c_char, *mut c_int, *mut Handle) -> c_int> =
            library.get("LGBM_BoosterCreateFromModelfile")?;
        let prepare: Symbol<
            '_,
            unsafe extern "C" fn(Handle, c_int, c_int, c_int, c_int, i32, *const c_char, *mut Handle) -> c_int,
        > = library.get("LGBM_BoosterPredictForMatSingleRowFastInit")?;
        let one: Symbol<'_, unsafe extern "C" fn(Handle, *const c_void, *mut i64, *mut f64) -> c_int> =
            library.get("LGBM_BoosterPredictForMatSingleRowFast")?;
        let all: Symbol<
            '_,
            unsafe extern "C" fn(
                Handle,
                *const c_void,
                c_int,
                i32,
                i32,
                c_int,
                c_int,
                c_int,
                c_int,
                *const c_char,
                *mut i64,
                *mut f64,
            ) -> c_int,
        > = library.get("LGBM_BoosterPredictForMat")?;
        let (mut booster, mut iterations) = (null_mut(), 0);
        ensure!(load(file.as_ptr(), &mut iterations, &mut booster) == 0, "LightGBM cannot load its model");
        let mut fast = null_mut();
        ensure!(
            prepare(booster, RAW, 0, -1, F64, features, parameters.as_ptr(), &mut fast) == 0,
            "LightGBM: single row"
        );
        let mut explain = null_mut();
        let prepared = prepare(booster, CONTRIBUTIONS, 0, -1, F64, features, parameters.as_ptr(), &mut explain);
        ensure!(prepared == 0, "LightGBM: contributions");

        let mut single = |row: &[f64]| {
            let mut result = 0.0;
            one(fast, row.as_ptr().cast(), &mut length, &mut result);
            result
        };
        agree("LightGBM", rows.wide.chunks(rows.features).map(&mut single), &ours)?;
        let one_row = time(count, || Ok(rows.wide.chunks(rows.features).map(&mut single).sum()))?;

        let mut together = || {
            let cells = rows.wide.as_ptr().cast();
            let out = results.as_mut_ptr();
            all(booster, cells, F64, count as i32, features, 1, RAW, 0, -1, parameters.as_ptr(), &mut length, out);
            Ok(*out)
        };
        let all_rows = time(count, &mut together)?;
        agree("LightGBM", results[..count].iter().copied(), &ours)?;

        let some = count / 10;
        let contributions = time(some, || {
            for row in rows.wide.chunks(rows.features).take(some) {
                one(explain, row.as_ptr().cast(), &mut length, results.as_mut_ptr());
            }
            Ok(results[0])
        })?;
        Ok(vec![add(Task::OneRow, one_row), add(Task::AllRows, all_rows), add(Task::Explain, contributions)])
    }
}

pub(crate) fn xgboost(library: &str, folder: &str, size: &'static str, rows: &Rows) -> Result<Vec<Measurement>> {
    let path = format!("{folder}/xgboost_{size}.json");
    let ours = margins(&path, rows)?;
    let (count, features) = (rows.count(), rows.features);
    let file = CString::new(path)?;
    let add = |task, nanoseconds| Measurement {
        size,
        file: "XGBoost",
        who: "XGBoost's C interface".to_owned(),
        task,
        nanoseconds,
    };
    let config = |kind: u8| {
        CString::new(format!(
            r#"{{"type":{kind},"training":false,"iteration_begin":0,"iteration_end":0,"missing":NaN,"strict_shape":false,"cache_id":0}}"#
        ))
    };
    let (margin, contributions) = (config(1)?, config(2)?);
    let array = |cells: &[f32]| {
        let (data, count) = (cells.as_ptr().addr(), cells.len() / features);
        CString::new(format!(r#"{{"data":[{data},true],"shape":[{count},{features}],"typestr":"<f4","version":3}}"#))
    };
    let single: Vec<CString> = rows.narrow.chunks(features).map(array).collect::<Result<_, _>>()?;
    let whole = array(&rows.narrow)?;
    // SAFETY: names and types are those of XGBoost's c_api.h; inputs outlive the calls, and results are read before the
    // next.
    unsafe {
        let library = Library::new(library)?;
        let create: Symbol<'_, unsafe extern "C" fn(*const Handle, u64, *mut Handle) -> c_int> =
            library.get("XGBoosterCreate")?;
        let load: Symbol<'_, unsafe extern "C" fn(Handle, *const c_char) -> c_int> =
            library.get("XGBoosterLoadModel")?;
        let set: Symbol<'_, unsafe extern "C" fn(Handle, *const c_char, *const c_char) -> c_int> =
            library.get("XGBoosterSetParam")?;
        let dense: Symbol<
            '_,
            unsafe extern "C" fn(
                Handle,
                *const c_char,
                *const c_char,
                Handle,
                *mut *const u64,
                *mut u64,
                *mut *const f32,
            ) -> c_int,
        > = library.get("XGBoosterPredictFromDense")?;
        let matrix: Symbol<'_, unsafe extern "C" fn(*const f32, u64, u64, f32, *mut Handle) -> c_int> =
            library.get("XGDMatrixCreateFromMat")?;
        let free: Symbol<'_, unsafe extern "C" fn(Handle) -> c_int> = library.get("XGDMatrixFree")?;
        let from_matrix: Symbol<
            '_,
            unsafe extern "C" fn(Handle, Handle, *const c_char, *mut *const u64, *mut u64, *mut *const f32) -> c_int,
        > = library.get("XGBoosterPredictFromDMatrix")?;
        let last_error: Symbol<'_, unsafe extern "C" fn() -> *const c_char> = library.get("XGBGetLastError")?;
        let check = |code: c_int| {
            ensure!(code == 0, "XGBoost: {}", CStr::from_ptr(last_error()).to_string_lossy());
            Ok(())
        };
        let mut booster = null_mut();
        check(create(null(), 0, &mut booster))?;
        check(load(booster, file.as_ptr()))?;
        check(set(booster, c"nthread".as_ptr(), c"1".as_ptr()))?;
        let (mut shape, mut dimensions, mut result) = (null(), 0, null());
        let mut predict = |array: &CString| {
            check(dense(
                booster,
                array.as_ptr(),
                margin.as_ptr(),
                null_mut(),
                &mut shape,
                &mut dimensions,
                &mut result,
            ))?;
            anyhow::Ok(f64::from(*result))
        };
        agree("XGBoost", single.iter().map(&mut predict).collect::<Result<Vec<f64>>>()?, &ours)?;
        let one_row = time(count, || single.iter().map(&mut predict).sum())?;
        let all_rows = time(count, || predict(&whole))?;
        agree("XGBoost", (0..count).map(|row| f64::from(*result.add(row))), &ours)?;
        let some = count / 10;
        // Contributions are given for a matrix only, so making it is part of asking.
        let explain = time(some, || {
            for row in rows.narrow.chunks(features).take(some) {
                let mut one = null_mut();
                check(matrix(row.as_ptr(), 1, features as u64, f32::NAN, &mut one))?;
                check(from_matrix(booster, one, contributions.as_ptr(), &mut shape, &mut dimensions, &mut result))?;
                check(free(one))?;
            }
            Ok(f64::from(*result))
        })?;
        Ok(vec![add(Task::OneRow, one_row), add(Task::AllRows, all_rows), add(Task::Explain, explain)])
    }
}

pub(crate) fn lleaves(folder: &str, size: &'static str, rows: &Rows) -> Result<Vec<Measurement>> {
    let file = format!("{folder}/lleaves_{size}.so");
    if !std::path::Path::new(&file).is_file() {
        eprintln!("    {size}: lleaves left out, {file} is not there");
        return Ok(Vec::new());
    }
    let ours = margins(&format!("{folder}/lightgbm_{size}.txt"), rows)?;
    let count = rows.count();
    let mut results = vec![0.0f64; count];
    let add = |task, nanoseconds| Measurement {
        size,
        file: "LightGBM",
        who: "lleaves, compiled".to_owned(),
        task,
        nanoseconds,
    };
    // SAFETY: the type is that of lleaves' own `get_entry_func_type`; buffers are as long as the rows asked for.
    unsafe {
        let library = Library::new(file)?;
        let predict: Symbol<'_, unsafe extern "C" fn(*const f64, *mut f64, i32, i32)> = library.get("forest_root")?;
        let mut single = |row: &[f64]| {
            let mut result = 0.0;
            predict(row.as_ptr(), &mut result, 0, 1);
            result
        };
        agree("lleaves", rows.wide.chunks(rows.features).map(&mut single), &ours)?;
        let one_row = time(count, || Ok(rows.wide.chunks(rows.features).map(&mut single).sum()))?;
        let all_rows = time(count, || {
            predict(rows.wide.as_ptr(), results.as_mut_ptr(), 0, count as i32);
            Ok(results[0])
        })?;
        Ok(vec![add(Task::OneRow, one_row), add(Task::AllRows, all_rows)])
    }
}
