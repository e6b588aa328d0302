"use strict";
// What the page says, in both languages. The words for fields and statistics, FIELDS and STATISTICS, come from the build, those for
// types, labels and levels with the answers.
const WORDS = {
  "en": {
    skip: "Skip to the content", views: "Views", language: "Language", forMe: "For me", forClinician: "Clinicians", forDeveloper: "Developers",
    notice: "Not a medical device. Check every number against what you know of the person.",
    person: "Person", token: "Access token", key: "API key", id: "Person's id", window: "Days of history", ask: "Show", asking: "Asking…",
    latest: "Latest check-in: {0}", today: "today", yesterday: "yesterday", daysAgo: "{0} days ago",
    stale: "That is too long ago to say how things are now.", noCheckIns: "There are no check-ins yet.", signInFirst: "Sign in to see check-ins.",
    howYouWere: "How you have been", leadNone: "With your first check-in this page begins to show how you have been.",
    lead: "At your last {0} check-ins, next to the weeks before:", leadOne: "At your only check-in:",
    more: "more than in the weeks before", less: "less than in the weeks before", same: "about as in the weeks before", middle: "in the middle", answeredOn: "{0} of {1} days",
    history: "The last 30 days", historyTo: "The 30 days up to {0}", table: "As a table", day: "Day", state: "State", yes: "yes", no: "no", missing: "no answer",
    from: "{0}: from {1} to {2}, latest {3}", mayHelp: "What may help", whereHelp: "Where help is",
    crisis: "If you or someone else may be in danger, contact one of these services now:",
    tipStale: "Make a check-in: it shows how things are now.",
    tipRhythm: "Go to bed and get up at the same times every day, also at weekends.",
    tipSleep: "Nights have been short. Keep the evening calm and dark; after several short nights in a row, tell your care team.",
    tipMedication: "A dose was missed. Ask your prescriber or pharmacist what to do about missed doses; a reminder at a fixed hour helps.",
    tipLow: "On heavy days small steps count: get up, get some daylight, talk with one person.",
    tipHigh: "You have felt unusually high or fast. Put off big decisions and spending, and tell someone you trust.",
    tipAnxiety: "Slow breathing for some minutes, a walk or a talk can take the edge off tension.",
    tipTeam: "Tell your care team about changes that last for some days. This page is no diagnosis and does not replace them.",
    predictions: "Predictions", type: "Prediction", result: "Result", risk: "Risk", probability: "Probability", observed: "Observed", why: "Why", until: "From data up to {0}, valid until {1}", asOf: "From data up to {0}",
    observedOf: "of {1} cases given such a probability, {0} had it", observedPairs: "of {1} states given such a probability, {0} were so", observedNone: "too few cases to say",
    data: "{0} check-ins of {1} days, {2} of the inputs known", contributions: "What it rests on, and what moved it most", raises: "raises", lowers: "lowers", threshold: "decision threshold",
    course: "Answers and predicted states of 30 days", legend: "Predicted state under each day: {0}.", unanswered: "no prediction",
    whatIf: "What if the check-in of {0} had been different?", whatIfHelp: "Move a slider: the predictions are made anew from what it says. Nothing is kept.",
    reset: "As it was", before: "before", now: "now", compared: "{0} answers in {1} ms, of which the service took {2} ms.",
    models: "How good the models are", model: "Model",
    quality: "Measured on {0} people and {1} cases that it had not seen", measure: "Measure", ofModel: "Model", ofRule: "Hand-written rule",
    auroc: "AUROC (1 is best)", brier: "Brier score (0 is best)", calibrationError: "Calibration error (0 is best)",
    calibration: "Calibration: how often it was so, against how probable it was said to be", predicted: "predicted", rows: "cases",
    confusion: "Cases by what was so (down) and what was predicted (across)",
    version: "Version", library: "Made with", trees: "Trees", nodes: "Nodes", training: "Training data", licence: "Licence", features: "Features",
    warnings: "Warnings", signIn: "Sign in with a token to see the models.", noQuality: "Its card has no measured quality.",
    groups: "By group", group: "Group", attributes: "What it is for, and its limits",
    request: "The request", requestHelp: "This is what the page asked; every endpoint can be tried in the", docs: "API description", answer: "The answer",
    took: "Answered in {0} ms, of which the service took {1} ms; cache: {2}.", header: "Header", value: "Value",
    failed: "The service could not be reached.", demo: "{0} (demo)",
  },
  "pt-BR": {
    skip: "Ir para o conteúdo", views: "Visões", language: "Idioma", forMe: "Para mim", forClinician: "Profissionais de saúde", forDeveloper: "Desenvolvedores",
    notice: "Não é um dispositivo médico. Confira cada número com o que você sabe da pessoa.",
    person: "Pessoa", token: "Token de acesso", key: "Chave de API", id: "Id da pessoa", window: "Dias de histórico", ask: "Mostrar", asking: "Consultando…",
    latest: "Último check-in: {0}", today: "hoje", yesterday: "ontem", daysAgo: "há {0} dias",
    stale: "Já faz muito tempo: não dá para dizer como as coisas estão agora.", noCheckIns: "Ainda não há check-ins.", signInFirst: "Entre para ver os check-ins.",
    howYouWere: "Como você tem passado", leadNone: "Com o seu primeiro check-in esta página começa a mostrar como você tem passado.",
    lead: "Nos seus últimos {0} check-ins, em comparação com as semanas anteriores:", leadOne: "No seu único check-in:",
    more: "mais do que nas semanas anteriores", less: "menos do que nas semanas anteriores", same: "como nas semanas anteriores", middle: "intermediário", answeredOn: "{0} de {1} dias",
    history: "Os últimos 30 dias", historyTo: "Os 30 dias até {0}", table: "Ver em tabela", day: "Dia", state: "Estado", yes: "sim", no: "não", missing: "sem resposta",
    from: "{0}: de {1} a {2}, o mais recente {3}", mayHelp: "O que pode ajudar", whereHelp: "Onde buscar ajuda",
    crisis: "Se você ou outra pessoa estiver em perigo, procure um destes serviços agora:",
    tipStale: "Faça um check-in: ele mostra como as coisas estão agora.",
    tipRhythm: "Deite-se e levante-se nos mesmos horários todos os dias, também nos fins de semana.",
    tipSleep: "As noites têm sido curtas. Mantenha a noite calma e escura; depois de várias noites curtas seguidas, avise sua equipe de saúde.",
    tipMedication: "Você deixou de tomar uma dose. Pergunte a quem receitou ou na farmácia o que fazer nesses casos; um lembrete em hora fixa ajuda.",
    tipLow: "Em dias pesados, pequenos passos contam: levantar-se, tomar luz do dia, falar com uma pessoa.",
    tipHigh: "Você tem se sentido com o humor muito elevado. Adie grandes decisões e gastos, e conte a alguém de confiança.",
    tipAnxiety: "Respirar devagar por alguns minutos, uma caminhada ou uma conversa podem aliviar a tensão.",
    tipTeam: "Conte à sua equipe de saúde as mudanças que duram alguns dias. Esta página não é um diagnóstico e não a substitui.",
    predictions: "Previsões", type: "Previsão", result: "Resultado", risk: "Risco", probability: "Probabilidade", observed: "Observado", why: "Por quê", until: "Com dados até {0}, válida até {1}", asOf: "Com dados até {0}",
    observedOf: "de {1} casos com tal probabilidade, {0} se confirmaram", observedPairs: "de {1} estados com tal probabilidade, {0} se confirmaram", observedNone: "casos insuficientes para dizer",
    data: "{0} check-ins de {1} dias, {2} das entradas conhecidas", contributions: "Em que se baseia, e o que mais pesou", raises: "aumenta", lowers: "diminui", threshold: "limiar de decisão",
    course: "Respostas e estados previstos de 30 dias", legend: "Estado previsto sob cada dia: {0}.", unanswered: "sem previsão",
    whatIf: "E se o check-in de {0} tivesse sido diferente?", whatIfHelp: "Mova um controle: as previsões são refeitas com o valor escolhido. Nada é guardado.",
    reset: "Como era", before: "antes", now: "agora", compared: "{0} respostas em {1} ms, dos quais {2} ms no serviço.",
    models: "Qualidade dos modelos", model: "Modelo",
    quality: "Medido com {0} pessoas e {1} casos que ele não tinha visto", measure: "Medida", ofModel: "Modelo", ofRule: "Regra escrita à mão",
    auroc: "AUROC (1 é o melhor)", brier: "Escore de Brier (0 é o melhor)", calibrationError: "Erro de calibração (0 é o melhor)",
    calibration: "Calibração: com que frequência ocorreu, em comparação com a probabilidade prevista", predicted: "previsto", rows: "casos",
    confusion: "Casos pelo que ocorreu (linhas) e pelo que foi previsto (colunas)",
    version: "Versão", library: "Feito com", trees: "Árvores", nodes: "Nós", training: "Dados de treino", licence: "Licença", features: "Variáveis",
    warnings: "Avisos", signIn: "Entre com um token para ver os modelos.", noQuality: "A ficha não tem qualidade medida.",
    groups: "Por grupo", group: "Grupo", attributes: "Para que serve, e seus limites",
    request: "A requisição", requestHelp: "Isto é o que a página perguntou; cada endpoint pode ser experimentado na", docs: "descrição da API", answer: "A resposta",
    took: "Respondido em {0} ms, dos quais {1} ms no serviço; cache: {2}.", header: "Cabeçalho", value: "Valor",
    failed: "Não foi possível falar com o serviço.", demo: "{0} (demonstração)",
  },
};

