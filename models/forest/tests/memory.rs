//! The memory that an importer takes is in proportion to its file, whatever the file says.

#![allow(clippy::expect_used, reason = "a test ends there")]
#![allow(unsafe_code, reason = "an allocator is an unsafe trait")]

use forest::import::{Options, read};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, which counts the bytes that a thread has and the most that it had.
struct Counting;

thread_local! {
    static NOW: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    // A thread that ends has no counters any more.
    let _ = NOW.try_with(|now| {
        now.set(now.get() + bytes);
        let _ = MOST.try_with(|most| most.set(most.get().max(now.get())));
    });
}

// SAFETY: the system's allocator does it all.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Reads a file; returns the most bytes that it took beside the file, a byte of the file, and why it was refused.
fn bytes_a_byte(file: &[u8]) -> (f64, Option<String>) {
    let before = NOW.get();
    MOST.set(before);
    let refused = read(file, &Options::default()).err().map(|error| error.to_string());
    ((MOST.get() - before) as f64 / file.len() as f64, refused)
}

/// As import/mod.rs promises.
const MOST_BYTES: f64 = 150.0;
const MOST_BYTES_OF_SETS: f64 = 700.0;

/// XGBoost's file of a tree of so many leaves, each split's first child a leaf, with as many numbers at the leaves.
fn vector_leaves(outputs: usize, leaves: usize, numbers: usize) -> String {
    let count = 2 * leaves - 1;
    let list = |number: &dyn Fn(usize) -> i64| {
        let numbers: Vec<String> = (0..count).map(|node| number(node).to_string()).collect();
        numbers.join(",")
    };
    // An even node but the last is a split, whose children are the next two; each leaf is of the first place.
    let is_split = |node: usize| node.is_multiple_of(2) && node + 1 < count;
    let left = list(&|node| if is_split(node) { node as i64 + 1 } else { -1 });
    let right = list(&|node| if is_split(node) { node as i64 + 2 } else { 0 });
    let zeros = list(&|_| 0);
    let weights = vec!["0"; numbers].join(",");
    format!(
        r#"{{"learner":{{"learner_model_param":{{"num_feature":"1","num_class":"{outputs}","base_score":"0.5"}},
        "objective":{{"name":"multi:softprob"}},"gradient_booster":{{"name":"gbtree","model":{{"tree_info":[0],
        "iteration_indptr":[0,1],"trees":[{{"tree_param":{{"size_leaf_vector":"{outputs}"}},"left_children":[{left}],
        "right_children":[{right}],"split_indices":[{zeros}],"split_conditions":[{zeros}],"default_left":[{zeros}],
        "base_weights":[{weights}],"leaf_weights":[{weights}]}}]}}}}}},"version":[3,2,0]}}"#
    )
}

#[test]
fn leaves_of_all_outputs_are_as_many_as_the_file_has() {
    // Without a check a thousand forests of 3,999 nodes, out of 60 kB.
    let (bytes, refused) = bytes_a_byte(vector_leaves(1_000, 2_000, 1_000).as_bytes());
    assert!(refused.is_some_and(|reason| reason.ends_with("1000 numbers, 2000000 are needed")) && bytes < MOST_BYTES);
    // A hundred thousand forests, out of 400 kB.
    let (bytes, refused) = bytes_a_byte(vector_leaves(100_000, 1, 100_000).as_bytes());
    assert!(refused.is_some_and(|reason| reason.contains("at most 1000 outputs are read")) && bytes < MOST_BYTES);
    let (bytes, refused) = bytes_a_byte(vector_leaves(500, 300, 150_000).as_bytes());
    assert_eq!(refused, None);
    assert!(bytes < MOST_BYTES, "{bytes} bytes a byte");
}

