-- The record of all runs, real ones in one file and simulated ones in another.
-- A time is ISO 8601 in UTC with six decimals, so that text sorts as time does. Whatever may hold any text at all (a
-- path, a cell of a file) is JSON in plain ASCII, because not every path and not every cell is valid Unicode.

CREATE TABLE IF NOT EXISTS runs (
    id             TEXT PRIMARY KEY,
    owner          TEXT NOT NULL CHECK (owner IN ('cli', 'api')),
    draft          INTEGER NOT NULL DEFAULT 1,    -- until the prompt and the reads before the first dial are passed
    finished       INTEGER NOT NULL DEFAULT 0,
    simulated      INTEGER NOT NULL,
    via            TEXT NOT NULL,
    max_concurrent INTEGER NOT NULL,
    started_at     TEXT NOT NULL,
    ended_at       TEXT,                          -- null while it is worked on, and when its process died
    sitting_since  TEXT,                          -- when the work that has not been added up yet began
    worked_ms      INTEGER NOT NULL DEFAULT 0,    -- added up over resumes
    stopped        TEXT,                          -- JSON: why dialling stopped early
    about          TEXT NOT NULL                  -- JSON: source, version, output, format, options; once it was stopped for good, why, and if calls end
);

-- `runs` pages newest first, and `resume` wants the latest; neither may see a draft, so drafts are not in it.
CREATE INDEX IF NOT EXISTS runs_newest_first ON runs (started_at, id) WHERE NOT draft;

-- The figures stand before the JSON, so that reading them does not read conversations.
CREATE TABLE IF NOT EXISTS rows (
    run_id      TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    idx         INTEGER NOT NULL,
    state       TEXT NOT NULL CHECK (
        state IN ('pending', 'dialing', 'placed', 'ended', 'settled', 'refused', 'uncertain', 'skipped')
    ),
    since       TEXT NOT NULL,                    -- when it came into this state
    number      TEXT,                             -- E.164; null only where the row has no usable one
    attempt_id  INTEGER,                          -- the latest attempt, void or not
    status      TEXT,                             -- once the result is final
    duration    REAL,                             -- seconds, where both ends of the call are known
    cost        REAL,
    expected    REAL NOT NULL DEFAULT 0,          -- seconds on the line; the most is dialled first; 0: nobody knows
    reason_code TEXT,
    reason      TEXT,                             -- JSON: why it is skipped
    request     TEXT NOT NULL,                    -- JSON: provider, service request and warning
    result      TEXT,                             -- JSON: what is known of the call, final once there is a status
    PRIMARY KEY (run_id, idx),
    CHECK (state = 'skipped' OR number IS NOT NULL),
    CHECK ((state = 'skipped') = (reason IS NOT NULL))
);

-- The next pending row, the rows that a resume takes up and all figures of a run are found here without
-- touching the rows themselves, which are large.
CREATE INDEX IF NOT EXISTS rows_by_state
    ON rows (run_id, state, expected DESC, idx, status, reason_code, duration, cost);

-- How long calls for a service take is asked before a run begins. A row whose JSON is none for SQLite, be it for a NaN
-- in a column of the file, is not in it, and must not keep its call from being settled.
CREATE INDEX IF NOT EXISTS rows_by_service ON rows (
    CASE WHEN json_valid(request) THEN lower(trim(json_extract(request, '$.request.service_needed'))) END,
    attempt_id
) WHERE state = 'settled';

-- What was handed to a Kestra, each an execution there: kept before the request that starts it leaves, and after it.
CREATE TABLE IF NOT EXISTS handovers (
    id           INTEGER PRIMARY KEY,
    run_id       TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    label        TEXT NOT NULL UNIQUE,            -- what its execution is found by
    namespace    TEXT NOT NULL,
    flow_id      TEXT NOT NULL,
    revision     INTEGER NOT NULL,
    allowed      REAL NOT NULL,                   -- seconds, after which it is killed
    posted_at    TEXT,                            -- when its request was about to leave; null: it certainly never did
    execution_id TEXT,                            -- null: there is none, or the reply was lost
    closed_at    TEXT,                            -- when its execution was over, and all its results were here
    peak         INTEGER NOT NULL DEFAULT 0       -- its calls on the line at once, by what its children told
);