// The states that the demo people are in: [English, Portuguese].
const STATES = {
  euthymia: ["euthymia", "eutimia"], mania: ["mania", "mania"], depression: ["depression", "depressão"], mixed: ["mixed state", "estado misto"],
  "no check-ins": ["no check-ins", "sem check-ins"],
};

// What a card says of its model beside figures, in the order of reading: [English, Portuguese].
const ATTRIBUTES = {
  intended_use: ["Intended use", "Uso previsto"], intended_population: ["Intended population", "População prevista"],
  intended_users: ["Intended users", "Usuários previstos"], decision_role: ["Role in decisions", "Papel nas decisões"],
  out_of_scope: ["Out of scope", "Fora do escopo"], known_limits: ["Known limits", "Limites conhecidos"],
  output_value: ["What it answers", "O que responde"], thresholds: ["How thresholds were chosen", "Como os limiares foram escolhidos"],
  training_criteria: ["Who it was trained on", "Com quem foi treinado"], demographic_inputs: ["Demographic inputs", "Entradas demográficas"],
  representativeness: ["Whom the training data represent", "Quem os dados de treino representam"],
  relevance: ["Relevance of the training data", "Relevância dos dados de treino"], fairness: ["Fairness", "Equidade"],
  external_validation: ["External validation", "Validação externa"], group_validation: ["Validation by group", "Validação por grupo"],
  outcome_evaluation: ["Evaluation of outcomes", "Avaliação dos desfechos"], monitoring: ["Monitoring", "Monitoramento"],
  maintenance: ["Maintenance", "Manutenção"], developer: ["Developer", "Desenvolvedor"], contact: ["Contact", "Contato"],
  funding: ["Funding", "Financiamento"],
};

