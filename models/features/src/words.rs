//! Words for people: the languages, the words of the statistics that features are, and what a feature's value says as
//! part of a sentence. The words of a field stand beside it, in [`FIELDS`].

use crate::checkin::{FIELDS, Unit};
use crate::feature::{FEATURES, FeatureKind};
use jiff::civil::Date;

/// A language that texts for people are in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// Brazilian Portuguese.
    Portuguese,
}

impl Language {
    /// Every language, in the order in which texts are listed.
    pub const ALL: [Language; 2] = [Language::English, Language::Portuguese];

    /// Returns the language tag (RFC 5646).
    pub const fn tag(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::Portuguese => "pt-BR",
        }
    }

    /// Returns the text in this language.
    pub fn pick<'a, T: ?Sized>(self, texts: &[&'a T; Language::ALL.len()]) -> &'a T {
        match self {
            Language::English => texts[0],
            Language::Portuguese => texts[1],
        }
    }
}

/// The words for a field in one language.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Words {
    /// Its name, as a label has it.
    pub label: &'static str,
    /// It as the subject of a sentence, in the singular; empty where the answers are no and yes.
    pub subject: &'static str,
    /// The word for answers near the least; the sentence for no.
    pub low: &'static str,
    /// The word for answers near the most; the sentence for yes.
    pub high: &'static str,
}