CREATE INDEX IF NOT EXISTS handovers_of_run ON handovers (run_id);

CREATE TABLE IF NOT EXISTS attempts (
    id          INTEGER PRIMARY KEY,
    run_id      TEXT NOT NULL,
    idx         INTEGER NOT NULL,
    ordinal     INTEGER NOT NULL,
    key         TEXT NOT NULL,                    -- what the call is found by at the backend
    number      TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (
        state IN ('dialing', 'placed', 'ended', 'settled', 'refused', 'uncertain', 'void')
    ),
    adopted     INTEGER NOT NULL DEFAULT 0,       -- was uncertain, then found at the backend
    simulated   INTEGER NOT NULL,                 -- rings no phone, so it holds no number
    busy        INTEGER NOT NULL,                 -- calls that its run had on the line when it was dialled, itself too
    dialed_at   TEXT NOT NULL,                    -- when the intent was committed, in the backend's clock
    since       TEXT NOT NULL,                    -- when it last changed
    call_id     TEXT,
    created_at  TEXT,                             -- in the backend's clock
    last_status TEXT CHECK (last_status IN ('ringing', 'in_progress')),
    withdrawing INTEGER NOT NULL DEFAULT 0,       -- was to be taken back while it waited for a line, and may have been
    handover_id INTEGER REFERENCES handovers (id),  -- with which it was handed over; such a one counts no busy lines
    waiting     INTEGER NOT NULL DEFAULT 0,       -- was handed over, and nobody has said that it is being dialled
    line_from   TEXT,                             -- from when until when it had its line, where others have told
    line_until  TEXT,
    reason      TEXT,                             -- JSON: why it is void
    body        BLOB,                             -- the backend's own record, without keys to the call
    UNIQUE (run_id, idx, ordinal),
    FOREIGN KEY (run_id, idx) REFERENCES rows (run_id, idx) ON DELETE CASCADE
);

-- Nobody is rung by two runs at once: the file itself forbids it. An uncertain call that was found at the backend is
-- there whatever we say, and another run may have called the number since, so it must be possible to follow it.
CREATE UNIQUE INDEX IF NOT EXISTS one_live_call_per_number
    ON attempts (number) WHERE state IN ('dialing', 'placed') AND NOT adopted AND NOT simulated;

-- How many calls a run has on the line is counted at every claim.
CREATE INDEX IF NOT EXISTS attempts_on_the_line ON attempts (run_id) WHERE state IN ('dialing', 'placed');

-- A run's peak is read with all its figures; an attempt that rang nobody was never on the line, so it does not count.
CREATE INDEX IF NOT EXISTS attempts_by_busy ON attempts (run_id, busy) WHERE state NOT IN ('void', 'refused');

-- What became of all that was handed over together.
CREATE INDEX IF NOT EXISTS attempts_handed_over ON attempts (handover_id) WHERE handover_id IS NOT NULL;

-- The guards ask by number, for each row that is planned and again for each that is claimed.
CREATE INDEX IF NOT EXISTS attempts_by_number ON attempts (number, dialed_at);

-- A row in doubt that is dialled again has another attempt. If that one rings nobody, the row is in doubt as before.
CREATE TABLE IF NOT EXISTS doubts (
    attempt_id INTEGER PRIMARY KEY REFERENCES attempts (id) ON DELETE CASCADE,  -- the one that may have rung
    result     TEXT                               -- JSON: what its row said of it
);

-- Written by the triggers below and by nothing else. Its numbers are never used twice: a listener that comes back asks
-- for what followed the last one it has seen.
CREATE TABLE IF NOT EXISTS history (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    idx    INTEGER,
    kind   TEXT NOT NULL,
    at     TEXT NOT NULL
);

