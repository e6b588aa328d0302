//! LightGBM's text format, as 2.x to 4.x write it with `save_model`.
//!
//! Its rules, read from its source: a numerical node sends a value left when it is at most the threshold, which may be
//! infinite; NaN is 0 where the missing type is not NaN; what is missing follows the default direction. A categorical
//! node sends the categories of its bit set left and everything else, NaN too, right. Leaves are added in f64 in file
//! order, tree `i` to class `i % num_tree_per_iteration`. The boosting from the average is folded into the trees: there
//! is no base margin.

use super::categories::{Categories, CategorySet, set_words};
use super::tree::{Builder, Missing, Side, Source};
use super::{Forests, ImportError, Imported, Library, MAX_OUTPUTS};
use crate::layout::MAX_FEATURES;
use crate::number::Number;
use crate::transform::Transform;
use serde_json::Value;
use std::collections::HashMap;
use std::rc::Rc;
use std::str::FromStr;

/// Reads a LightGBM model, or its first boosting `rounds`. Errors name the line's key and, in a tree, its number.
pub fn read(bytes: &[u8], rounds: Option<usize>) -> Result<Imported, ImportError> {
    let text = std::str::from_utf8(bytes).map_err(|error| ImportError::new("file", error.to_string()))?;
    let (header, rest) = text.split_once("\nTree=").map_or((text, None), |(header, rest)| (header, Some(rest)));
    let header = Section::read("header", header);
    let version = header.text("version")?;
    // v2 is LightGBM 2.x's: its trees are written as later ones are, and lack what those may lack.
    if !["v2", "v3", "v4"].contains(&version) {
        return Err(header.refuse("version", format!("{version:?} is not known; v2, v3 and v4 are")));
    }
    // Until 2.1 no line says that the trees end, and what follows them at once is of what importance features are.
    let ends = if version == "v2" { &["\nend of trees", "\nfeature importances:"][..] } else { &["\nend of trees"] };
    let Some((trees, tail)) = ends.iter().find_map(|end| rest.unwrap_or(text).split_once(end)) else {
        let reason = format!("there is no `{}`: the file is cut off", ends.join("` and no `").replace('\n', ""));
        return Err(ImportError::new("end of file", reason));
    };
    let trees = if rest.is_some() { trees } else { "" };
    let trees: Vec<&str> = trees.split("\nTree=").filter(|tree| !tree.trim().is_empty()).collect();

    let classes: usize = header.number("num_class")?;
    let per_iteration: usize = header.optional("num_tree_per_iteration")?.unwrap_or(classes);
    let features = header.number::<usize>("max_feature_idx")? + 1;
    if features > MAX_FEATURES {
        return Err(
            header.refuse("max_feature_idx", format!("{features} features; at most {MAX_FEATURES} can be told apart"))
        );
    }
    let feature_names: Vec<String> = header.text("feature_names")?.split(' ').map(str::to_owned).collect();
    if feature_names.len() != features {
        let reason = format!("{} names for {features} features", feature_names.len());
        return Err(header.refuse("feature_names", reason));
    }
    // What LightGBM calls the columns of an array, which has no names.
    let numbered = feature_names.iter().enumerate().all(|(index, name)| *name == format!("Column_{index}"));
    let feature_names = if numbered { Vec::new() } else { feature_names };
    if per_iteration > MAX_OUTPUTS {
        let reason = format!("{per_iteration} outputs; at most {MAX_OUTPUTS} are read");
        return Err(header.refuse("num_tree_per_iteration", reason));
    }
    // As many forests are made as this says, so it may not exceed what the file has trees for.
    if per_iteration == 0 || per_iteration > trees.len().max(1) || !trees.len().is_multiple_of(per_iteration) {
        let reason = format!("{} trees are no multiple of {per_iteration}", trees.len());
        return Err(header.refuse("num_tree_per_iteration", reason));
    }
    let objective = header.values.get("objective").copied().unwrap_or("none");
    let transform = transform(objective, per_iteration).map_err(|reason| header.refuse("objective", reason))?;
    let categories = pandas_categories(tail, &header)?;

    let all_rounds = trees.len() / per_iteration;
    let kept = match rounds {
        Some(rounds) if rounds == 0 || rounds > all_rounds => {
            return Err(ImportError::new("rounds", format!("the file has {all_rounds} rounds")));
        }
        rounds => rounds.unwrap_or(all_rounds) * per_iteration,
    };
    let mut forests = vec![Builder::new(0.0, features); per_iteration];
    let mut missing_types = MissingTypes::new(features);
    let mut set_words = set_words(bytes.len());
    for (index, text) in trees[..kept].iter().enumerate() {
        let forest = &mut forests[index % per_iteration];
        Tree::read(index, text)?.append(forest, &mut missing_types, (&categories, &mut set_words))?;
    }
    let forests = forests.into_iter().map(|forest| forest.finish(missing_types.zero()));
    let forests = forests.collect::<Result<_, _>>()?;
    let averaged = header.flags.contains(&"average_output");
    Ok(Imported {
        library: Library::LightGbm,
        version: Some(version.to_owned()),
        objective: objective.to_owned(),
        feature_names,
        forests: Forests::F64(forests),
        transform,
        tree_rounds: vec![(1..=(kept / per_iteration) as u32).collect(); per_iteration],
        divisor: if averaged { (kept / per_iteration).max(1) as f64 } else { 1.0 },
        warnings: Vec::new(),
    })
}

