/**
 * The tables of runs.db as append-only migrations: what has been released is never edited, only added to.
 * The version of a database is the number of migrations it has seen (`PRAGMA user_version`).
 *
 * Everything here is a projection of the run folders and can be rebuilt from them. The views `v_*` are the contract with notebooks.
 */
export type Migration = { name: string; sql: string }

/** How a number that SQLite cannot hold is kept: NaN would become NULL, and `min()` skips NULL. */
const KIND = { finite: 0, nan: 1, inf: 2, minusInf: 3 } as const

export const kindOf = (value: number): number =>
  Number.isFinite(value) ? KIND.finite : Number.isNaN(value) ? KIND.nan : value > 0 ? KIND.inf : KIND.minusInf

/** The number that a value and its kind stand for. */
export const numberOf = (value: number | null, kind: number): number =>
  kind === KIND.finite
    ? (value ?? Number.NaN)
    : kind === KIND.inf
      ? Infinity
      : kind === KIND.minusInf
        ? -Infinity
        : Number.NaN

const kindName = (kind: string) =>
  `CASE ${kind} WHEN 0 THEN 'finite' WHEN 1 THEN 'nan' WHEN 2 THEN 'inf' ELSE '-inf' END`

/** What both forms of the leaderboard make of their `scores`. A migration that has run is not changed: nor is this. */
const rowsOfScores = `), means AS (
  SELECT config_hash, dataset, protocol, metric, avg(value) AS mean, count(*) AS n, count(value) AS n_finite
  FROM scores GROUP BY config_hash, dataset, protocol, metric
)
SELECT (SELECT label FROM runs WHERE runs.config_hash = s.config_hash ORDER BY id DESC LIMIT 1) AS name,
       s.config_hash, s.dataset, s.protocol, s.metric, m.n, m.n_finite,
       CASE WHEN m.n = m.n_finite THEN m.mean END AS mean,
       CASE WHEN m.n = m.n_finite AND m.n > 1 THEN sqrt(sum((s.value - m.mean) * (s.value - m.mean)) / (m.n - 1)) END AS std,
       min(s.value) AS lowest, max(s.value) AS highest,
       group_concat('run' || s.id, ' ') AS runs
FROM scores s JOIN means m USING (config_hash, dataset, protocol, metric)
GROUP BY s.config_hash, s.dataset, s.protocol, s.metric;
`

/** Whether `e` is the newest final evaluation of its run under its protocol. */
const newestFinal = `e.purpose = 'final' AND NOT EXISTS (
         SELECT 1 FROM evaluations n WHERE n.run = e.run AND n.dataset = e.dataset AND n.purpose = 'final'
           AND n.protocol = e.protocol AND (n.t, n.id) > (e.t, e.id)
       )`