-- A run's events are read in pages from a file of many runs, and the latest one's time is asked for with the figures.
CREATE INDEX IF NOT EXISTS history_of_run ON history (run_id, seq, at);

-- What happened to one row: how long its call had its line, and how far a call has come that is on the line now.
CREATE INDEX IF NOT EXISTS history_of_row ON history (run_id, idx);

-- By which request of another program a run was begun, so that the same request begins no other, also after a crash.
CREATE TABLE IF NOT EXISTS requests (
    key    TEXT PRIMARY KEY,
    body   TEXT NOT NULL,                         -- a hash of what was asked
    run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE
);

-- A draft that is given up takes its request with it.
CREATE INDEX IF NOT EXISTS requests_of_run ON requests (run_id);

CREATE TABLE IF NOT EXISTS do_not_call (
    number TEXT PRIMARY KEY,                      -- E.164
    since  TEXT NOT NULL,
    note   TEXT NOT NULL                          -- JSON: who said so, and where
);

-- Written at each opening, so that a folder that cannot be written is known before anybody is dialled.
CREATE TABLE IF NOT EXISTS opened (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    at TEXT NOT NULL
);

CREATE TRIGGER IF NOT EXISTS tell_run_started AFTER UPDATE OF draft ON runs WHEN OLD.draft AND NOT NEW.draft
BEGIN
    INSERT INTO history (run_id, kind, at) VALUES (NEW.id, 'run.started', NEW.started_at);
    INSERT INTO history (run_id, idx, kind, at)
        SELECT run_id, idx, 'call.skipped', NEW.started_at
        FROM rows WHERE run_id = NEW.id AND state = 'skipped' ORDER BY idx;
END;

CREATE TRIGGER IF NOT EXISTS tell_run_ended AFTER UPDATE OF ended_at ON runs WHEN NEW.ended_at IS NOT NULL
BEGIN
    INSERT INTO history (run_id, kind, at) VALUES (NEW.id, 'run.ended', NEW.ended_at);
END;

-- A row that was handed over is told as dialling only once it is; until then it comes and goes as one that waits.
CREATE TRIGGER IF NOT EXISTS tell_call AFTER UPDATE OF state ON rows
WHEN NEW.state NOT IN ('dialing', 'pending')
    OR NOT EXISTS (SELECT 1 FROM attempts WHERE id = NEW.attempt_id AND waiting)
BEGIN
    INSERT INTO history (run_id, idx, kind, at) VALUES (
        NEW.run_id,
        NEW.idx,
        CASE NEW.state
            WHEN 'refused' THEN 'call.settled'
            WHEN 'uncertain' THEN 'call.settled'
            ELSE 'call.' || NEW.state
        END,
        NEW.since
    );
END;

CREATE TRIGGER IF NOT EXISTS tell_dialing AFTER UPDATE OF waiting ON attempts WHEN OLD.waiting AND NOT NEW.waiting
BEGIN
    INSERT INTO history (run_id, idx, kind, at) VALUES (NEW.run_id, NEW.idx, 'call.dialing', NEW.since);
END;

CREATE TRIGGER IF NOT EXISTS tell_progress AFTER UPDATE OF last_status ON attempts
WHEN NEW.last_status IS NOT OLD.last_status
BEGIN
    INSERT INTO history (run_id, idx, kind, at) VALUES (NEW.run_id, NEW.idx, 'call.' || NEW.last_status, NEW.since);
END;

-- A run in which something moves is being worked on again, whoever forgot to say so, unless it is only looked at.
CREATE TRIGGER IF NOT EXISTS wake_run AFTER UPDATE OF state ON rows
BEGIN
    UPDATE runs SET finished = 0, ended_at = NULL, stopped = NULL, sitting_since = NEW.since
    WHERE id = NEW.run_id AND ended_at IS NOT NULL AND json_extract(about, '$.looked_at') IS NULL;
END;
