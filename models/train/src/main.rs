//! `cargo xtask train`: makes the cohort, trains the five models, writes `models/<name>/` and the demo cohort.
//! The same sources give the same bytes, run after run.

use anyhow::{Context, Result, ensure};
use bipolar_edge_models::card::{Card, Output, Quality, RiskLevels, Training};
use features::FEATURES;
use forest::import::Library;
use std::path::{Path, PathBuf};
use std::time::Instant;
use train::task::{Example, HELD_OUT, SEED, TRAINING, Task, VALIDATION, examples};
use train::{demo, evaluate, fit, heuristics};

fn main() -> Result<()> {
    let root = std::env::args().nth(1).map_or_else(|| PathBuf::from("."), PathBuf::from);
    ensure!(root.join("models").is_dir(), "{} has no models folder: name the repository's root", root.display());
    let start = Instant::now();
    demo::write(&root.join("src/checkins/demo.csv"))?;
    let [training, validation, held_out] = [TRAINING, VALIDATION, HELD_OUT].map(examples);
    println!(
        "cohort: {} rows to learn from, {} to choose the size on, {} held out ({:.1} s)",
        training.len(),
        validation.len(),
        held_out.len(),
        start.elapsed().as_secs_f32()
    );
    std::thread::scope(|scope| {
        let handles: Vec<_> = Task::ALL
            .map(|task| {
                let (training, validation, held_out, root) = (&training, &validation, &held_out, &root);
                scope.spawn(move || train(task, training, validation, held_out, root))
            })
            .into_iter()
            .collect();
        for handle in handles {
            println!("{}", handle.join().map_err(|_| anyhow::anyhow!("a trainer stopped with a panic"))??);
        }
        anyhow::Ok(())
    })?;
    println!("done in {:.0} s", start.elapsed().as_secs_f32());
    Ok(())
}

/// Trains, judges and writes one model, and says how it did. A model that does not beat its heuristic is not written.
fn train(
    task: Task,
    training: &[Example],
    validation: &[Example],
    held_out: &[Example],
    root: &Path,
) -> Result<String> {
    let at = task.index();
    let labels: Vec<usize> = held_out.iter().map(|example| example.labels[at]).collect();
    let output = output(task);
    let (suffixes, learned): (Vec<String>, Vec<usize>) = match &output {
        Output::Classes { classes, .. } => {
            classes.iter().enumerate().map(|(label, class)| (format!(".{class}"), label)).unzip()
        }
        Output::Risk { .. } => (vec![String::new()], vec![1]),
    };
    let fitted =
        learned.iter().map(|&label| fit::fit(task, label, training, validation)).collect::<Result<Vec<_>>>()?;

    let sigmoid = |margin: f32| 1.0 / (1.0 + (-2.0 * margin).exp());
    let mut ours = Vec::new();
    for example in held_out {
        let each = fitted.iter().map(|fitted| fitted.forest.forest().margin(&example.row).map(sigmoid));
        let each = each.collect::<Option<Vec<f32>>>().context("a row does not fit the model")?;
        let total: f32 = each.iter().sum();
        ours.push(if each.len() == 1 {
            vec![1.0 - each[0], each[0]]
        } else {
            each.iter().map(|p| p / total).collect()
        });
    }
    let rules: Vec<Vec<f32>> = held_out.iter().map(|example| heuristics::predict(task, &example.row)).collect();
    let model = evaluate::measures(&ours, &labels, task.labels());
    let heuristic = evaluate::measures(&rules, &labels, task.labels());
    let trees: Vec<usize> = fitted.iter().map(|fitted| fitted.forest.forest().parts().roots.len()).collect();
    let verdict = format!("{:26} trees {trees:?}\n  model     {model:?}\n  heuristic {heuristic:?}", task.name());
    ensure!(
        model.auroc > heuristic.auroc && model.brier < heuristic.brier,
        "{verdict}\n  does not beat its heuristic and is not shipped"
    );

    let (confusion_labels, threshold) = match &output {
        Output::Classes { classes, .. } => (classes.clone(), 0.5),
        Output::Risk { event, no_event, decision_threshold, .. } => {
            (vec![no_event.clone(), event.clone()], *decision_threshold as f32)
        }
    };
    let card = Card {
        version: format!("{}_v1", task.name()),
        title: title(task).into(),
        position: at as u32 + 1,
        format: Library::Gbdt,
        rounds: None,
        licence: "Apache-2.0".into(),
        warnings: vec![
            "Trained on a synthetic cohort: it has never seen a person. Not a medical device.".into(),
            "The figures of quality hold for synthetic people only.".into(),
        ],
        sensitive: task == Task::SuicidalityRisk,
        features: FEATURES.iter().map(|feature| feature.name.to_owned()).collect(),
        critical: critical(task).iter().map(|&name| name.to_owned()).collect(),
        output,
        risk_levels: risk_levels(task),
        training: Some(Training {
            data: format!("Synthetic cohort of models/train/src/cohort.rs, seed {SEED}; one person in one split only"),
            trained_with: "gbdt 0.1.3, cargo xtask train".into(),
            people: TRAINING.count() as u32,
            rows: training.len() as u32,
            selection: format!("number of trees with the least log loss on {} other people", VALIDATION.count()),
        }),
        quality: Some(Quality {
            people: HELD_OUT.count() as u32,
            rows: held_out.len() as u32,
            model,
            heuristic,
            confusion_labels,
            confusion: evaluate::confusion(&ours, &labels, task.labels(), threshold),
            calibration: evaluate::calibration(&ours, &labels, task.labels()),
        }),
    };
    let folder = root.join("models").join(task.name());
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("card.toml"), toml::to_string(&card)?)?;
    for (suffix, fitted) in suffixes.iter().zip(&fitted) {
        std::fs::write(folder.join(format!("model{suffix}.json")), &fitted.bytes)?;
        std::fs::write(folder.join(format!("covers{suffix}.json")), serde_json::to_vec(&fitted.covers)?)?;
    }
    Ok(verdict)
}