let language = "en";
const say = (key, ...values) => WORDS[language][key].replace(/\{(\d)\}/g, (_, at) => values[at]);
const pick = (pair) => pair[language === "en" ? 0 : 1];
const sentence = (text) => text[0].toUpperCase() + text.slice(1);

// The words of a field: its label, and the ends of its scale, or no and yes.
const wordsOf = (field) => pick(FIELDS[field].words);

// The name of a feature; one that is not in the table is shown as it is.
function name(key) {
  if (Object.hasOwn(FIELDS, key)) return wordsOf(key)[0];
  const { labels, others } = pick(STATISTICS);
  if (Object.hasOwn(others, key)) return others[key];
  const [, field, suffix] = /^(.+)_(mean|change|trend)$/.exec(key) ?? [];
  return suffix && Object.hasOwn(FIELDS, field) ? labels[suffix].replace("{l}", name(field)) : key.replaceAll("_", " ");
}

const number = (value, digits = 2) => value.toLocaleString(language, { maximumFractionDigits: digits });
const percent = (value, digits = 1) => value.toLocaleString(language, { style: "percent", maximumFractionDigits: digits });
// A day of the person's calendar, which has no time zone.
const dayOf = (date, month = "long") => new Date(`${date}T00:00Z`).toLocaleDateString(language, { day: "numeric", month, year: month === "long" ? "numeric" : undefined, timeZone: "UTC" });