fn transform(objective: &str, outputs: usize) -> Result<Transform, String> {
    let mut words = objective.split(' ');
    let name = words.next().unwrap_or_default();
    let mut sigmoid = 1.0;
    let mut square_root = false;
    for word in words {
        match word.split_once(':') {
            Some(("sigmoid", scale)) => {
                sigmoid = scale.parse().map_err(|_| format!("{word:?} has no number"))?;
            }
            Some(("num_class", classes)) if classes == outputs.to_string() => {}
            Some(("num_class", _)) => return Err(format!("{word:?}, and there are {outputs} trees an iteration")),
            // Parameters of training only.
            Some(("alpha" | "fair_c" | "tweedie_variance_power" | "poisson_max_delta_step", _)) => {}
            None if word == "sqrt" => square_root = true,
            _ => return Err(format!("{word:?} in {objective:?} is not known")),
        }
    }
    let transform = match name {
        "binary" | "multiclassova" | "cross_entropy" => {
            if name == "cross_entropy" {
                Transform::Sigmoid { scale: 1.0 }
            } else {
                Transform::Sigmoid { scale: sigmoid }
            }
        }
        "multiclass" => Transform::Softmax,
        "cross_entropy_lambda" => Transform::Log1pExp,
        "regression" | "regression_l1" | "huber" | "fair" | "quantile" | "mape" if square_root => {
            return Ok(Transform::SignedSquare);
        }
        "poisson" | "gamma" | "tweedie" => Transform::Exp,
        "regression" | "regression_l1" | "huber" | "fair" | "quantile" | "mape" | "lambdarank" | "rank_xendcg"
        | "none" | "custom" => Transform::Identity,
        _ => {
            return Err(format!(
                "{name:?} is not known; binary, multiclass, multiclassova, cross_entropy, cross_entropy_lambda, the \
                 regression and ranking objectives and none are"
            ));
        }
    };
    if square_root {
        return Err(format!("sqrt with {name:?} is not known; with the regression objectives it is"));
    }
    Ok(transform)
}

/// Reads the values of pandas' categories: a list for each column of them, in the columns' order.
fn pandas_categories(tail: &str, header: &Section<'_>) -> Result<Categories, ImportError> {
    const KEY: &str = "pandas_categorical";
    let mut categories = Categories::default();
    let Some(line) = tail.lines().find_map(|line| line.strip_prefix(KEY)?.strip_prefix(':')) else {
        return Ok(categories);
    };
    let lists: Option<Vec<Vec<Value>>> =
        serde_json::from_str(line).map_err(|error| ImportError::new(KEY, format!("is not JSON: {error}")))?;
    let lists = lists.unwrap_or_default();
    let numbers_itself =
        |list: &Vec<Value>| list.iter().enumerate().all(|(code, value)| value.as_u64() == Some(code as u64));
    if lists.iter().all(numbers_itself) {
        return Ok(categories);
    }
    let columns = category_columns(tail, header)?;
    if columns.len() != lists.len() {
        let reason = format!(
            "{} lists of values for {} features by category: the file does not say which is whose (an ordered column of \
             categories has a list, and is split by size)",
            lists.len(),
            columns.len()
        );
        return Err(ImportError::new(KEY, reason));
    }
    for ((column, codes), list) in columns.into_iter().zip(lists) {
        categories.add(column, &list, KEY)?;
        if let Some(code) = codes.into_iter().find(|code| *code >= list.len()) {
            let reason = format!("{} values for feature {column}, which has a category {code}", list.len());
            return Err(ImportError::new(KEY, reason));
        }
    }
    Ok(categories)
}

