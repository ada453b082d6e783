-- metrics: GET metrics, what is in the store, for Prometheus (its text format 0.0.4). No
-- label names a job, and of types there are as many as summary() tells apart.
--
-- How long jobs took is told of those that are in the store. When one goes, the numbers
-- fall; so they are no histogram, which only grows, but gauges, with the names that
-- OpenMetrics gives to a "gauge histogram": _bucket, _gcount, _gsum. Quantiles are had from
-- them as they are, rates are not.
--
-- To make the text each job is looked at, and the worker does nothing else meanwhile. So a
-- worker keeps it: for a second, or if there are very many jobs, for so long that the
-- looking takes a twentieth of its time at most, however often it is asked.

local problem = require "resty.job_tracker.problem"
local source = require "resty.job_tracker.source"

local metrics = {}

local TYPE = "text/plain; version=0.0.4; charset=utf-8"
local LEAST, SHARE = 1, 20 -- seconds; times what it took
local STATUSES = { "pending", "running", "completed", "failed" }

local kept, kept_since, kept_until -- the text, and when it may be sent
local kept_of                      -- which store it is of

-- --------------------------------------------------------------------- the text

local ESCAPES = { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n" }

local function quoted(value) return '"' .. value:gsub('[\\"\n]', ESCAPES) .. '"' end

local function family(lines, name, kind, help)
  lines[#lines + 1] = ("# HELP job_tracker_%s %s\n# TYPE job_tracker_%s %s"):format(name, help,
    name, kind)
end

local function sample(lines, name, labels, form, value)
  lines[#lines + 1] = ("job_tracker_%s%s " .. form):format(name, labels, value)
end

-- One sample for each type, where 'value_of' has one.
local function of_types(lines, types, name, form, value_of)
  for _, one in ipairs(types) do
    local value = value_of(one)
    if value then
      sample(lines, name, ("{task_type=%s}"):format(quoted(one.task_type)), form, value)
    end
  end
end

local function add_jobs(lines, types)
  family(lines, "jobs", "gauge", "Jobs in the store.")
  for _, one in ipairs(types) do
    for _, status in ipairs(STATUSES) do
      sample(lines, "jobs", ('{task_type=%s,status="%s"}'):format(quoted(one.task_type), status),
        "%d", one[status])
    end
  end
end

local function finished(one) return one.completed + one.failed end

local function add_buckets(lines, one, bounds)
  local labels = ("{task_type=%s,le="):format(quoted(one.task_type)) .. '"%s"}'
  for index, bound in ipairs(bounds) do
    sample(lines, "job_duration_seconds_bucket", labels:format(("%g"):format(bound)), "%d",
      one.within[index])
  end
  sample(lines, "job_duration_seconds_bucket", labels:format("+Inf"), "%d", finished(one))
end

local function add_durations(lines, types, bounds)
  family(lines, "job_duration_seconds_bucket", "gauge",
    "Finished jobs in the store that took at most le seconds.")
  for _, one in ipairs(types) do add_buckets(lines, one, bounds) end
  family(lines, "job_duration_seconds_gcount", "gauge", "Finished jobs in the store.")
  of_types(lines, types, "job_duration_seconds_gcount", "%d", finished)
  family(lines, "job_duration_seconds_gsum", "gauge",
    "Seconds that the finished jobs in the store took together.")
  of_types(lines, types, "job_duration_seconds_gsum", "%.6f",
    function(one) return one.duration end)
end

local function add_successes(lines, types)
  family(lines, "last_success_timestamp_seconds", "gauge",
    "When the last of the jobs in the store was completed, in seconds since 1970.")
  of_types(lines, types, "last_success_timestamp_seconds", "%.6f",
    function(one) return one.last_success end)
end

-- What stats() says of the store: its name there, ours.
local OF_THE_STORE = {
  { "jobs_available", "available_jobs", "gauge", "Jobs that there is still room for." },
  { "bytes_used", "used_bytes", "gauge", "Bytes that the jobs take." },
  { "bytes_available", "available_bytes", "gauge", "Bytes that are free." },
  { "evictions", "evictions_total", "counter", "Finished jobs removed to make room." },
  { "recoveries", "recoveries_total", "counter", "Writers that died while writing." },
  { "damaged", "damaged_jobs_total", "counter", "Jobs dropped because their bytes were damaged." },
}

local function add_store(lines, stats)
  for _, row in ipairs(OF_THE_STORE) do
    family(lines, row[2], row[3], row[4])
    sample(lines, row[2], "", "%d", stats[row[1]])
  end
end

---The text for what summary() and stats() say.
---@param types job_tracker.TypeSummary[]
---@param bounds number[]
---@param stats job_tracker.Stats
---@return string
function metrics.text(types, bounds, stats)
  local lines = {}
  add_jobs(lines, types)
  add_durations(lines, types, bounds)
  add_successes(lines, types)
  add_store(lines, stats)
  lines[#lines + 1] = ""
  return table.concat(lines, "\n")
end

-- ------------------------------------------------------------------- the answer

local function now()
  ngx.update_time()
  return ngx.now()
end

-- A clock that was set back makes it old, too.
local function is_fresh()
  local at = ngx.now()
  return kept and kept_of == source.generation() and at >= kept_since and at < kept_until
end

local function renew(tracker)
  local begun = now()
  local types, bounds, code = tracker.summary()
  if not types then
    source.doubt(code)
    return false, bounds, code
  end
  kept, kept_of = metrics.text(types, bounds, tracker.stats()), source.generation()
  kept_since = now()
  kept_until = kept_since + math.max(LEAST, SHARE * (kept_since - begun))
  return true
end

---GET metrics
function metrics.get()
  local tracker, trouble, state = source.tracker()
  if not tracker then return problem.refused(trouble --[[@as string]], state) end
  if not is_fresh() then
    local done, message, code = renew(tracker)
    if not done then return problem.refused(message, code) end
  end
  problem.send(TYPE, kept)
end

return metrics
