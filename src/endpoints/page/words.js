"use strict";
// What the page says, in both languages; names of fields and labels, and how features are made of them.
const WORDS = {
  "en": {
    skip: "Skip to the predictions", pages: "Pages", predictions: "Predictions", models: "Models", docs: "API",
    notice: "Not a medical device. The models were trained on a synthetic cohort and have never seen a person.",
    person: "Person", token: "Access token", key: "API key", id: "Person's id", window: "Days of history", ask: "Predict",
    history: "The last 30 days", table: "As a table", whatIf: "What if the latest check-in had been different?",
    whatIfHelp: "Move a slider: the predictions are made anew from what it says. Nothing is kept.", reset: "As it was",
    model: "Model", asking: "Asking…", took: "Answered in {0} ms, of which the service took {1} ms; cache: {2}.",
    compared: "{0} answers in {1} ms, of which the service took {2} ms.", risk: "Risk", chance: "Probability",
    why: "Why", contributions: "What moved it most", raises: "raises", lowers: "lowers", missing: "missing", threshold: "decision threshold",
    crisis: "If you or someone else may be in danger, contact one of these services now:",
    disclaimer: "A statistical estimate, not a diagnosis.", insufficient: "Not enough answers: {0}", asOf: "As of {0}", asOfUntil: "As of {0}, for the days up to {1}", noCheckIns: "There are no check-ins yet.",
    day: "Day", state: "State", yes: "yes", no: "no", legend: "Predicted state under each day: {0}.", unanswered: "no prediction",
    before: "before", now: "now", type: "Prediction", noChange: "as it was",
    quality: "Measured on {0} people and {1} rows that it had not seen", measure: "Measure", ofModel: "Model", ofRule: "Hand-written rule",
    auroc: "AUROC (1 is best)", brier: "Brier score (0 is best)", calibrationError: "Calibration error (0 is best)",
    calibration: "Calibration: how often it was so, against how probable it was said to be",
    predicted: "predicted", observed: "observed", rows: "rows", confusion: "Rows by what was so (down) and what was predicted (across)",
    version: "Version", library: "Made with", trees: "Trees", nodes: "Nodes", data: "Training data", licence: "Licence", features: "Features",
    warnings: "Warnings", signIn: "Sign in with a token to see the models.", noQuality: "Its card has no measured quality.",
    failed: "The service could not be reached.", demo: "{0} (demo)",
  },
  "pt-BR": {
    skip: "Ir para as previsões", pages: "Páginas", predictions: "Previsões", models: "Modelos", docs: "API",
    notice: "Não é um dispositivo médico. Os modelos foram treinados com uma população sintética e nunca viram uma pessoa.",
    person: "Pessoa", token: "Token de acesso", key: "Chave de API", id: "Id da pessoa", window: "Dias de histórico", ask: "Prever",
    history: "Os últimos 30 dias", table: "Em tabela", whatIf: "E se o último check-in tivesse sido diferente?",
    whatIfHelp: "Mova um controle: as previsões são refeitas com o valor escolhido. Nada é guardado.", reset: "Como era",
    model: "Modelo", asking: "Consultando…", took: "Respondido em {0} ms, dos quais {1} ms no serviço; cache: {2}.",
    compared: "{0} respostas em {1} ms, dos quais {2} ms no serviço.", risk: "Risco", chance: "Probabilidade",
    why: "Por quê", contributions: "O que mais pesou", raises: "aumenta", lowers: "diminui", missing: "sem resposta", threshold: "limiar de decisão",
    crisis: "Se você ou alguém pode estar em perigo, procure um destes serviços agora:",
    disclaimer: "Uma estimativa estatística, não um diagnóstico.", insufficient: "Faltam respostas: {0}", asOf: "Situação em {0}", asOfUntil: "Situação em {0}, para os dias até {1}", noCheckIns: "Ainda não há check-ins.",
    day: "Dia", state: "Estado", yes: "sim", no: "não", legend: "Estado previsto sob cada dia: {0}.", unanswered: "sem previsão",
    before: "antes", now: "agora", type: "Previsão", noChange: "como era",
    quality: "Medido com {0} pessoas e {1} linhas que ele não tinha visto", measure: "Medida", ofModel: "Modelo", ofRule: "Regra escrita à mão",
    auroc: "AUROC (1 é o melhor)", brier: "Escore de Brier (0 é o melhor)", calibrationError: "Erro de calibração (0 é o melhor)",
    calibration: "Calibração: com que frequência ocorreu, contra a probabilidade prevista",
    predicted: "previsto", observed: "observado", rows: "linhas", confusion: "Linhas pelo que ocorreu (linhas) e pelo que foi previsto (colunas)",
    version: "Versão", library: "Feito com", trees: "Árvores", nodes: "Nós", data: "Dados de treino", licence: "Licença", features: "Variáveis",
    warnings: "Avisos", signIn: "Entre com um token para ver os modelos.", noQuality: "A ficha não tem qualidade medida.",
    failed: "Não foi possível falar com o serviço.", demo: "{0} (demonstração)",
  },
};