impl Words {
    pub(crate) const fn new([label, subject, low, high]: [&'static str; 4]) -> Words {
        Words { label, subject, low, high }
    }
}

/// The words of the statistics in one language. In the texts `{s}` is a field's subject or, where the answers are no
/// and yes, its sentence; `{v}` a value with its unit, `{l}` its label.
#[derive(Debug)]
pub struct StatisticWords {
    /// Labels of the three statistics of a field's history.
    pub mean_label: &'static str,
    /// The label of [`FeatureKind::Change`].
    pub change_label: &'static str,
    /// The label of [`FeatureKind::Trend`].
    pub trend_label: &'static str,
    /// Labels of the features that are of no one field, in the order of [`FeatureKind`].
    pub other_labels: [&'static str; 6],
    decimal_point: char,
    /// The largest whole part that takes the singular (CLDR's plural rules), and whether a fraction may follow it.
    singular: (u64, bool),
    /// Units of values, and of differences, in the singular and the plural.
    of_ten: &'static str,
    points: [&'static str; 2],
    hours: [&'static str; 2],
    minutes: [&'static str; 2],
    /// The check-in that a value is of: the latest, and one before.
    at: [&'static str; 2],
    value: &'static str,
    mean: &'static str,
    mean_of_yes: &'static str,
    /// The days up to today, to the latest check-in, and to one before.
    period: [&'static str; 3],
    /// Smaller than, the same as, and larger than before.
    change: [&'static str; 3],
    change_of_yes: [&'static str; 3],
    trend: [&'static str; 3],
    trend_of_yes: [&'static str; 3],
    task_completion: &'static str,
    /// At the latest check-in, and at one before.
    short_sleep: [[&'static str; 3]; 2],
    missed_dose: [[&'static str; 3]; 2],
    days_since: [&'static str; 3],
    checkin_count: [&'static str; 3],
    window_days: [&'static str; 3],
}

/// The words of the statistics, by [`Language`].
pub static STATISTICS: [StatisticWords; Language::ALL.len()] = [
    StatisticWords {
        mean_label: "{l}, mean",
        change_label: "{l}, change",
        trend_label: "{l}, trend a day",
        other_labels: [
            "share of tasks completed",
            "short nights in a row",
            "missed doses in a row",
            "days since the check-in before",
            "check-ins in the window",
            "days in the window",
        ],
        decimal_point: '.',
        singular: (1, false),
        of_ten: "{v} of 10",
        points: ["{v} point", "{v} points"],
        hours: ["{v} hour", "{v} hours"],
        minutes: ["{v} minute", "{v} minutes"],
        at: [" at the latest check-in", " at this check-in"],
        value: "{s} was {v}",
        mean: "{s} averaged {v}",
        mean_of_yes: "{s} on {v} of the days answered",
        period: [
            " over the last {v} days",
            " over the {v} days up to the latest check-in",
            " over the {v} days up to this check-in",
        ],
        change: [
            "{s} fell by {v} against the days before",
            "{s} was as on the days before",
            "{s} rose by {v} against the days before",
        ],
        change_of_yes: [
            "{s}, unlike on days before",
            "{l} was as on the days before",
            "{s}, unlike on some days before",
        ],
        trend: ["{s} fell by {v} a day", "{s} neither rose nor fell", "{s} rose by {v} a day"],
        trend_of_yes: ["{s} less and less often", "{l} was neither more nor less frequent", "{s} more and more often"],
        task_completion: "{v} of the tasks planned were completed",
        short_sleep: [
            [
                "the latest night was not under 6 hours",
                "the latest night was under 6 hours",
                "the latest {v} nights were under 6 hours",
            ],
            [
                "the night was not under 6 hours",
                "the night was under 6 hours",
                "the {v} nights up to this check-in were under 6 hours",
            ],
        ],
        missed_dose: [
            [
                "medication was not missed at the latest check-in",
                "medication was missed at the latest check-in",
                "medication was missed at the latest {v} check-ins",
            ],
            [
                "medication was not missed at this check-in",
                "medication was missed at this check-in",
                "medication was missed at the {v} check-ins up to this one",
            ],
        ],
        days_since: [
            "the check-in before was of the same day",
            "the check-in before was 1 day earlier",
            "the check-in before was {v} days earlier",
        ],
        checkin_count: ["there were no check-ins", "there was 1 check-in", "there were {v} check-ins"],
        window_days: ["no day before is considered", "1 day before is considered", "{v} days before are considered"],
    },
    StatisticWords {
        mean_label: "{l}, média",
        change_label: "{l}, mudança",
        trend_label: "{l}, tendência por dia",
        other_labels: [
            "parcela de tarefas concluídas",
            "noites curtas seguidas",
            "doses não tomadas seguidas",
            "dias desde o check-in anterior",
            "check-ins no período",
            "dias do período",
        ],
        decimal_point: ',',
        singular: (1, true),
        of_ten: "{v} de 10",
        points: ["{v} ponto", "{v} pontos"],
        hours: ["{v} hora", "{v} horas"],
        minutes: ["{v} minuto", "{v} minutos"],
        at: [" no último check-in", " neste check-in"],
        value: "{s} ficou em {v}",
        mean: "{s} teve média de {v}",
        mean_of_yes: "{s} em {v} dos dias com resposta",
        period: [" nos últimos {v} dias", " nos {v} dias até o último check-in", " nos {v} dias até este check-in"],
        change: [
            "{s} diminuiu {v} em relação aos dias anteriores",
            "{s} ficou como nos dias anteriores",
            "{s} aumentou {v} em relação aos dias anteriores",
        ],
        change_of_yes: [
            "{s}, ao contrário de dias anteriores",
            "{l}: como nos dias anteriores",
            "{s}, ao contrário de alguns dias anteriores",
        ],
        trend: ["{s} diminuiu {v} por dia", "{s} não aumentou nem diminuiu", "{s} aumentou {v} por dia"],
        trend_of_yes: ["{s} cada vez menos", "{l}: nem mais nem menos vezes", "{s} cada vez mais"],
        task_completion: "{v} das tarefas planejadas foram concluídas",
        short_sleep: [
            [
                "a última noite não teve menos de 6 horas",
                "a última noite teve menos de 6 horas",
                "as últimas {v} noites tiveram menos de 6 horas",
            ],
            [
                "a noite não teve menos de 6 horas",
                "a noite teve menos de 6 horas",
                "as {v} noites até este check-in tiveram menos de 6 horas",
            ],
        ],
        missed_dose: [
            [
                "a medicação foi tomada no último check-in",
                "a medicação não foi tomada no último check-in",
                "a medicação não foi tomada nos últimos {v} check-ins",
            ],
            [
                "a medicação foi tomada neste check-in",
                "a medicação não foi tomada neste check-in",
                "a medicação não foi tomada nos {v} check-ins até este",
            ],
        ],
        days_since: [
            "o check-in anterior foi do mesmo dia",
            "o check-in anterior foi 1 dia antes",
            "o check-in anterior foi {v} dias antes",
        ],
        checkin_count: ["não houve check-ins", "houve 1 check-in", "houve {v} check-ins"],
        window_days: [
            "nenhum dia anterior é considerado",
            "1 dia anterior é considerado",
            "{v} dias anteriores são considerados",
        ],
    },
];

/// The check-in that a row of features is made at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MadeAt {
    /// The latest, which is of today.
    Today,
    /// The latest, which is of a day before.
    Latest,
    /// One before the latest.
    Earlier,
}

/// A sentence that names features: the language, and the days that their values are of.
#[derive(Clone, Copy, Debug)]
pub struct Clauses {
    /// The language.
    pub language: Language,
    /// Days from the first check-in of the window to the latest, both included.
    pub days: usize,
    /// The check-in that the values are of.
    pub made_at: MadeAt,
}

impl Clauses {
    /// Adds what a feature's value says, in words without an end. `says_period` is true where the days have not been
    /// named in the sentence before, and becomes false once they are. Adds nothing for a place without a feature, or a
    /// value that is missing.
    pub fn add(&self, out: &mut String, place: usize, value: f32, says_period: &mut bool) {
        let Some(feature) = FEATURES.get(place).filter(|_| !value.is_nan()) else { return };
        let words = &STATISTICS[self.language as usize];
        let at = usize::from(self.made_at == MadeAt::Earlier);
        let among = |forms: &[&'static str; 3]| {
            let form = if value < 0.5 { 0 } else { usize::from(value >= 1.5) + 1 };
            forms[form]
        };
        let counted = |out: &mut String, forms: &[&'static str; 3]| {
            expand(out, among(forms), &mut |out, _| number(out, value.round(), words));
        };
        match feature.kind {
            FeatureKind::Latest(field) => self.add_value(out, field, value),
            // Of one day the mean is the answer.
            FeatureKind::Mean(field) if self.days <= 1 => self.add_value(out, field, value),
            FeatureKind::Mean(field) => self.add_mean(out, field, value, says_period),
            FeatureKind::Change(field) => self.add_difference(out, field, value, [&words.change, &words.change_of_yes]),
            FeatureKind::Trend(field) => {
                self.add_difference(out, field, value, [&words.trend, &words.trend_of_yes]);
                self.add_period(out, says_period);
            }
            FeatureKind::TaskCompletion => expand(out, words.task_completion, &mut |out, _| percent(out, value)),
            FeatureKind::ShortSleepStreak => counted(out, &words.short_sleep[at]),
            FeatureKind::MissedDoseStreak => counted(out, &words.missed_dose[at]),
            FeatureKind::DaysSincePrevious => counted(out, &words.days_since),
            FeatureKind::CheckinCount => counted(out, &words.checkin_count),
            FeatureKind::WindowDays => counted(out, &words.window_days),
        }
    }

    fn add_value(&self, out: &mut String, field: usize, value: f32) {
        let Some(field) = FIELDS.get(field) else { return };
        let (own, words) = (field.words(self.language), &STATISTICS[self.language as usize]);
        match field.unit {
            Unit::YesNo => out.push_str(if value >= 0.5 { own.high } else { own.low }),
            unit => expand(out, words.value, &mut |out, key| match key {
                's' => out.push_str(own.subject),
                _ => quantity(out, value, unit, words),
            }),
        }
        out.push_str(words.at[usize::from(self.made_at == MadeAt::Earlier)]);
    }

    fn add_mean(&self, out: &mut String, field: usize, value: f32, says_period: &mut bool) {
        let Some(field) = FIELDS.get(field) else { return };
        let (own, words) = (field.words(self.language), &STATISTICS[self.language as usize]);
        match field.unit {
            Unit::YesNo => expand(out, words.mean_of_yes, &mut |out, key| match key {
                's' => out.push_str(own.high),
                _ => percent(out, value),
            }),
            unit => expand(out, words.mean, &mut |out, key| match key {
                's' => out.push_str(own.subject),
                _ => quantity(out, value, unit, words),
            }),
        }
        self.add_period(out, says_period);
    }

    /// Adds a change or a trend: the first of the forms for numbers, the second for no and yes.
    fn add_difference(&self, out: &mut String, field: usize, value: f32, forms: [&[&'static str; 3]; 2]) {
        let Some(field) = FIELDS.get(field) else { return };
        let (own, words) = (field.words(self.language), &STATISTICS[self.language as usize]);
        let is_yes_no = field.unit == Unit::YesNo;
        // What is written as 0 is no difference.
        let form = if value.abs() < 0.005 { 1 } else { usize::from(value > 0.0) * 2 };
        let fell_to_no = form == 0 && std::ptr::eq(forms[1], &words.change_of_yes);
        expand(out, forms[usize::from(is_yes_no)][form], &mut |out, key| match key {
            's' if is_yes_no => out.push_str(if fell_to_no { own.low } else { own.high }),
            's' => out.push_str(own.subject),
            'l' => out.push_str(own.label),
            _ => difference(out, value.abs(), field.unit, words),
        });
    }

    fn add_period(&self, out: &mut String, says_period: &mut bool) {
        if std::mem::take(says_period) {
            let words = &STATISTICS[self.language as usize];
            expand(out, words.period[self.made_at as usize], &mut |out, _| number(out, self.days as f32, words));
        }
    }
}

/// The names of the months, by [`Language`].
const MONTHS: [[&str; 12]; Language::ALL.len()] = [
    [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ],
    [
        "janeiro",
        "fevereiro",
        "março",
        "abril",
        "maio",
        "junho",
        "julho",
        "agosto",
        "setembro",
        "outubro",
        "novembro",
        "dezembro",
    ],
];

/// Returns a date as a sentence has it: "31 January 2026", "31 de janeiro de 2026".
pub fn day_in_words(date: Date, language: Language) -> String {
    let month =
        MONTHS[language as usize].get(usize::from(date.month().unsigned_abs()) - 1).copied().unwrap_or_default();
    match language {
        Language::English => format!("{} {month} {}", date.day(), date.year()),
        Language::Portuguese => format!("{} de {month} de {}", date.day(), date.year()),
    }
}

/// Returns the label of the answer that a feature is made from: of the field, or of what is counted of several.
pub fn answer_label(place: usize, language: Language) -> String {
    match FEATURES.get(place).map(|feature| feature.kind) {
        Some(
            FeatureKind::Latest(field)
            | FeatureKind::Mean(field)
            | FeatureKind::Change(field)
            | FeatureKind::Trend(field),
        ) => FIELDS.get(field).map_or_else(String::new, |field| field.words(language).label.to_owned()),
        _ => feature_label(place, language),
    }
}

/// Returns the label of a feature in a language.
pub fn feature_label(place: usize, language: Language) -> String {
    let words = &STATISTICS[language as usize];
    let mut out = String::new();
    let mut of_field = |form: &'static str, field: usize| {
        let label = FIELDS.get(field).map_or("", |field| field.words(language).label);
        expand(&mut out, form, &mut |out, _| out.push_str(label));
    };
    match FEATURES.get(place).map(|feature| feature.kind) {
        None => {}
        Some(FeatureKind::Latest(field)) => of_field("{l}", field),
        Some(FeatureKind::Mean(field)) => of_field(words.mean_label, field),
        Some(FeatureKind::Change(field)) => of_field(words.change_label, field),
        Some(FeatureKind::Trend(field)) => of_field(words.trend_label, field),
        Some(FeatureKind::TaskCompletion) => out.push_str(words.other_labels[0]),
        Some(FeatureKind::ShortSleepStreak) => out.push_str(words.other_labels[1]),
        Some(FeatureKind::MissedDoseStreak) => out.push_str(words.other_labels[2]),
        Some(FeatureKind::DaysSincePrevious) => out.push_str(words.other_labels[3]),
        Some(FeatureKind::CheckinCount) => out.push_str(words.other_labels[4]),
        Some(FeatureKind::WindowDays) => out.push_str(words.other_labels[5]),
    }
    out
}

/// Writes a text, and in place of each `{x}` what is put there for `x`.
fn expand(out: &mut String, text: &str, put: &mut dyn FnMut(&mut String, char)) {
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let (key, after) = after.split_once('}').unwrap_or((after, ""));
        key.chars().for_each(|key| put(out, key));
        rest = after;
    }
    out.push_str(rest);
}

/// Writes a value with its unit.
fn quantity(out: &mut String, value: f32, unit: Unit, words: &StatisticWords) {
    match unit {
        Unit::OfTen => expand(out, words.of_ten, &mut |out, _| number(out, value, words)),
        unit => difference(out, value, unit, words),
    }
}

/// Writes a difference of values with its unit.
fn difference(out: &mut String, value: f32, unit: Unit, words: &StatisticWords) {
    let forms = match unit {
        Unit::OfTen => &words.points,
        Unit::Hours => &words.hours,
        Unit::Minutes => &words.minutes,
        Unit::Number | Unit::YesNo => return number(out, value, words),
    };
    let (scaled, scale) = rounded(value);
    let (most, with_fraction) = words.singular;
    let is_singular = if with_fraction { scaled / scale <= most } else { scaled == most * scale };
    expand(out, forms[usize::from(!is_singular)], &mut |out, _| number(out, value, words));
}

/// Returns a value's size as a number is written, as a whole number of the parts of 1 that come second: of tenths, and
/// below 1 of hundredths.
fn rounded(value: f32) -> (u64, u64) {
    let size = f64::from(value.abs());
    let scale: u32 = if size < 1.0 { 100 } else { 10 };
    // What is too large for the cast is written as the largest that is not.
    ((size * f64::from(scale)).round() as u64, scale.into())
}

/// Writes a number with one digit after the point, below 1 with two, as far as they are not 0.
fn number(out: &mut String, value: f32, words: &StatisticWords) {
    let (scaled, scale) = rounded(value);
    if value < 0.0 && scaled > 0 {
        out.push('-');
    }
    push_whole(out, scaled / scale);
    let (mut digit, mut rest) = (scale / 10, scaled % scale);
    if rest > 0 {
        out.push(words.decimal_point);
    }
    while rest > 0 {
        push_whole(out, rest / digit);
        rest %= digit;
        digit /= 10;
    }
}

/// Writes a share as a whole percentage.
fn percent(out: &mut String, value: f32) {
    push_whole(out, (f64::from(value) * 100.0).round() as u64);
    out.push('%');
}

fn push_whole(out: &mut String, mut value: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend(digits[at..].iter().map(|digit| char::from(*digit)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feature::feature_index;
    use proptest::prelude::*;

    fn clause(language: Language, days: usize, feature: &str, value: f32) -> String {
        let mut out = String::new();
        let place = feature_index(feature).expect("a feature");
        Clauses { language, days, made_at: MadeAt::Today }.add(&mut out, place, value, &mut true);
        out
    }

    #[test]
    fn every_kind_of_feature_has_its_sentence_in_both_languages() {
        for (feature, value, english, portuguese) in [
            (
                "depressedMood",
                5.0,
                "depressed mood was 5 of 10 at the latest check-in",
                "o humor deprimido ficou em 5 de 10 no último check-in",
            ),
            (
                "depressedMood_mean",
                6.333,
                "depressed mood averaged 6.3 of 10 over the last 3 days",
                "o humor deprimido teve média de 6,3 de 10 nos últimos 3 dias",
            ),
            (
                "anxietyStress_change",
                2.25,
                "the level of anxiety and stress rose by 2.3 points against the days before",
                "o nível de ansiedade e estresse aumentou 2,3 pontos em relação aos dias anteriores",
            ),
            (
                "hoursSlept_change",
                -1.0,
                "sleep fell by 1 hour against the days before",
                "o sono diminuiu 1 hora em relação aos dias anteriores",
            ),
            (
                "hoursSlept_trend",
                -0.25,
                "sleep fell by 0.25 hours a day over the last 3 days",
                "o sono diminuiu 0,25 hora por dia nos últimos 3 dias",
            ),
            (
                "energyLevel_trend",
                0.001,
                "energy neither rose nor fell over the last 3 days",
                "a energia não aumentou nem diminuiu nos últimos 3 dias",
            ),
            (
                "hoursSlept",
                4.5,
                "sleep was 4.5 hours at the latest check-in",
                "o sono ficou em 4,5 horas no último check-in",
            ),
            (
                "exerciseDurationMin",
                30.0,
                "the time spent on exercise was 30 minutes at the latest check-in",
                "o tempo de exercício ficou em 30 minutos no último check-in",
            ),
            (
                "caffeineDoses",
                2.0,
                "the number of doses of caffeine was 2 at the latest check-in",
                "o número de doses de cafeína ficou em 2 no último check-in",
            ),
            (
                "medicationAdherence",
                0.0,
                "medication was not taken at the latest check-in",
                "a medicação não foi tomada no último check-in",
            ),
            (
                "medicationAdherence_mean",
                2.0 / 3.0,
                "medication was taken on 67% of the days answered over the last 3 days",
                "a medicação foi tomada em 67% dos dias com resposta nos últimos 3 dias",
            ),
            (
                "medicationAdherence_change",
                -0.5,
                "medication was not taken, unlike on days before",
                "a medicação não foi tomada, ao contrário de dias anteriores",
            ),
            (
                "medicationAdherence_change",
                0.5,
                "medication was taken, unlike on some days before",
                "a medicação foi tomada, ao contrário de alguns dias anteriores",
            ),
            (
                "medicationAdherence_change",
                0.0,
                "medication taken was as on the days before",
                "medicação tomada: como nos dias anteriores",
            ),
            (
                "medicationAdherence_trend",
                -0.2,
                "medication was taken less and less often over the last 3 days",
                "a medicação foi tomada cada vez menos nos últimos 3 dias",
            ),
            (
                "taskCompletion",
                0.25,
                "25% of the tasks planned were completed",
                "25% das tarefas planejadas foram concluídas",
            ),
            (
                "shortSleepStreak",
                0.0,
                "the latest night was not under 6 hours",
                "a última noite não teve menos de 6 horas",
            ),
            (
                "shortSleepStreak",
                3.0,
                "the latest 3 nights were under 6 hours",
                "as últimas 3 noites tiveram menos de 6 horas",
            ),
            (
                "missedDoseStreak",
                1.0,
                "medication was missed at the latest check-in",
                "a medicação não foi tomada no último check-in",
            ),
            (
                "daysSincePrevious",
                2.0,
                "the check-in before was 2 days earlier",
                "o check-in anterior foi 2 dias antes",
            ),
            ("checkinCount", 1.0, "there was 1 check-in", "houve 1 check-in"),
            ("windowDays", 3.0, "3 days before are considered", "3 dias anteriores são considerados"),
        ] {
            assert_eq!(clause(Language::English, 3, feature, value), english);
            assert_eq!(clause(Language::Portuguese, 3, feature, value), portuguese);
        }
        for (value, english, portuguese) in [
            (1.04, "1 hour", "1 hora"),
            (1.5, "1.5 hours", "1,5 hora"),
            (0.996, "1 hour", "1 hora"),
            (2.0, "2 hours", "2 horas"),
        ] {
            let said = Language::ALL.map(|language| clause(language, 3, "hoursSlept", value));
            assert!(
                said[0].contains(&format!(" {english} ")) && said[1].contains(&format!(" {portuguese} ")),
                "{said:?}"
            );
        }
        let alone = clause(Language::English, 1, "depressedMood_mean", 6.0);
        assert_eq!(alone, "depressed mood was 6 of 10 at the latest check-in");
        assert_eq!(clause(Language::English, 3, "depressedMood", f32::NAN), "", "what is missing says nothing");
    }

    #[test]
    fn a_sentence_says_up_to_when_its_days_were() {
        let said = |language, made_at, feature: &str, value| {
            let mut out = String::new();
            let place = feature_index(feature).expect("a feature");
            Clauses { language, days: 3, made_at }.add(&mut out, place, value, &mut true);
            out
        };
        let mean = |made_at| said(Language::English, made_at, "energyLevel_mean", 4.0);
        assert_eq!(mean(MadeAt::Today), "energy averaged 4 of 10 over the last 3 days");
        assert_eq!(mean(MadeAt::Latest), "energy averaged 4 of 10 over the 3 days up to the latest check-in");
        assert_eq!(mean(MadeAt::Earlier), "energy averaged 4 of 10 over the 3 days up to this check-in");
        let missed = |made_at| said(Language::Portuguese, made_at, "missedDoseStreak", 2.0);
        assert_eq!(missed(MadeAt::Latest), "a medicação não foi tomada nos últimos 2 check-ins");
        assert_eq!(missed(MadeAt::Earlier), "a medicação não foi tomada nos 2 check-ins até este");
    }

    #[test]
    fn days_and_answers_have_words() {
        let day = Date::constant(2026, 3, 1);
        assert_eq!(Language::ALL.map(|language| day_in_words(day, language)), ["1 March 2026", "1 de março de 2026"]);
        let label = |feature| answer_label(feature_index(feature).expect("a feature"), Language::English);
        assert_eq!((label("energyLevel_trend"), label("energyLevel")), ("energy".to_owned(), "energy".to_owned()));
        assert_eq!(label("checkinCount"), "check-ins in the window");
    }

    #[test]
    fn words_are_complete_and_different() {
        for language in Language::ALL {
            for field in FIELDS {
                let Words { label, subject, low, high } = field.words(language);
                assert!(!label.is_empty() && !low.is_empty() && !high.is_empty() && low != high, "{}", field.name);
                assert_eq!(subject.is_empty(), field.unit == Unit::YesNo, "{}", field.name);
            }
            let mut labels: Vec<String> = (0..FEATURES.len()).map(|place| feature_label(place, language)).collect();
            labels.sort();
            assert!(labels.windows(2).all(|pair| pair[0] != pair[1]), "{labels:?}");
        }
    }

    #[test]
    fn the_documentation_has_the_table_of_words() {
        let text = include_str!("../../../docs/MODELS.md");
        for field in FIELDS {
            let unit = match field.unit {
                Unit::YesNo => "no or yes",
                Unit::OfTen => "0 to 10",
                Unit::Hours => "hours, 0 to 24",
                Unit::Minutes => "minutes",
                Unit::Number => "number",
            };
            let ends = |language| format!("{} ... {}", field.words(language).low, field.words(language).high);
            let row = format!(
                "| `{}` | {unit} | {} | {} | {} | {} |",
                field.name,
                field.words(Language::English).label,
                ends(Language::English),
                field.words(Language::Portuguese).label,
                ends(Language::Portuguese),
            );
            assert!(text.contains(&row), "docs/MODELS.md lacks\n{row}");
        }
    }

    proptest! {
        #[test]
        fn any_number_makes_a_clause(place in 0..FEATURES.len() + 2, value: f32, days: usize, portuguese: bool) {
            let language = Language::ALL[usize::from(portuguese)];
            let (mut out, mut says_period) = (String::new(), true);
            Clauses { language, days, made_at: MadeAt::Earlier }.add(&mut out, place, value, &mut says_period);
            prop_assert_eq!(out.is_empty(), value.is_nan() || place >= FEATURES.len());
            prop_assert!(!out.contains('{'), "{}", out);
        }
    }
}