/// Finds the columns of categories, and the codes that each had in training: those that are described by codes, and
/// those without splits, which are not described, if the parameters list them.
fn category_columns(tail: &str, header: &Section<'_>) -> Result<Vec<(usize, Vec<usize>)>, ImportError> {
    let infos: Vec<&str> = header.text("feature_infos")?.split(' ').collect();
    // Of a column by size there is a range in brackets, of one by category its codes, of one without splits `none`.
    let is_described =
        |column: usize| infos.get(column).is_some_and(|info| !info.starts_with('[') && info.contains(':'));
    let described: Vec<usize> = (0..infos.len()).filter(|column| is_described(*column)).collect();
    let listed = tail.lines().find_map(|line| line.strip_prefix("[categorical_feature:")?.strip_suffix(']'));
    let listed: Option<Vec<usize>> =
        listed.and_then(|list| list.trim().split(',').map(|one| one.parse().ok()).collect());
    // A list is the parameters', which may be of a training before: it counts if the columns agree.
    let may_be = |column: &usize| is_described(*column) || infos.get(*column) == Some(&"none");
    let agrees = |listed: &Vec<usize>| listed.iter().all(may_be) && described.iter().all(|own| listed.contains(own));
    let mut columns = listed.filter(agrees).unwrap_or_else(|| described.clone());
    // The lists of values stand in the order of the columns.
    columns.sort_unstable();
    let codes = |column: usize| infos[column].split(':').filter_map(|code| code.parse().ok()).collect();
    Ok(columns.into_iter().map(|column| (column, codes(column))).collect())
}

/// Lines of `key=value`, and lines without `=`.
struct Section<'a> {
    name: String,
    values: HashMap<&'a str, &'a str>,
    flags: Vec<&'a str>,
}

impl<'a> Section<'a> {
    fn read(name: impl Into<String>, text: &'a str) -> Section<'a> {
        let mut section = Section { name: name.into(), values: HashMap::new(), flags: Vec::new() };
        for line in text.lines() {
            match line.split_once('=') {
                Some((key, value)) => drop(section.values.insert(key, value)),
                None => section.flags.push(line),
            }
        }
        section
    }

    fn refuse(&self, key: &str, reason: impl Into<String>) -> ImportError {
        ImportError::new(format!("{}: {key}", self.name), reason)
    }

    fn text(&self, key: &str) -> Result<&'a str, ImportError> {
        self.values.get(key).copied().ok_or_else(|| self.refuse(key, "is not there"))
    }

    fn optional<T: FromStr>(&self, key: &str) -> Result<Option<T>, ImportError> {
        let Some(text) = self.values.get(key) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| self.refuse(key, format!("{text:?} is not a number that fits here")))
    }

    fn number<T: FromStr>(&self, key: &str) -> Result<T, ImportError> {
        self.optional(key)?.ok_or_else(|| self.refuse(key, "is not there"))
    }

    /// A list of exactly `count` numbers; empty when the key is not there and none is needed.
    fn list<T: FromStr>(&self, key: &str, count: usize) -> Result<Vec<T>, ImportError> {
        let text = match self.values.get(key) {
            Some(text) => text,
            None if count == 0 => "",
            None => return Err(self.refuse(key, "is not there")),
        };
        let numbers: Result<Vec<T>, _> = text.split_ascii_whitespace().map(str::parse).collect();
        let numbers =
            numbers.map_err(|_| self.refuse(key, "has something in it that is not a number that fits here"))?;
        if numbers.len() != count {
            return Err(self.refuse(key, format!("{} numbers, {count} are needed", numbers.len())));
        }
        Ok(numbers)
    }

    /// A list that newer files have and older ones may lack.
    fn optional_list<T: FromStr>(&self, key: &str, count: usize) -> Result<Option<Vec<T>>, ImportError> {
        if self.values.contains_key(key) { self.list(key, count).map(Some) } else { Ok(None) }
    }
}

/// One tree's arrays. A child from 0 is a split, a child below 0 is leaf `!child`; here leaves are numbered behind the
/// splits.
struct Tree {
    number: usize,
    splits: usize,
    features: Vec<usize>,
    thresholds: Vec<f64>,
    decisions: Vec<u8>,
    left: Vec<i32>,
    right: Vec<i32>,
    leaves: Vec<f64>,
    /// The leaves' functions, if the tree is linear.
    linear: Option<LinearLeaves>,
    /// The sets of categories, of codes where the file has values for them.
    sets: Vec<Rc<Vec<u32>>>,
    counts: Option<(Vec<f64>, Vec<f64>)>,
}