// [English, Portuguese]
const NAMES = {
  mood_state: ["Mood state", "Estado de humor"], relapse_risk: ["Relapse", "Recaída"], suicidality_risk: ["Suicidality", "Suicidalidade"],
  medication_adherence_risk: ["Missed medication", "Falta de medicação"], sleep_disturbance_risk: ["Disturbed sleep", "Sono perturbado"],
  euthymia: ["euthymia", "eutimia"], mania: ["mania", "mania"], depression: ["depression", "depressão"], mixed: ["mixed state", "estado misto"],
  "no check-ins": ["no check-ins", "sem check-ins"], low: ["low", "baixo"], medium: ["medium", "médio"], high: ["high", "alto"],
  critical: ["critical", "crítico"], unknown: ["unknown", "desconhecido"], insufficient_data: ["not enough data", "dados insuficientes"],
  timeout: ["out of time", "tempo esgotado"], relapse: ["relapse", "recaída"], no_relapse: ["no relapse", "sem recaída"],
  elevated: ["elevated", "elevado"], not_elevated: ["not elevated", "não elevado"], adherent: ["medication taken", "medicação tomada"],
  non_adherent: ["doses missed", "doses perdidas"], disturbed: ["disturbed", "perturbado"], undisturbed: ["undisturbed", "sem perturbação"],
  hoursSlept: ["hours slept", "horas de sono"], sleepQuality: ["sleep quality", "qualidade do sono"],
  perceivedSleepNeed: ["perceived need for sleep (h)", "necessidade de sono percebida (h)"], sleepHygiene: ["sleep hygiene", "higiene do sono"],
  hasNapped: ["napped", "cochilou"], nappingDurationMin: ["nap (min)", "cochilo (min)"], energyLevel: ["energy", "energia"],
  depressedMood: ["depressed mood", "humor deprimido"], anxietyStress: ["anxiety and stress", "ansiedade e estresse"],
  elevation: ["elevated mood", "humor elevado"], activation: ["activation", "ativação"], motivationToStart: ["motivation to start", "motivação para começar"],
  thoughtSpeed: ["speed of thought", "velocidade do pensamento"], distractibility: ["distractibility", "distração"],
  memoryConcentration: ["memory and concentration", "memória e concentração"], ruminationAxis: ["rumination", "ruminação"],
  socialConnection: ["social connection", "conexão social"], socialRhythmEvent: ["event out of rhythm", "evento fora do ritmo"],
  exerciseDurationMin: ["exercise (min)", "exercício (min)"], exerciseFeeling: ["feeling after exercise", "bem-estar após exercício"],
  sexualRiskBehavior: ["sexual risk behaviour", "comportamento sexual de risco"], tasksPlanned: ["tasks planned", "tarefas planejadas"],
  tasksCompleted: ["tasks completed", "tarefas concluídas"], generalAppetite: ["appetite", "apetite"], dietTracking: ["diet tracked", "dieta acompanhada"],
  skipMeals: ["skipped meals", "pulou refeições"], compulsionEpisode: ["compulsion", "compulsão"],
  compulsionIntensity: ["strength of compulsion", "intensidade da compulsão"], substanceUsage: ["substance use", "uso de substâncias"],
  substanceUnits: ["substance units", "unidades de substância"], caffeineDoses: ["caffeine (doses)", "cafeína (doses)"], libido: ["libido", "libido"],
  medicationAdherence: ["medication taken", "medicação tomada"], medicationTiming: ["medication on time", "medicação no horário"],
  medicationChangeRecent: ["medication changed", "medicação mudada"], contextualStressors: ["stressors", "estressores"],
  taskCompletion: ["share of tasks completed", "parcela de tarefas concluídas"],
  shortSleepStreak: ["short nights in a row", "noites curtas seguidas"], missedDoseStreak: ["missed doses in a row", "doses perdidas seguidas"],
  daysSincePrevious: ["days since the check-in before", "dias desde o check-in anterior"], checkinCount: ["check-ins in the window", "check-ins na janela"],
  windowDays: ["days in the window", "dias na janela"],
};
const SUFFIXES = { mean: ["{0}, mean", "{0}, média"], change: ["{0}, change", "{0}, mudança"], trend: ["{0}, trend a day", "{0}, tendência por dia"] };

let language = "en";
const say = (key, ...values) => WORDS[language][key].replace(/\{(\d)\}/g, (_, at) => values[at]);
const pick = (pair) => pair[language === "en" ? 0 : 1];

// A name that this page does not know, a model's own for one, is shown as it is.
function name(key) {
  if (Object.hasOwn(NAMES, key)) return pick(NAMES[key]);
  const [, field, suffix] = /^(.+)_(mean|change|trend)$/.exec(key) ?? [];
  return suffix ? pick(SUFFIXES[suffix]).replace("{0}", name(field)) : key.replaceAll("_", " ");
}

const number = (value, digits = 2) => value.toLocaleString(language, { maximumFractionDigits: digits });
const percent = (value) => value.toLocaleString(language, { style: "percent", maximumFractionDigits: 1 });
