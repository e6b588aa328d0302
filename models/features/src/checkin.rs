//! A check-in: the answers that a person recorded on one day.

use crate::words::{Language, Words};
use jiff::civil::Date;

/// One question of a check-in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Field {
    /// The name in requests and in the database.
    pub name: &'static str,
    /// The nested column that holds it in the database.
    pub group: &'static str,
    /// The answers it takes.
    pub range: Range,
    /// The unit of its answers.
    pub unit: Unit,
    /// The words for it, by [`Language`].
    words: [Words; Language::ALL.len()],
}

impl Field {
    /// Returns the words for it in a language.
    pub const fn words(&self, language: Language) -> Words {
        self.words[language as usize]
    }
}

/// The unit of a field's answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unit {
    /// No (0) or yes (1).
    YesNo,
    /// Points of a scale from 0 to 10.
    OfTen,
    /// Hours.
    Hours,
    /// Minutes.
    Minutes,
    /// Things that the field's name says: doses, units, tasks.
    Number,
}

/// The answers a field takes. Anything else is not an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Range {
    /// No (0) or yes (1).
    YesNo,
    /// From 0 up to and including this.
    UpTo(f32),
    /// 0 or more, as much as an f32 can be: minutes, doses, units, tasks.
    Count,
}

impl Range {
    /// Tells if a number is an answer. NaN and infinities never are.
    pub fn contains(self, value: f64) -> bool {
        match self {
            Range::YesNo => value == 0.0 || value == 1.0,
            Range::UpTo(most) => (0.0..=f64::from(most)).contains(&value),
            Range::Count => (0.0..=f64::from(f32::MAX)).contains(&value),
        }
    }
}