impl Tree {
    fn read(number: usize, text: &str) -> Result<Tree, ImportError> {
        // The section begins behind `Tree=`, with the tree's own number.
        let section = Section::read(format!("Tree={number}"), text.split_once('\n').map_or("", |(_, rest)| rest));
        let leaf_count: usize = section.number("num_leaves")?;
        if leaf_count == 0 {
            return Err(section.refuse("num_leaves", "0 leaves"));
        }
        // Before the lists are read, which are as long as this says: the file cannot claim more than it has.
        let leaves: Vec<f64> = section.list("leaf_value", leaf_count)?;
        let splits = leaf_count - 1;
        let sets: usize = section.optional("num_cat")?.unwrap_or(0);
        let words_boundaries = if sets == 0 { 0 } else { sets.saturating_add(1) };
        let boundaries: Vec<usize> = section.list("cat_boundaries", words_boundaries)?;
        if !boundaries.is_sorted() {
            return Err(section.refuse("cat_boundaries", "do not rise"));
        }
        let words: Vec<u32> = section.list("cat_threshold", boundaries.last().copied().unwrap_or(0))?;
        let internal_counts = section.optional_list("internal_count", splits)?;
        // LightGBM up to 4.5 leaves out the count of a tree that is a single leaf. Nobody asks for it.
        let counts_nothing =
            splits == 0 && section.values.get("leaf_count").is_none_or(|counts| counts.trim().is_empty());
        let leaf_counts =
            if counts_nothing { Some(vec![0.0]) } else { section.optional_list("leaf_count", leaf_count)? };
        let internal_counts = if splits == 0 { internal_counts.or(Some(Vec::new())) } else { internal_counts };
        Ok(Tree {
            number,
            splits,
            features: section.list("split_feature", splits)?,
            thresholds: section.list("threshold", splits)?,
            decisions: section.list("decision_type", splits)?,
            left: section.list("left_child", splits)?,
            right: section.list("right_child", splits)?,
            leaves,
            linear: match section.optional::<u8>("is_linear")? {
                None | Some(0) => None,
                Some(_) => Some(LinearLeaves::read(&section, leaf_count)?),
            },
            sets: boundaries.windows(2).map(|ends| Rc::new(words[ends[0]..ends[1]].to_vec())).collect(),
            counts: internal_counts.zip(leaf_counts),
        })
    }

    fn append(
        &self,
        forest: &mut Builder<f64>,
        missing_types: &mut MissingTypes,
        (categories, set_words): (&Categories, &mut usize),
    ) -> Result<(), ImportError> {
        let count = self.splits + self.leaves.len();
        let mut sets = SetsOfValues { categories, words_left: set_words, of: HashMap::new() };
        let place = |node: usize| match node.checked_sub(self.splits) {
            Some(leaf) => format!("Tree={}: leaf {leaf}", self.number),
            None => format!("Tree={}: node {node}", self.number),
        };
        forest.append(count, place, |node| {
            let source = match node.checked_sub(self.splits) {
                Some(leaf) => Ok(match &self.linear {
                    Some(linear) => linear.source(leaf, self.leaves[leaf]),
                    None => Source::Leaf(self.leaves[leaf]),
                }),
                None => self.split(node, missing_types, &mut sets),
            };
            let cover = self.counts.as_ref().map(|(internal, leaves)| match node.checked_sub(self.splits) {
                Some(leaf) => leaves[leaf] as f32,
                // A tree of one leaf may have no count of its own.
                None => internal[node] as f32,
            });
            Ok((source.map_err(|reason| ImportError::new(place(node), reason))?, cover))
        })
    }

