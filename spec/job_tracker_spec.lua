-- The module as a whole, and the first promises of the README one by one.

local fresh = require "fresh"
local store_file = require "store_file"
local job_tracker = require "job_tracker"
local JobTracker = job_tracker.JobTracker

local function clear_jobs() JobTracker.clear_jobs() end

before_each(clear_jobs)
after_each(clear_jobs)
after_each(fresh.end_all)
after_each(store_file.clean)

describe("create_job", function()
  it("returns task_id", function()
    local task_id = JobTracker.create_job("textbook")
    assert.is_string(task_id)
    assert.matches("^textbook_" .. ("[0-9a-f]"):rep(8) .. "$", task_id)
  end)

  it("initializes status", function()
    local job = JobTracker.get_job(JobTracker.create_job("textbook"))
    assert.equal("pending", job.status)
    assert.equal(0.0, job.progress)
    assert.equal("Initializing", job.current_step)
    assert.equal("textbook", job.task_type)
    for _, field in ipairs({ "result", "error", "meta", "cancel_requested", "started_at",
      "finished_at" }) do
      assert.is_nil(job[field], field .. " of a new job")
    end
  end)
end)

describe("get_job", function()
  it("returns job", function()
    local task_id = JobTracker.create_job("textbook")
    local job = JobTracker.get_job(task_id)
    assert.equal("userdata", type(job))
    assert.equal(task_id, job.task_id)
  end)

  it("returns nil for unknown", function()
    local kept = JobTracker.create_job("textbook")
    assert.is_nil((JobTracker.get_job("textbook_unknown")))
    assert.is_nil((JobTracker.get_job("")))
    assert.is_nil((JobTracker.get_job(kept .. "0")))
    assert.is_nil((JobTracker.get_job(kept:sub(1, -2))))
    assert.is_nil((JobTracker.get_job(kept .. "\0")))
    assert.is_nil((JobTracker.get_job(("x"):rep(100000))))
    assert.is_not_nil(JobTracker.get_job(kept))
  end)
end)

describe("update_job", function()
  local task_id

  before_each(function() task_id = JobTracker.create_job("textbook") end)

  it("changes status", function()
    assert.is_true(JobTracker.update_job(task_id, { status = "running" }))
    assert.equal("running", JobTracker.get_job(task_id).status)
  end)

  it("changes progress", function()
    assert.is_true(JobTracker.update_job(task_id, { progress = 0.37 }))
    assert.equal(0.37, JobTracker.get_job(task_id).progress)
  end)

  it("sets result", function()
    local result = { path = "chapter.md", sections = { "One", "Two" }, words = 4711 }
    assert.is_true(JobTracker.update_job(task_id, { result = result }))
    assert.same(result, JobTracker.get_job(task_id).result)
  end)

  it("sets error", function()
    local fields = { status = "failed", error = "the outline is empty" }
    assert.is_true(JobTracker.update_job(task_id, fields))
    local job = JobTracker.get_job(task_id)
    assert.equal("the outline is empty", job.error)
    assert.equal("failed", job.status)
  end)

  it("updates timestamp", function()
    local before = JobTracker.get_job(task_id)
    assert.is_true(JobTracker.update_job(task_id, { progress = 0.1 }))
    local after = JobTracker.get_job(task_id)
    assert.is_true(after.updated_at > before.updated_at)
    assert.equal(before.created_at, after.created_at)
  end)
end)

it("clear_jobs", function()
  local ids = {}
  for index = 1, 5 do ids[index] = JobTracker.create_job("textbook") end
  assert.equal(5, JobTracker.clear_jobs())
  for _, id in ipairs(ids) do assert.is_nil((JobTracker.get_job(id))) end
  assert.equal(0, #JobTracker.list_jobs())
  assert.equal(0, JobTracker.clear_jobs())
end)

describe("JobStatus", function()
  it("to_dict", function()
    local task_id = JobTracker.create_job("textbook")
    local job = JobTracker.get_job(task_id)
    assert.same({
      task_id = task_id,
      task_type = "textbook",
      status = "pending",
      progress = 0,
      current_step = "Initializing",
      created_at = job.created_at,
      updated_at = job.updated_at,
      version = job.version,
    }, job:to_dict())
  end)
end)

describe("the module", function()
  it("returns JobTracker, JobStatus, null, now and _VERSION and nothing else", function()
    local names = {}
    for name in pairs(job_tracker) do names[#names + 1] = name end
    table.sort(names)
    assert.same({ "JobStatus", "JobTracker", "_VERSION", "now", "null" }, names)
    assert.equal("table", type(job_tracker.JobTracker))
    assert.equal("table", type(job_tracker.JobStatus))
    assert.matches("^%d+%.%d+%.%d+$", job_tracker._VERSION)
  end)

  it("tells the time as jobs do, and as seconds", function()
    local before = JobTracker.get_job(JobTracker.create_job("textbook")).created_at
    local time, seconds = job_tracker.now()
    local after = JobTracker.get_job(JobTracker.create_job("textbook")).created_at
    assert.is_true(before <= time and time <= after, table.concat({ before, time, after }, " "))
    assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%d%d%d%dZ$", time)
    assert.equal(os.date("!%Y-%m-%dT%H:%M:%S", math.floor(seconds)), time:sub(1, 19))
    assert.is_true(math.abs(seconds % 1 - tonumber("0" .. time:match("%.%d+"))) < 1e-6)
  end)

  it("has the same null as cjson", function()
    assert.equal("userdata", type(job_tracker.null))
    assert.equal(require("cjson").null, job_tracker.null)
  end)

  it("sets no global", function()
    local new_globals = fresh.run(function()
      local before = {}
      for name in pairs(_G) do before[name] = true end
      require("job_tracker").JobTracker.create_job("textbook")
      for name in pairs(_G) do
        if not before[name] then io.write(name, " ") end
      end
    end)
    assert.equal("", new_globals)
  end)

  it("has every function in JobTracker and in every opened tracker", function()
    local opened = assert(JobTracker.open(store_file.path(), { size = "1M" }))
    for _, name in ipairs({ "create_job", "update_job", "get_job", "delete_job",
      "clear_jobs", "list_jobs", "wait_job", "get_json", "stats", "open", "configure",
      "close", "claim_job", "cancel_job", "list_changes", "version" }) do
      assert.equal("function", type(JobTracker[name]), name)
      assert.equal("function", type(opened[name]), name)
    end
    opened.close()
  end)

  it("may be loaded again and is then the same store", function()
    local task_id = JobTracker.create_job("textbook")
    local loaded = package.loaded.job_tracker
    package.loaded.job_tracker = nil
    local again = require "job_tracker"
    package.loaded.job_tracker = loaded
    assert.equal(task_id, again.JobTracker.get_job(task_id).task_id)
    local job = JobTracker.get_job(task_id)
    assert.is_true(again.JobTracker.get_job(task_id) == job)
  end)
end)