/// Makes a field; the words are those of [`Words`], in its order, in English and in Portuguese.
const fn field(
    group: &'static str,
    name: &'static str,
    (range, unit): (Range, Unit),
    english: [&'static str; 4],
    portuguese: [&'static str; 4],
) -> Field {
    Field { name, group, range, unit, words: [Words::new(english), Words::new(portuguese)] }
}

const SLEEP: &str = "sleep_data";
const MOOD: &str = "mood_data";
const SYMPTOMS: &str = "symptoms_data";
const ROUTINE: &str = "risk_routine_data";
const APPETITE: &str = "appetite_impulse_data";
const MEDICATION: &str = "meds_context_data";
const YES_NO: (Range, Unit) = (Range::YesNo, Unit::YesNo);
const SCALE: (Range, Unit) = (Range::UpTo(10.0), Unit::OfTen);
const HOURS: (Range, Unit) = (Range::UpTo(24.0), Unit::Hours);
const MINUTES: (Range, Unit) = (Range::Count, Unit::Minutes);
const NUMBER: (Range, Unit) = (Range::Count, Unit::Number);

/// Every field, in the order of [`CheckIn::values`], with its unit and its words. This is the one place that has them:
/// explanations, the page and docs/MODELS.md read it. Scales run from 0 (none) to 10 (most).
#[rustfmt::skip]
pub const FIELDS: [Field; 36] = [
    field(SLEEP, "hoursSlept", HOURS, ["hours slept", "sleep", "few", "many"], ["duração do sono", "o sono", "curta", "longa"]),
    field(SLEEP, "sleepQuality", SCALE, ["sleep quality", "sleep quality", "poor", "good"], ["qualidade do sono", "a qualidade do sono", "ruim", "boa"]),
    field(SLEEP, "perceivedSleepNeed", HOURS, ["need for sleep", "the need for sleep", "small", "great"], ["necessidade de sono", "a necessidade de sono", "pequena", "grande"]),
    field(SLEEP, "sleepHygiene", SCALE, ["sleep hygiene", "sleep hygiene", "poor", "good"], ["higiene do sono", "a higiene do sono", "ruim", "boa"]),
    field(SLEEP, "hasNapped", YES_NO, ["nap", "", "there was no nap", "there was a nap"], ["cochilo", "", "não houve cochilo", "houve cochilo"]),
    field(SLEEP, "nappingDurationMin", MINUTES, ["nap time", "nap time", "short", "long"], ["tempo de cochilo", "o tempo de cochilo", "curto", "longo"]),
    field(MOOD, "energyLevel", SCALE, ["energy", "energy", "low", "high"], ["energia", "a energia", "baixa", "alta"]),
    field(MOOD, "depressedMood", SCALE, ["depressed mood", "depressed mood", "slight", "strong"], ["humor deprimido", "o humor deprimido", "leve", "intenso"]),
    field(MOOD, "anxietyStress", SCALE, ["anxiety and stress", "the level of anxiety and stress", "low", "high"], ["ansiedade e estresse", "o nível de ansiedade e estresse", "baixo", "alto"]),
    field(MOOD, "elevation", SCALE, ["elevated mood", "elevated mood", "slight", "strong"], ["humor elevado", "o humor elevado", "leve", "intenso"]),
    field(MOOD, "activation", SCALE, ["activation", "activation", "low", "high"], ["ativação", "a ativação", "baixa", "alta"]),
    field(MOOD, "motivationToStart", SCALE, ["motivation to start", "motivation to start things", "low", "high"], ["motivação para começar", "a motivação para iniciar atividades", "baixa", "alta"]),
    field(SYMPTOMS, "thoughtSpeed", SCALE, ["speed of thought", "the speed of thought", "slow", "fast"], ["velocidade do pensamento", "a velocidade do pensamento", "lenta", "rápida"]),
    field(SYMPTOMS, "distractibility", SCALE, ["distractibility", "distractibility", "low", "high"], ["facilidade de se distrair", "a facilidade de se distrair", "baixa", "alta"]),
    field(SYMPTOMS, "memoryConcentration", SCALE, ["memory and concentration", "the ability to remember and concentrate", "poor", "good"], ["memória e concentração", "a capacidade de lembrar e se concentrar", "ruim", "boa"]),
    field(SYMPTOMS, "ruminationAxis", SCALE, ["rumination", "rumination", "slight", "strong"], ["ruminação", "a ruminação", "leve", "intensa"]),
    field(ROUTINE, "socialConnection", SCALE, ["social connection", "social connection", "weak", "strong"], ["conexão social", "a conexão social", "fraca", "forte"]),
    field(ROUTINE, "socialRhythmEvent", YES_NO, ["change of routine", "", "nothing upset the routine of the day", "something upset the routine of the day"], ["mudança na rotina", "", "nada alterou a rotina do dia", "algo alterou a rotina do dia"]),
    field(ROUTINE, "exerciseDurationMin", MINUTES, ["exercise", "the time spent on exercise", "short", "long"], ["exercício", "o tempo de exercício", "curto", "longo"]),
    field(ROUTINE, "exerciseFeeling", SCALE, ["feeling after exercise", "the feeling after exercise", "poor", "good"], ["bem-estar após o exercício", "o bem-estar após o exercício", "ruim", "bom"]),
    field(ROUTINE, "sexualRiskBehavior", YES_NO, ["sexual risk behaviour", "", "there was no sexual risk behaviour", "there was sexual risk behaviour"], ["comportamento sexual de risco", "", "não houve comportamento sexual de risco", "houve comportamento sexual de risco"]),
    field(ROUTINE, "tasksPlanned", NUMBER, ["tasks planned", "the number of tasks planned", "low", "high"], ["tarefas planejadas", "o número de tarefas planejadas", "baixo", "alto"]),
    field(ROUTINE, "tasksCompleted", NUMBER, ["tasks completed", "the number of tasks completed", "low", "high"], ["tarefas concluídas", "o número de tarefas concluídas", "baixo", "alto"]),
    field(APPETITE, "generalAppetite", SCALE, ["appetite", "appetite", "low", "high"], ["apetite", "o apetite", "baixo", "alto"]),
    field(APPETITE, "dietTracking", YES_NO, ["meals tracked", "", "meals were not tracked", "meals were tracked"], ["alimentação anotada", "", "a alimentação não foi anotada", "a alimentação foi anotada"]),
    field(APPETITE, "skipMeals", YES_NO, ["skipped meals", "", "no meal was skipped", "meals were skipped"], ["refeições puladas", "", "nenhuma refeição foi pulada", "houve refeições puladas"]),
    field(APPETITE, "compulsionEpisode", YES_NO, ["compulsion", "", "there was no compulsion", "there was a compulsion"], ["compulsão", "", "não houve compulsão", "houve compulsão"]),
    field(APPETITE, "compulsionIntensity", SCALE, ["strength of compulsion", "the strength of compulsion", "slight", "strong"], ["intensidade da compulsão", "a intensidade da compulsão", "baixa", "alta"]),
    field(APPETITE, "substanceUsage", YES_NO, ["substance use", "", "no substances were used", "substances were used"], ["uso de substâncias", "", "não houve uso de substâncias", "houve uso de substâncias"]),
    field(APPETITE, "substanceUnits", NUMBER, ["substance units", "the number of substance units", "low", "high"], ["doses de substâncias", "o número de doses de substâncias", "baixo", "alto"]),
    field(APPETITE, "caffeineDoses", NUMBER, ["doses of caffeine", "the number of doses of caffeine", "low", "high"], ["doses de cafeína", "o número de doses de cafeína", "baixo", "alto"]),
    field(APPETITE, "libido", SCALE, ["libido", "libido", "low", "high"], ["libido", "a libido", "baixa", "alta"]),
    field(MEDICATION, "medicationAdherence", YES_NO, ["medication taken", "", "medication was not taken", "medication was taken"], ["medicação tomada", "", "a medicação não foi tomada", "a medicação foi tomada"]),
    field(MEDICATION, "medicationTiming", YES_NO, ["medication on time", "", "medication was not taken on time", "medication was taken on time"], ["medicação no horário", "", "a medicação não foi tomada no horário", "a medicação foi tomada no horário"]),
    field(MEDICATION, "medicationChangeRecent", YES_NO, ["change of medication", "", "medication was not changed recently", "medication was changed recently"], ["mudança de medicação", "", "a medicação não mudou recentemente", "a medicação mudou recentemente"]),
    field(MEDICATION, "contextualStressors", YES_NO, ["stressors", "", "there were no stressors", "there were stressors"], ["fatores de estresse", "", "não houve fatores de estresse", "houve fatores de estresse"]),
];

/// Returns the place of a field in [`FIELDS`].
pub const fn field_index(name: &str) -> Option<usize> {
    let mut index = 0;
    while index < FIELDS.len() {
        if same(FIELDS[index].name, name) {
            return Some(index);
        }
        index += 1;
    }
    None
}

/// Compares strings, for which `==` cannot yet be called at compile time.
pub(crate) const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut index = 0;
    while a.len() == b.len() && index < a.len() {
        if a[index] != b[index] {
            return false;
        }
        index += 1;
    }
    a.len() == b.len()
}

/// Answers that a person recorded on one day.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckIn {
    /// Identifies the check-in to its owner; never a feature.
    pub id: String,
    /// The calendar day it is about.
    pub date: Date,
    /// One answer a field, in the order of [`FIELDS`]; NaN is missing.
    pub values: [f32; FIELDS.len()],
}
