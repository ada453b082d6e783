-- Every rule of the arguments, broken: the call raises at the caller's line,
-- names the field, the value and the rule, and applies nothing.

local misuse = require "misuse"
local store_file = require "store_file"
local job_tracker = require "job_tracker"
local JobTracker = job_tracker.JobTracker

local NAN = 0 / 0

local task_id, before

before_each(function()
  JobTracker.clear_jobs()
  task_id = JobTracker.create_job("textbook")
  local fields = { status = "running", progress = 0.5, meta = { 1 }, result = "r", error = "e" }
  assert(JobTracker.update_job(task_id, fields))
  before = { job = JobTracker.get_job(task_id), stats = JobTracker.stats() }
end)

after_each(function()
  JobTracker.clear_jobs()
  store_file.clean()
end)

local function expect_nothing_applied()
  assert.same(before.job:to_dict(), JobTracker.get_job(task_id):to_dict())
  assert.same(before.stats, JobTracker.stats())
end

---Expects an update with these fields to be refused, though other fields of
---the same call are good.
local function refuses_update(bad, ...)
  local fields = { status = "failed", progress = 0.75, current_step = "new step",
    result = "new", error = "new", meta = "new" }
  for name, value in pairs(bad) do fields[name] = value end
  misuse(function() JobTracker.update_job(task_id, fields) end, ...)
  expect_nothing_applied()
end

describe("update_job refuses", function()
  it("an unknown field, and says which there are", function()
    refuses_update({ progres = 0.1 }, "update_job: ", '"progres"', "status", "progress",
      "current_step", "result", "error", "meta")
  end)

  it("fields that a job has but that nobody sets", function()
    for _, name in ipairs({ "task_id", "task_type", "created_at", "updated_at",
      "started_at", "finished_at", "version", "cancel_requested" }) do
      refuses_update({ [name] = 1 }, "update_job: ", name)
    end
  end)

  it("keys that are not even names", function()
    refuses_update({ [1] = "running" }, "update_job: ", "1")
    refuses_update({ [true] = "running" }, "update_job: ")
    refuses_update({ [{}] = "running" }, "update_job: ")
    refuses_update({ ["status\0"] = "running" }, "update_job: ")
    refuses_update({ [""] = "running" }, "update_job: ")
  end)

  it("no fields, or fields that are not a table", function()
    misuse(function() JobTracker.update_job(task_id) end, "update_job", "table")
    misuse(function() JobTracker.update_job(task_id, nil) end, "update_job", "table")
    misuse(function() JobTracker.update_job(task_id, "running") end, "update_job", "table")
    misuse(function() JobTracker.update_job(task_id, 0.5) end, "update_job", "table")
    expect_nothing_applied()
  end)

  it("misuse also where the job is unknown", function()
    misuse(function() JobTracker.update_job("a_unknown!", { progress = 2 }) end, "progress")
  end)

  it("a bad value at the caller's line after a colon too", function()
    misuse(function() JobTracker:update_job(task_id, { progress = 2 }) end, "progress", "2")
    expect_nothing_applied()
  end)
end)