/// LightGBM's file of a tree of so many splits by category, a leaf to the left of each. The sets are of so many words.
fn splits_by_category(splits: usize, sets: &[Vec<u32>], categories: &str) -> String {
    let mut lists = [const { String::new() }; 5];
    for split in 0..splits {
        let (leaf, next) = (-(split as i64) - 1, split as i64 + 1);
        let right = if split + 1 == splits { leaf - 1 } else { next };
        let set = split % sets.len();
        let cells = ["0", &set.to_string(), "1", &leaf.to_string(), &right.to_string()];
        for (list, cell) in lists.iter_mut().zip(cells) {
            list.push_str(cell);
            list.push(' ');
        }
    }
    let [features, thresholds, decisions, left, right] = lists;
    let mut ends = vec![0];
    sets.iter().for_each(|set| ends.push(ends.last().copied().unwrap_or(0) + set.len()));
    let join = |numbers: Vec<String>| numbers.join(" ");
    let ends = join(ends.iter().map(usize::to_string).collect());
    let words = join(sets.iter().flatten().map(u32::to_string).collect());
    let leaves = vec!["0.5"; splits + 1].join(" ");
    format!(
        "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=0\nobjective=regression\n\
         feature_names=a\nfeature_infos=-1:0\n\nTree=0\nnum_leaves={}\nnum_cat={}\nsplit_feature={features}\n\
         threshold={thresholds}\ndecision_type={decisions}\nleft_child={left}\nright_child={right}\n\
         leaf_value={leaves}\ncat_boundaries={ends}\ncat_threshold={words}\n\nend of trees\n\n\
         pandas_categorical:{categories}\n",
        splits + 1,
        sets.len()
    )
}

#[test]
fn set_of_categories_is_there_once_whatever_number_of_nodes_names_it() {
    // A copy for each node would be 360 MB, out of 140 kB.
    let (bytes, refused) = bytes_a_byte(splits_by_category(3_000, &[vec![7; 30_000]], "null").as_bytes());
    assert_eq!(refused, None);
    assert!(bytes < MOST_BYTES, "{bytes} bytes a byte");
}

#[test]
fn sets_of_high_categories_are_refused_before_they_dwarf_the_file() {
    // Each of 2 MB, for a few bytes.
    let (bytes, refused) = bytes_a_byte(splits_by_category(100, &vec![vec![1]; 100], "[[16777214]]").as_bytes());
    assert!(refused.is_some_and(|reason| reason.contains("would dwarf the file")) && bytes < MOST_BYTES);
    // As large as they may be: 4 of them.
    let values: Vec<String> = (0..4).map(|code| (16_777_000 + code).to_string()).collect();
    let mut file = splits_by_category(4, &[vec![1], vec![2], vec![4], vec![8]], &format!("[[{}]]", values.join(",")));
    let most = 4 * 524_288 / 64;
    let more = most - file.len();
    file = file.replacen("num_class=1", &format!("padding={}\nnum_class=1", "x".repeat(more)), 1);
    let (bytes, refused) = bytes_a_byte(file.as_bytes());
    assert_eq!(refused, None);
    assert!(bytes < MOST_BYTES_OF_SETS, "{bytes} bytes a byte");
}

#[test]
fn forests_are_no_more_than_the_file_has_trees_for() {
    // A thousand forests, out of 7 kB and out of 2.
    let trees = "\nTree=0".repeat(1_000);
    let lightgbm = splits_by_category(1, &[vec![1]], "null");
    let lightgbm = lightgbm.replacen("iteration=1", "iteration=1000", 1).replacen("\n\nTree=0", &trees, 1);
    let numbers = "0,".repeat(999) + "0";
    let xgboost = vector_leaves(1_000, 1, 1).replacen("\"trees\":[", &format!("\"trees\":[{numbers},"), 1);
    let xgboost = xgboost.replacen("\"tree_info\":[0]", &format!("\"tree_info\":[{numbers},0]"), 1);
    for file in [lightgbm, xgboost] {
        let (bytes, refused) = bytes_a_byte(file.as_bytes());
        assert!(refused.is_some() && bytes < MOST_BYTES, "{bytes} bytes a byte: {refused:?}");
    }
}

#[test]
fn models_of_the_libraries_take_what_is_promised() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    for entry in std::fs::read_dir(folder).expect("the fixtures") {
        let folder = entry.expect("an entry").path();
        let files = ["model.txt", "model.json", "model.ubj", "model.onnx"].map(|name| folder.join(name));
        let Some(file) = files.into_iter().find(|file| file.is_file()) else { continue };
        let (bytes, refused) = bytes_a_byte(&std::fs::read(&file).expect("a model"));
        assert!(refused.is_none() && bytes < MOST_BYTES, "{}: {bytes} bytes a byte", file.display());
    }
}