fn title(task: Task) -> &'static str {
    match task {
        Task::MoodState => "Mood state on the day of the latest check-in",
        Task::RelapseRisk => "Risk that a new episode, or another pole, begins within 14 days",
        Task::SuicidalityRisk => "Risk of suicidal ideation within 7 days",
        Task::MedicationAdherenceRisk => "Risk of two or more missed doses within 7 days",
        Task::SleepDisturbanceRisk => "Risk of two or more disturbed nights within 3 days",
    }
}

fn output(task: Task) -> Output {
    let risk = |event: &str, no_event: &str, decision_threshold, horizon_days| Output::Risk {
        event: event.into(),
        no_event: no_event.into(),
        decision_threshold,
        horizon_days,
    };
    match task {
        Task::MoodState => Output::Classes {
            classes: train::cohort::State::ALL.iter().map(|state| state.name().to_owned()).collect(),
            reference_class: "euthymia".into(),
        },
        Task::RelapseRisk => risk("relapse", "no_relapse", 0.2, 14),
        Task::SuicidalityRisk => risk("elevated", "not_elevated", 0.2, 7),
        Task::MedicationAdherenceRisk => risk("non_adherent", "adherent", 0.5, 7),
        Task::SleepDisturbanceRisk => risk("disturbed", "undisturbed", 0.5, 3),
    }
}

/// One mean each that must be there: the answer that the prediction is about.
fn critical(task: Task) -> &'static [&'static str] {
    match task {
        Task::MoodState => &["depressedMood_mean", "energyLevel_mean"],
        Task::RelapseRisk => &["depressedMood_mean", "hoursSlept_mean"],
        Task::SuicidalityRisk => &["depressedMood_mean"],
        Task::MedicationAdherenceRisk => &["medicationAdherence_mean"],
        Task::SleepDisturbanceRisk => &["hoursSlept_mean"],
    }
}

/// Cautious by kind: a missed suicidal crisis costs more than a missed bad night.
fn risk_levels(task: Task) -> RiskLevels {
    let (medium, high, critical) = match task {
        Task::MoodState => (0.3, 0.6, 0.95),
        Task::RelapseRisk => (0.1, 0.2, 0.4),
        Task::SuicidalityRisk => (0.08, 0.2, 0.45),
        Task::MedicationAdherenceRisk | Task::SleepDisturbanceRisk => (0.3, 0.6, 0.85),
    };
    RiskLevels { medium, high, critical }
}