describe("a task_id that is a JobStatus", function()
  it("is refused by every call, which says what to pass instead", function()
    for _, name in ipairs({ "get_job", "get_json", "update_job", "claim_job", "cancel_job",
      "delete_job", "wait_job" }) do
      misuse(function() JobTracker[name](before.job, {}) end,
        name .. ": task_id must be a string, such as job.task_id, got JobStatus")
    end
    expect_nothing_applied()
  end)

  it("is what a value of another class is not", function()
    local other = setmetatable({}, { __name = "Other\n" .. ("x"):rep(100) })
    local said = misuse(function() JobTracker.get_job(other) end, "a string, got Other")
    assert.is_nil(said:find("%c"))
    assert.is_true(#said < 150)
    misuse(function() JobTracker.get_job(setmetatable({}, { __name = 5 })) end, "got table")
    misuse(function() JobTracker.get_job(JobTracker.open) end, "got function")
  end)
end)

describe("claim_job and cancel_job refuse", function()
  it("a task_id that is none", function()
    misuse(function() JobTracker.claim_job() end, "claim_job: task_id", "nothing")
    misuse(function() JobTracker.claim_job(7) end, "claim_job: task_id", "7")
    misuse(function() JobTracker.cancel_job(nil, "r") end, "cancel_job: task_id", "nil")
    expect_nothing_applied()
  end)

  it("a reason that is no text, or a long one", function()
    for _, reason in ipairs({ 1, true, {}, job_tracker.null }) do
      misuse(function() JobTracker.cancel_job(task_id, reason) end,
        "cancel_job: reason must be a string, got ")
    end
    misuse(function() JobTracker.cancel_job(task_id, ("r"):rep(4097)) end,
      "cancel_job: reason must be at most 4096 bytes, got 4097")
    expect_nothing_applied()
  end)
end)

describe("list_jobs and list_changes refuse", function()
  it("a before that is no second result of list_jobs", function()
    for _, before_what in ipairs({ 0, -1, 1.5, NAN, math.huge, "7", true }) do
      misuse(function() JobTracker.list_jobs({ before = before_what }) end,
        "list_jobs: before must be an integer, the second result of list_jobs, got ")
    end
  end)

  it("an after that is no version", function()
    for _, after in ipairs({ -1, 1.5, NAN, math.huge, "7", true }) do
      misuse(function() JobTracker.list_changes(after) end,
        "list_changes: after must be a store's version, an integer, got ")
    end
    misuse(function() JobTracker.list_changes() end, "list_changes: after", "got nothing")
    misuse(function() JobTracker.list_changes({ limit = 5 }) end, "list_changes: after", "table")
  end)

  it("options that list_changes has not", function()
    misuse(function() JobTracker.list_changes(0, { status = "failed" }) end,
      'list_changes: unknown option "status"; the options are limit')
    misuse(function() JobTracker.list_changes(0, { limit = 0 }) end, "list_changes: limit", "0")
    misuse(function() JobTracker.list_changes(0, 5) end, "list_changes: the options", "5")
  end)
end)

describe("status must be one of the four names", function()
  it("and no other text", function()
    for _, status in ipairs({ "", "done", "Running", "running ", "complete", "running\0" }) do
      refuses_update({ status = status }, "update_job: status", "pending", "running",
        "completed", "failed")
    end
    refuses_update({ status = "done" }, "done")
  end)

  it("and of no other type", function()
    refuses_update({ status = 1 }, "update_job: status", "1")
    refuses_update({ status = true }, "update_job: status", { "boolean", "true" })
    refuses_update({ status = {} }, "update_job: status", "table")
    refuses_update({ status = print }, "update_job: status", "function")
    refuses_update({ status = job_tracker.null }, "update_job: status")
  end)
end)

describe("progress must be a number from 0 to 1", function()
  local RULE = "update_job: progress must be a number from 0 to 1"

  it("and none outside", function()
    refuses_update({ progress = 1.5 }, RULE, "1.5")
    refuses_update({ progress = -0.25 }, RULE, "-0.25")
    refuses_update({ progress = 2 }, RULE, "2")
    refuses_update({ progress = -1 }, RULE, "-1")
    refuses_update({ progress = 100 }, RULE, "100")
    refuses_update({ progress = 1e308 }, RULE, "1e+308")
  end)

  it("and neither NaN nor infinite", function()
    refuses_update({ progress = NAN }, RULE, "nan")
    refuses_update({ progress = math.huge }, RULE, "inf")
    refuses_update({ progress = -math.huge }, RULE, "-inf")
  end)

  it("and of no other type", function()
    refuses_update({ progress = "0.5" }, RULE, "0.5")
    refuses_update({ progress = false }, RULE, { "boolean", "false" })
    refuses_update({ progress = {} }, RULE, "table")
    refuses_update({ progress = job_tracker.null }, RULE)
  end)

  it("but an overshoot from summing floats is taken as 0 or 1", function()
    for given, taken in pairs({ [1 + 5e-10] = 1, [-5e-10] = 0, [1 + 2 ^ -52] = 1,
      [-2 ^ -1074] = 0 }) do
      assert.is_true(JobTracker.update_job(task_id, { progress = given }))
      assert.equal(taken, JobTracker.get_job(task_id).progress)
    end
    local sum = 0
    for _ = 1, 1000 do sum = sum + 0.001 end
    assert.is_true(sum > 1)
    assert.is_true(JobTracker.update_job(task_id, { progress = sum }))
    assert.equal(1, JobTracker.get_job(task_id).progress)
  end)

  it("and an overshoot of more than 1e-9 is none", function()
    refuses_update({ progress = 1 + 2e-9 }, RULE)
    refuses_update({ progress = -2e-9 }, RULE)
  end)

  it("and comes back as it went in", function()
    for _, progress in ipairs({ 0, 1, 0.1, 1 / 3, 2 ^ -1074, 1 - 2 ^ -53 }) do
      assert.is_true(JobTracker.update_job(task_id, { progress = progress }))
      assert.equal(progress, JobTracker.get_job(task_id).progress)
    end
  end)
end)

describe("current_step must be a text of at most 4096 bytes", function()
  it("and no longer", function()
    refuses_update({ current_step = ("x"):rep(4097) }, "update_job: current_step", "4096", "4097")
    refuses_update({ current_step = ("x"):rep(1000000) }, "update_job: current_step", "4096")
  end)

  it("and of no other type", function()
    refuses_update({ current_step = 3 }, "update_job: current_step", "string", "3")
    refuses_update({ current_step = false }, "update_job: current_step", { "boolean", "false" })
    refuses_update({ current_step = {} }, "update_job: current_step", "table")
    refuses_update({ current_step = job_tracker.null }, "update_job: current_step")
  end)

  it("and its message does not quote a long text in full", function()
    local long = ("x"):rep(1000000)
    local ok, message = pcall(function() JobTracker.update_job(task_id, { status = long }) end)
    assert.is_false(ok)
    assert.is_true(#message < 1000)
  end)
end)

describe("error must be a text or null", function()
  it("and of no other type", function()
    refuses_update({ error = 3 }, "update_job: error", "string", "3")
    refuses_update({ error = true }, "update_job: error", { "boolean", "true" })
    refuses_update({ error = { "e" } }, "update_job: error", "table")
    refuses_update({ error = print }, "update_job: error", "function")
  end)
end)

describe("result and meta must be JSON values", function()
  it("and a bad one applies nothing of the call", function()
    refuses_update({ result = print }, "update_job: result", "function")
    refuses_update({ meta = { list = { 1, 2, NAN } } }, "meta.list[3]", "nan")
    refuses_update({ meta = "bad \255" }, "meta: invalid UTF-8 at byte 5")
  end)
end)

describe("create_job refuses", function()
  local RULE = "create_job: task_type"

  it("a task type that is empty or longer than 64 characters", function()
    misuse(function() JobTracker.create_job("") end, RULE, "64", '""')
    misuse(function() JobTracker.create_job(("a"):rep(65)) end, RULE, "64")
    misuse(function() JobTracker.create_job(("a"):rep(1000000)) end, RULE, "64")
  end)

  it("every character that a URL would not leave as it is", function()
    for byte = 0, 255 do
      local character = string.char(byte)
      if not character:find("^[A-Za-z0-9._~-]$") then
        misuse(function() JobTracker.create_job("a" .. character .. "b") end, RULE)
      end
    end
    misuse(function() JobTracker.create_job("a b") end, RULE, "a b", "A-Z a-z 0-9 . _ ~ -")
    misuse(function() JobTracker.create_job("a/b") end, RULE, "a/b")
    misuse(function() JobTracker.create_job("\252ber") end, RULE)
    expect_nothing_applied()
  end)

  it("a task type that is no text", function()
    misuse(function() JobTracker.create_job() end, RULE)
    misuse(function() JobTracker.create_job(nil) end, RULE)
    misuse(function() JobTracker.create_job(12) end, RULE, "12")
    misuse(function() JobTracker.create_job({}) end, RULE, "table")
    misuse(function() JobTracker.create_job(true) end, RULE, { "boolean", "true" })
    misuse(function() JobTracker:create_job() end, RULE)
    expect_nothing_applied()
  end)
end)

describe("a task_id that is no text is refused by", function()
  for _, call in ipairs({ "get_job", "delete_job", "get_json", "wait_job", "update_job" }) do
    it(call, function()
      for _, bad in ipairs({ {}, print }) do
        misuse(function() JobTracker[call](bad, {}) end, call .. ": task_id", type(bad))
      end
      misuse(function() JobTracker[call](nil, {}) end, call .. ": task_id")
      expect_nothing_applied()
    end)
  end
end)

describe("list_jobs refuses", function()
  it("an unknown filter, and says which there are", function()
    misuse(function() JobTracker.list_jobs({ state = "running" }) end, "list_jobs: ",
      "state", "status", "task_type", "limit")
  end)

  it("a status that is none", function()
    misuse(function() JobTracker.list_jobs({ status = "done" }) end, "list_jobs: status",
      "done", "pending", "running", "completed", "failed")
    misuse(function() JobTracker.list_jobs({ status = 1 }) end, "list_jobs: status", "1")
  end)

  it("a task type that is none", function()
    misuse(function() JobTracker.list_jobs({ task_type = 7 }) end, "list_jobs: task_type", "7")
    misuse(function() JobTracker.list_jobs({ task_type = {} }) end, "list_jobs: task_type")
  end)

  it("a limit that is no whole number", function()
    for _, limit in ipairs({ -1, 1.5, NAN }) do
      misuse(function() JobTracker.list_jobs({ limit = limit }) end, "list_jobs: limit")
    end
    misuse(function() JobTracker.list_jobs({ limit = "3" }) end, "list_jobs: limit", "3")
    misuse(function() JobTracker.list_jobs({ limit = {} }) end, "list_jobs: limit", "table")
  end)

  it("what is not a table", function()
    misuse(function() JobTracker.list_jobs("running") end, "list_jobs")
    misuse(function() JobTracker.list_jobs(5) end, "list_jobs")
  end)
end)

describe("wait_job refuses", function()
  it("an unknown option, and says which there are", function()
    misuse(function() JobTracker.wait_job(task_id, { time = 1 }) end, "wait_job: ", "time",
      "timeout", "after")
  end)

  it("a timeout that is no number of seconds", function()
    misuse(function() JobTracker.wait_job(task_id, { timeout = -1 }) end, "wait_job: timeout", "-1")
    misuse(function() JobTracker.wait_job(task_id, { timeout = NAN }) end, "wait_job: timeout")
    misuse(function() JobTracker.wait_job(task_id, { timeout = "1" }) end, "wait_job: timeout")
    misuse(function() JobTracker.wait_job(task_id, { timeout = {} }) end, "wait_job: timeout")
  end)

  it("a version that is no whole number", function()
    for _, after in ipairs({ 1.5, NAN }) do
      misuse(function() JobTracker.wait_job(task_id, { timeout = 0, after = after }) end,
        "wait_job: after")
    end
    misuse(function() JobTracker.wait_job(task_id, { timeout = 0, after = "7" }) end,
      "wait_job: after")
  end)

  it("options that are no table", function()
    misuse(function() JobTracker.wait_job(task_id, 5) end, "wait_job")
    misuse(function() JobTracker.wait_job(task_id, "5") end, "wait_job")
  end)
end)

describe("open refuses", function()
  local function refuses_option(option, value, ...)
    local path = store_file.path()
    misuse(function() JobTracker.open(path, { [option] = value }) end, ...)
    assert.is_false(store_file.exists(path))
  end

  it("a path that is no text", function()
    misuse(function() JobTracker.open() end, "open: path")
    misuse(function() JobTracker.open({}) end, "open: path", "table")
    misuse(function() JobTracker.open("a\0b") end, "open: path")
    misuse(function() JobTracker.open("") end, "open: path")
  end)

  it("options that are no table", function()
    local path = store_file.path()
    misuse(function() JobTracker.open(path, "64M") end, "open")
    assert.is_false(store_file.exists(path))
  end)

  it("an unknown option, and says which there are", function()
    refuses_option("sise", "64M", "open: ", "sise", "size", "max_jobs", "mode", "readonly",
      "retention")
  end)

  it("a size that is none", function()
    for _, size in ipairs({ "", "M", "64X", "64MB!", "-64M", "6 4M", "1e6", "64M ", "64\0M",
      "99999999999999999999" }) do
      refuses_option("size", size, "open: size")
    end
    for _, size in ipairs({ -1, 1.5, NAN, math.huge, true }) do
      refuses_option("size", size, "open: size")
    end
    refuses_option("size", {}, "open: size", "table")
  end)

  it("a size of another unit, or with a fraction, and says which there are", function()
    for _, size in ipairs({ "64MB", "15.9G" }) do
      refuses_option("size", size, "open: size must be a whole number of bytes, or a string of "
        .. 'one and K, M, G, KiB, MiB or GiB such as "64M", got "' .. size .. '"')
    end
  end)

  it("a size or a max_jobs that no store has", function()
    refuses_option("size", "20G", "open: size must be less than 16 GiB, got 21474836480 bytes")
    refuses_option("size", "16G", "open: size must be less than 16 GiB, got 17179869184 bytes")
    refuses_option("size", 1, "open: size must be at least ", " bytes for max_jobs 1, got 1")
    refuses_option("max_jobs", 2 ^ 27 + 1,
      "open: max_jobs must be from 1 to 134217728, got 134217729")
    local options = { size = "1M", max_jobs = 1000000 }
    misuse(function() JobTracker.open(store_file.path(), options) end,
      "open: size must be at least ", " bytes for max_jobs 1000000, got 1048576")
  end)

  it("a max_jobs that is no whole number above 0", function()
    for _, max_jobs in ipairs({ 0, -1, 1.5, NAN, math.huge, "10", true }) do
      refuses_option("max_jobs", max_jobs, "open: max_jobs")
    end
  end)

  it("a mode that is no octal text", function()
    for _, mode in ipairs({ "", "0800", "rw", "0o600", "-600", "07777777", true }) do
      refuses_option("mode", mode, "open: mode")
    end
  end)

  it("a readonly that is neither true nor false", function()
    refuses_option("readonly", "yes", "open: readonly", "yes")
    refuses_option("readonly", 1, "open: readonly", "1")
  end)

  it("a retention that is no number of seconds", function()
    for _, retention in ipairs({ -1, NAN, "60", true }) do
      refuses_option("retention", retention, "open: retention")
    end
  end)
end)

describe("configure refuses", function()
  it("an unknown option, and says which there are", function()
    misuse(function() JobTracker.configure({ mode = "0600" }) end, "configure: ", '"mode"',
      "retention", "size", "max_jobs")
  end)

  it("no table of options", function()
    misuse(function() JobTracker.configure(5) end, "configure")
  end)

  it("values that are none", function()
    misuse(function() JobTracker.configure({ size = "64X" }) end, "configure: size", "64X")
    misuse(function() JobTracker.configure({ max_jobs = 0 }) end, "configure: max_jobs", "0")
    misuse(function() JobTracker.configure({ retention = -1 }) end, "configure: retention", "-1")
    misuse(function() JobTracker.configure({ size = "20G" }) end, "configure: size", "16 GiB")
    expect_nothing_applied()
  end)
end)

describe("close refuses", function()
  it("the in-memory store", function()
    misuse(function() JobTracker.close() end, "the in-memory store cannot be closed")
    assert.equal(task_id, JobTracker.get_job(task_id).task_id)
  end)
end)