    fn split(
        &self,
        node: usize,
        missing_types: &mut MissingTypes,
        sets: &mut SetsOfValues<'_>,
    ) -> Result<Source<f64>, String> {
        let decision = self.decisions[node];
        let default = if decision & 2 != 0 { Side::First } else { Side::Second };
        let (feature, threshold) = (self.features[node], self.thresholds[node]);
        let child = |child: i32| if child < 0 { self.splits + !child as usize } else { child as usize };
        let (left, right) = (child(self.left[node]), child(self.right[node]));
        if decision & 1 != 0 {
            // What is no index becomes one that is not there: `as` ends at the greatest.
            let index = threshold as usize;
            let codes = self.sets.get(index).filter(|_| threshold == index as f64);
            let codes = codes.ok_or_else(|| format!("there is no set of categories {threshold}"))?;
            let set = sets.of_values(feature, (index, codes))?;
            return Ok(Source::InSet { feature, set, inside: left, outside: right, missing: Side::Second });
        }
        let missing_type = decision >> 2 & 3;
        missing_types.record(feature, missing_type)?;
        let missing = match missing_type {
            // NaN is taken for 0.
            0 if f64::ZERO <= threshold => Side::First,
            0 => Side::Second,
            1 | 2 => default,
            _ => return Err(format!("decision_type {decision} has no missing type that is known")),
        };
        let threshold = beyond_zero(threshold);
        Ok(Source::Split { feature, threshold, left, right, missing: Missing::To(missing) })
    }
}

/// The sets of one tree with values in place of codes, each made once for a feature, whatever number of nodes names it.
struct SetsOfValues<'a> {
    categories: &'a Categories,
    words_left: &'a mut usize,
    of: HashMap<(usize, usize), Rc<Vec<u32>>>,
}

impl SetsOfValues<'_> {
    fn of_values(&mut self, feature: usize, (index, codes): (usize, &Rc<Vec<u32>>)) -> Result<Rc<Vec<u32>>, String> {
        if !self.categories.has_values(feature) {
            return Ok(codes.clone());
        }
        if let Some(set) = self.of.get(&(feature, index)) {
            return Ok(set.clone());
        }
        let mut values = CategorySet::default();
        for code in (0..32 * codes.len()).filter(|code| codes[code / 32] >> (code % 32) & 1 == 1) {
            values.insert(self.categories.value(feature, code)?, self.words_left)?;
        }
        let set = Rc::new(values.0);
        self.of.insert((feature, index), set.clone());
        Ok(set)
    }
}

/// The functions of a linear tree's leaves.
struct LinearLeaves {
    constants: Vec<f64>,
    /// Start of the terms of each leaf, and the end of the last.
    starts: Vec<usize>,
    features: Vec<usize>,
    coefficients: Vec<f64>,
}

impl LinearLeaves {
    fn read(section: &Section<'_>, leaves: usize) -> Result<LinearLeaves, ImportError> {
        let counts: Vec<usize> = section.list("num_features", leaves)?;
        let mut starts = vec![0];
        let mut end = 0usize;
        for count in counts {
            end = end.saturating_add(count);
            starts.push(end);
        }
        Ok(LinearLeaves {
            constants: section.list("leaf_const", leaves)?,
            starts,
            features: section.list("leaf_features", end)?,
            coefficients: section.list("leaf_coeff", end)?,
        })
    }

    fn source(&self, leaf: usize, value: f64) -> Source<f64> {
        let terms = self.starts[leaf]..self.starts[leaf + 1];
        let features = self.features[terms.clone()].iter().copied();
        let terms = features.zip(self.coefficients[terms].iter().copied()).collect();
        Source::Linear { value, constant: self.constants[leaf], terms }
    }
}

/// Returns a threshold that parts values as LightGBM does in Python, where every value up to `kZeroThreshold` from zero
/// is taken for zero before the trees see it: one in there is moved to that distance.
fn beyond_zero(threshold: f64) -> f64 {
    let almost_zero = f64::from(1e-35f32);
    if (-almost_zero..0.0).contains(&threshold) {
        (-almost_zero).next_down()
    } else if (0.0..almost_zero).contains(&threshold) {
        almost_zero
    } else {
        threshold
    }
}

/// Missing type of each feature. LightGBM decides it for a feature, not for a node.
struct MissingTypes(Vec<Option<u8>>);

impl MissingTypes {
    fn new(features: usize) -> MissingTypes {
        MissingTypes(vec![None; features])
    }

    fn record(&mut self, feature: usize, missing_type: u8) -> Result<(), String> {
        // A feature that is out of range is refused by the layout, which knows its place.
        let Some(known) = self.0.get_mut(feature) else { return Ok(()) };
        let zero = |missing_type: u8| missing_type == 1;
        match *known {
            Some(other) if zero(other) != zero(missing_type) => {
                Err(format!("feature {feature} takes zero for missing in one node and not in another"))
            }
            _ => {
                *known = Some(missing_type);
                Ok(())
            }
        }
    }

    fn zero(&self) -> Vec<u16> {
        let zero = self.0.iter().enumerate().filter(|(_, missing_type)| **missing_type == Some(1));
        zero.map(|(feature, _)| feature as u16).collect()
    }
}