export const MIGRATIONS: readonly Migration[] = [
  {
    name: 'runs, metrics and evaluations',
    sql: `
CREATE TABLE sweeps (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE points (
  id INTEGER PRIMARY KEY,
  sweep INTEGER NOT NULL REFERENCES sweeps,
  key TEXT NOT NULL,
  label TEXT NOT NULL,
  UNIQUE (sweep, key)
) STRICT;
CREATE TABLE runs (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  label TEXT NOT NULL,
  kind TEXT NOT NULL,
  created INTEGER NOT NULL,
  config_hash TEXT NOT NULL,
  seed INTEGER NOT NULL,
  sweep INTEGER REFERENCES sweeps,
  point INTEGER REFERENCES points,
  config TEXT NOT NULL,
  argv TEXT NOT NULL,
  git_commit TEXT,
  git_dirty INTEGER NOT NULL,
  versions TEXT NOT NULL,
  status TEXT NOT NULL DEFAULT 'queued',
  step INTEGER NOT NULL DEFAULT 0,
  total_steps INTEGER,
  checkpoint INTEGER,
  attempts INTEGER NOT NULL DEFAULT 0,
  started INTEGER,
  seen INTEGER,
  error TEXT,
  damaged INTEGER NOT NULL DEFAULT 0,
  removed INTEGER
) STRICT;
CREATE INDEX runs_by_config ON runs (config_hash, seed);
CREATE TABLE attempts (
  run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
  attempt INTEGER NOT NULL,
  resumed_from INTEGER,
  total_steps INTEGER,
  started INTEGER,
  seen INTEGER,
  step INTEGER NOT NULL DEFAULT 0,
  status TEXT,
  error TEXT,
  host TEXT,
  pid INTEGER,
  pid_started REAL,
  backend TEXT,
  device TEXT,
  threads INTEGER,
  git_commit TEXT,
  git_dirty INTEGER,
  versions TEXT,
  PRIMARY KEY (run, attempt)
) STRICT, WITHOUT ROWID;
CREATE TABLE offsets (
  run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
  attempt INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  PRIMARY KEY (run, attempt)
) STRICT, WITHOUT ROWID;
CREATE TABLE metric_names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE metrics (
  run INTEGER NOT NULL,
  name INTEGER NOT NULL,
  step INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  value REAL,
  PRIMARY KEY (run, name, step)
) STRICT, WITHOUT ROWID;
CREATE TABLE steps (
  run INTEGER NOT NULL,
  step INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  t INTEGER NOT NULL,
  PRIMARY KEY (run, step)
) STRICT, WITHOUT ROWID;
CREATE TABLE summaries (
  run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
  name INTEGER NOT NULL REFERENCES metric_names,
  count INTEGER NOT NULL,
  non_finite INTEGER NOT NULL,
  first_step INTEGER NOT NULL,
  first REAL,
  first_kind INTEGER NOT NULL,
  last_step INTEGER NOT NULL,
  last REAL,
  last_kind INTEGER NOT NULL,
  min REAL,
  min_step INTEGER,
  max REAL,
  max_step INTEGER,
  PRIMARY KEY (run, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE protocols (id INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE, json TEXT NOT NULL) STRICT;
CREATE TABLE evaluations (
  id INTEGER PRIMARY KEY,
  run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
  attempt INTEGER NOT NULL,
  step INTEGER NOT NULL,
  dataset TEXT NOT NULL,
  purpose TEXT NOT NULL,
  protocol INTEGER NOT NULL REFERENCES protocols,
  t INTEGER NOT NULL,
  images INTEGER NOT NULL,
  seconds REAL,
  class_names TEXT NOT NULL,
  iou TEXT NOT NULL,
  baselines TEXT NOT NULL,
  counts_file TEXT,
  counts BLOB,
  UNIQUE (run, dataset, purpose, protocol, step)
) STRICT;
CREATE TABLE eval_values (
  evaluation INTEGER NOT NULL REFERENCES evaluations ON DELETE CASCADE,
  name TEXT NOT NULL,
  kind INTEGER NOT NULL,
  value REAL,
  PRIMARY KEY (evaluation, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE params (
  run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
  key TEXT NOT NULL,
  text TEXT NOT NULL,
  number REAL,
  PRIMARY KEY (run, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE checkpoints (
  run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
  step INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  file TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  best INTEGER NOT NULL,
  PRIMARY KEY (run, step)
) STRICT, WITHOUT ROWID;
CREATE TABLE samples (
  run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
  step INTEGER NOT NULL,
  sample TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  file TEXT NOT NULL,
  PRIMARY KEY (run, step, sample)
) STRICT, WITHOUT ROWID;
CREATE TABLE warnings (
  id INTEGER PRIMARY KEY,
  run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
  attempt INTEGER NOT NULL,
  step INTEGER NOT NULL,
  t INTEGER NOT NULL,
  code TEXT NOT NULL,
  message TEXT NOT NULL
) STRICT;
CREATE INDEX warnings_by_run ON warnings (run);
CREATE TABLE tags (
  run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
  tag TEXT NOT NULL,
  PRIMARY KEY (run, tag)
) STRICT, WITHOUT ROWID;
CREATE INDEX tags_by_tag ON tags (tag);
CREATE TABLE notes (
  run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
  t INTEGER NOT NULL,
  text TEXT NOT NULL,
  PRIMARY KEY (run, t, text)
) STRICT, WITHOUT ROWID;

-- The newest final evaluation of each run under each protocol.
CREATE VIEW v_evaluations AS
SELECT 'run' || e.run AS run, e.run AS number, e.step, e.dataset, e.purpose, p.hash AS protocol, p.json AS protocol_json,
       e.images, e.seconds, v.name, v.value, ${kindName('v.kind')} AS kind,
       e.purpose = 'final' AND NOT EXISTS (
         SELECT 1 FROM evaluations n WHERE n.run = e.run AND n.dataset = e.dataset AND n.purpose = 'final'
           AND n.protocol = e.protocol AND (n.t, n.id) > (e.t, e.id)
       ) AS newest_final
FROM evaluations e JOIN protocols p ON p.id = e.protocol JOIN eval_values v ON v.evaluation = e.id;

CREATE VIEW v_runs AS
SELECT 'run' || r.id AS run, r.id AS number, r.name, r.label, r.kind, r.status, r.step, r.total_steps, r.seed, r.config_hash,
       s.name AS sweep, p.key AS point,
       strftime('%Y-%m-%dT%H:%M:%fZ', r.created / 1000.0, 'unixepoch') AS created,
       strftime('%Y-%m-%dT%H:%M:%fZ', r.started / 1000.0, 'unixepoch') AS started,
       strftime('%Y-%m-%dT%H:%M:%fZ', r.seen / 1000.0, 'unixepoch') AS last_event,
       (SELECT sum(a.seen - a.started) / 1000.0 FROM attempts a WHERE a.run = r.id) AS seconds,
       r.attempts, a.backend, a.device, a.threads, a.host, r.git_commit, r.git_dirty, r.error,
       (SELECT v.value FROM evaluations e JOIN eval_values v ON v.evaluation = e.id AND v.name = 'mIoU'
        WHERE e.run = r.id AND e.purpose = 'final' ORDER BY e.t DESC, e.id DESC LIMIT 1) AS mIoU,
       (SELECT group_concat(tag, ' ') FROM tags t WHERE t.run = r.id) AS tags
FROM runs r
LEFT JOIN sweeps s ON s.id = r.sweep
LEFT JOIN points p ON p.id = r.point
LEFT JOIN attempts a ON a.run = r.id AND a.attempt = r.attempts
WHERE r.removed IS NULL;

CREATE VIEW v_metrics AS
SELECT 'run' || m.run AS run, m.run AS number, n.name, m.step, m.value, ${kindName('m.kind')} AS kind, m.attempt,
       (SELECT t FROM steps WHERE steps.run = m.run AND steps.step = m.step) AS t
FROM metrics m JOIN metric_names n ON n.id = m.name JOIN runs r ON r.id = m.run
WHERE r.removed IS NULL;

CREATE VIEW v_params AS
SELECT 'run' || p.run AS run, p.run AS number, p.key, p.text AS value, p.number AS number_value
FROM params p JOIN runs r ON r.id = p.run WHERE r.removed IS NULL;

-- One row for a configuration (all its seeds) under a protocol. A row with a run that diverged has no mean.
CREATE VIEW v_leaderboard AS
WITH scores AS (
  SELECT r.config_hash, r.label, r.id, v.dataset, v.protocol, v.name AS metric, v.value, v.step
  FROM v_evaluations v JOIN runs r ON r.id = v.number
  WHERE v.newest_final AND r.removed IS NULL
${rowsOfScores}`,
  },
  {
    name: 'classes and baselines of evaluations as views',
    sql: `
CREATE VIEW v_classes AS
SELECT 'run' || e.run AS run, e.run AS number, e.step, e.dataset, e.purpose, p.hash AS protocol, c.key AS position,
       c.value AS class, i.value AS iou, ${newestFinal} AS newest_final
FROM evaluations e JOIN protocols p ON p.id = e.protocol JOIN runs r ON r.id = e.run,
     json_each(e.class_names) c JOIN json_each(e.iou) i ON i.key = c.key
WHERE r.removed IS NULL;

CREATE VIEW v_baselines AS
SELECT 'run' || e.run AS run, e.run AS number, e.step, e.dataset, e.purpose, p.hash AS protocol, b.key AS name,
       b.value AS mIoU, ${newestFinal} AS newest_final
FROM evaluations e JOIN protocols p ON p.id = e.protocol JOIN runs r ON r.id = e.run, json_each(e.baselines) b
WHERE r.removed IS NULL;
`,
  },
  {
    name: 'a seed that was trained again counts once in the leaderboard',
    sql: `
DROP VIEW v_leaderboard;
CREATE VIEW v_leaderboard AS
WITH every AS (
  SELECT r.config_hash, r.label, r.id, v.dataset, v.protocol, v.name AS metric, v.value, v.step,
         row_number() OVER (
           PARTITION BY r.config_hash, r.seed, CASE r.kind WHEN 'train' THEN 0 ELSE r.id END, v.dataset, v.protocol, v.name
           ORDER BY r.id DESC
         ) AS age
  FROM v_evaluations v JOIN runs r ON r.id = v.number
  WHERE v.newest_final AND r.removed IS NULL
), scores AS (
  SELECT * FROM every WHERE age = 1
${rowsOfScores}`,
  },
]
