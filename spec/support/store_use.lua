-- Uses every call of a tracker whose store may be damaged, and insists that
-- each gives a value or an error of the documented form.

local store_use = {}

local STATUS = { pending = true, running = true, completed = true, failed = true }

local CODES = { not_found = true, invalid_transition = true, full = true, busy = true,
  readonly = true, timeout = true, corrupt = true, claimed = true }

---Passes a value on; of a failure it checks the form.
local function value_or_error(call, value, message, code)
  if value ~= nil then return value end
  assert(type(message) == "string", call .. ": nil without a message")
  assert(CODES[code], call .. ": the code " .. tostring(code))
  return nil
end

local function check_job(job, id)
  assert(job.task_id == id or not id, "another job's id")
  assert(STATUS[job.status], "no status")
  assert(job.progress >= 0 and job.progress <= 1, "no progress")
  assert(#job.current_step <= 4096 and #job.task_type <= 64)
  assert(type(tostring(job)) == "string" and type(job:to_json()) == "string")
end

---Reads result, error and meta as well.
local function read_all(job) assert(job:to_dict().version == job.version) end

local function use_listed(tracker, read)
  local jobs = value_or_error("list_jobs", tracker.list_jobs())
  for _, job in ipairs(jobs or {}) do
    check_job(job)
    read(job)
  end
  for status in pairs(STATUS) do
    value_or_error("list_jobs", tracker.list_jobs({ status = status, limit = 3, before = 1000 }))
  end
  local version, dead = tracker.version()
  assert(type(version) == "number" and type(dead) == "number")
  jobs = value_or_error("list_changes", tracker.list_changes(0))
  for _, job in ipairs(jobs or {}) do check_job(job) end
  value_or_error("list_changes", tracker.list_changes(version, { limit = 2 }))
end

local function use_job(tracker, id, read)
  local job = tracker.get_job(id)
  if job then
    check_job(job, id)
    read(job)
  end
  local json, version = tracker.get_json(id)
  assert(json == nil or type(json) == "string" and type(version) == "number")
  value_or_error("wait_job", tracker.wait_job(id, { timeout = 0 }))
  value_or_error("claim_job", tracker.claim_job(id))
  value_or_error("cancel_job", tracker.cancel_job(id, "x"))
  value_or_error("update_job", tracker.update_job(id, { progress = 0.5, meta = { "new" } }))
  value_or_error("update_job", tracker.update_job(id, { status = "failed", error = "x" }))
end

local function use(tracker, ids, read)
  tracker.stats()
  use_listed(tracker, read)
  for _, id in ipairs(ids) do use_job(tracker, id, read) end
  value_or_error("create_job", tracker.create_job("new"))
  value_or_error("delete_job", tracker.delete_job(ids[1]))
  value_or_error("clear_jobs", tracker.clear_jobs())
end

---Every call, on the jobs with these ids and on whatever the store lists.
---@param tracker table
---@param ids string[]
function store_use.every_call(tracker, ids) use(tracker, ids, read_all) end

---The same on a store that was damaged after it had been opened and verified:
---a damaged result may then also raise when it is read.
---@param tracker table
---@param ids string[]
function store_use.every_call_after_damage(tracker, ids)
  use(tracker, ids, function(job) pcall(read_all, job) end)
end

---What must hold of a store that was opened for writing, damaged or not: it
---was verified, so its counts are right and every listed job can be found.
---@param tracker table
function store_use.expect_consistent(tracker)
  local stats, counts = tracker.stats(), { pending = 0, running = 0, completed = 0, failed = 0 }
  for _, job in ipairs(tracker.list_jobs()) do
    counts[job.status] = counts[job.status] + 1
    assert(tracker.get_job(job.task_id) == job, "listed, but not found: " .. job.task_id)
  end
  for status, count in pairs(counts) do
    assert(stats[status] == count, "wrong count of " .. status)
  end
end

---What must hold of it after it was used.
---@param tracker table
function store_use.expect_usable(tracker)
  assert(tracker.clear_jobs() == 0 and tracker.stats().jobs_used == 0)
  assert(tracker.stats().bytes_used == 0, "room is lost")
  local id = assert(tracker.create_job("usable"))
  assert(tracker.update_job(id, { status = "completed", meta = { "m" } }))
  assert(tracker.get_job(id).meta[1] == "m")
end

return store_use
