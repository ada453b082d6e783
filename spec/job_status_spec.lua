-- A JobStatus: its fields, its methods, and that nobody can change it.

local child = require "child"
local misuse = require "misuse"
local job_tracker = require "job_tracker"
local JobTracker, JobStatus, null =
  job_tracker.JobTracker, job_tracker.JobStatus, job_tracker.null

local TIME = "^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%d%d%d%dZ$"

local FIELDS = { "task_id", "task_type", "status", "progress", "current_step", "result",
  "error", "meta", "cancel_requested", "created_at", "updated_at", "started_at", "finished_at",
  "version" }

local function clear_jobs() JobTracker.clear_jobs() end

before_each(clear_jobs)
after_each(clear_jobs)
after_each(child.end_all)

local function full_job()
  local id = JobTracker.create_job("textbook")
  assert(JobTracker.update_job(id, { status = "running", current_step = "Glossary" }))
  assert(JobTracker.cancel_job(id, "not needed"))
  assert(JobTracker.update_job(id, {
    status = "failed",
    progress = 0.4,
    result = { partial = true },
    error = "no terms found",
    meta = { user = "ada", tries = { 1, 2 } },
  }))
  return JobTracker.get_job(id)
end

local function new_job() return JobTracker.get_job(JobTracker.create_job("textbook")) end

describe("a JobStatus", function()
  it("has all fourteen fields", function()
    local job = full_job()
    for _, field in ipairs(FIELDS) do assert.is_not_nil(job[field], field) end
    for _, field in ipairs({ "created_at", "updated_at", "started_at", "finished_at" }) do
      assert.matches(TIME, job[field])
    end
    assert.is_true(job.created_at <= job.started_at)
    assert.is_true(job.started_at <= job.finished_at)
    assert.is_true(job.finished_at <= job.updated_at)
  end)

  it("has an integer as version and a float as progress", function()
    local job = new_job()
    assert.equal(job.version, math.floor(job.version))
    assert.is_true(job.version > 0)
    if math.type then
      assert.equal("integer", math.type(job.version))
      assert.equal("float", math.type(job.progress))
      assert(JobTracker.update_job(job.task_id, { progress = 1 }))
      assert.equal("float", math.type(JobTracker.get_job(job.task_id).progress))
    end
  end)

  it("has nothing under other names", function()
    local job = full_job()
    for _, name in ipairs({ "", "Status", "progres", "status\0", "__gc", "__index", 1, true }) do
      local ok, value = pcall(function() return job[name] end)
      assert.is_true(not ok or value == nil, tostring(name))
    end
  end)

  it("is read-only", function()
    local job = full_job()
    local before = job:to_dict()
    for _, field in ipairs(FIELDS) do
      assert.is_false((pcall(function() job[field] = "x" end)), field)
    end
    assert.is_false((pcall(function() job.new_field = "x" end)))
    assert.is_false((pcall(function() job.status = nil end)))
    assert.same(before, job:to_dict())
  end)

  it("gives tables of its own each time, which may be changed", function()
    local job = full_job()
    local meta = job.meta
    meta.user = "changed"
    meta.tries[1] = "changed"
    local dict = job:to_dict()
    dict.meta.tries[2] = "changed"
    assert.same({ user = "ada", tries = { 1, 2 } }, job.meta)
    assert.same({ user = "ada", tries = { 1, 2 } }, JobTracker.get_job(job.task_id).meta)
  end)

  it("lives on without its tracker's other objects", function()
    local jobs = {}
    for index = 1, 200 do
      local id = JobTracker.create_job("textbook")
      assert(JobTracker.update_job(id, { meta = { index, ("m"):rep(index) } }))
      jobs[index] = JobTracker.get_job(id)
    end
    JobTracker.clear_jobs()
    collectgarbage()
    collectgarbage()
    for index, job in ipairs(jobs) do
      assert.same({ index, ("m"):rep(index) }, job.meta)
    end
  end)
end)

describe("to_dict", function()
  it("is a plain table of all fields", function()
    local job = full_job()
    local dict = job:to_dict()
    assert.equal("table", type(dict))
    assert.is_nil(getmetatable(dict))
    local expected = {}
    for _, field in ipairs(FIELDS) do expected[field] = job[field] end
    assert.same(expected, dict)
  end)

  it("leaves absent fields out", function()
    local names = {}
    for name in pairs(new_job():to_dict()) do names[#names + 1] = name end
    table.sort(names)
    assert.same({ "created_at", "current_step", "progress", "status", "task_id",
      "task_type", "updated_at", "version" }, names)
  end)

  it("holds the value given where a field is absent", function()
    for _, filler in ipairs({ null, false, "absent" }) do
      local job = new_job()
      local dict = job:to_dict(filler)
      for _, field in ipairs(FIELDS) do
        if job[field] == nil then
          assert.equal(filler, dict[field], field)
        else
          assert.equal(job[field], dict[field], field)
        end
      end
    end
  end)

  it("keeps false as a result apart from none", function()
    local id = JobTracker.create_job("textbook")
    assert(JobTracker.update_job(id, { result = false }))
    local dict = JobTracker.get_job(id):to_dict(null)
    assert.is_false(dict.result)
    assert.equal(null, dict.meta)
  end)

  it("works as a function of the exported table", function()
    local job = full_job()
    assert.same(job:to_dict(), JobStatus.to_dict(job))
    assert.equal(job:to_json(), JobStatus.to_json(job))
  end)
end)

describe("the table JobStatus", function()
  it("holds the names of the statuses", function()
    assert.equal("pending", JobStatus.PENDING)
    assert.equal("running", JobStatus.RUNNING)
    assert.equal("completed", JobStatus.COMPLETED)
    assert.equal("failed", JobStatus.FAILED)
    local id = JobTracker.create_job("textbook")
    assert.is_true(JobTracker.update_job(id, { status = JobStatus.RUNNING }))
    assert.equal(JobStatus.RUNNING, JobTracker.get_job(id).status)
  end)

  it("raises for a name that it does not hold", function()
    misuse(function() return JobStatus.COMPLETE, 1 end, "JobStatus", '"COMPLETE"',
      "PENDING, RUNNING, COMPLETED, FAILED, to_dict, to_json")
    misuse(function() return JobStatus.completed, 1 end, '"completed"')
    misuse(function() return JobStatus[1], 1 end, " 1;")
  end)

  it("holds no metamethods", function()
    for name in pairs(JobStatus) do
      assert.is_nil(tostring(name):match("^__"), tostring(name))
    end
  end)

  it("has methods that refuse anything but a job", function()
    for _, name in ipairs({ "to_dict", "to_json" }) do
      for _, bad in ipairs({ {}, "job", 1, null, io.stdout }) do
        assert.is_false((pcall(JobStatus[name], bad)), name)
      end
      assert.is_false((pcall(JobStatus[name])), name)
    end
  end)
end)

describe("tostring", function()
  it("reads well in a log: it names the job, its status and its step", function()
    local job = full_job()
    local text = tostring(job)
    assert.matches(job.task_id, text, 1, true)
    assert.matches("failed", text, 1, true)
    assert.is_true(#text < 500)
  end)

  it("stays on one line, whatever the texts hold", function()
    local id = JobTracker.create_job("textbook")
    local wild = "a\nb\r\27[31m\0" .. ("x"):rep(3000)
    assert(JobTracker.update_job(id, { current_step = wild }))
    assert(JobTracker.update_job(id, { status = "failed", error = wild }))
    local text = tostring(JobTracker.get_job(id))
    assert.is_nil(text:find("%c"), text)
    assert.matches(id, text, 1, true)
  end)
end)

describe("==", function()
  it("compares id and version", function()
    local id = JobTracker.create_job("textbook")
    local one, same = JobTracker.get_job(id), JobTracker.get_job(id)
    assert.is_false(rawequal(one, same))
    assert.is_true(one == same)
    assert(JobTracker.update_job(id, { progress = 0.1 }))
    local updated = JobTracker.get_job(id)
    assert.is_false(one == updated)
    assert.is_false(updated == new_job())
    assert.is_false(updated == id)
    assert.is_true(updated == JobTracker.list_jobs({ task_type = "textbook" })[2])
  end)
end)

describe("the metatable of a JobStatus", function()
  it("does no harm, whoever gets hold of it", function()
    child.run(function()
      local job = full_job()
      local meta = debug.getmetatable(job)
      for _, name in ipairs({ "__gc", "__index", "__eq", "__tostring", "__newindex" }) do
        local method = meta[name]
        if type(method) == "function" then
          pcall(method)
          pcall(method, {}, {})
          pcall(method, io.stdout, "task_id")
          pcall(method, null, "task_id")
          pcall(method, job)
          pcall(method, job, job, job)
        end
      end
      pcall(function() return job.task_id, job.meta, tostring(job), job == job end)
      assert.is_truthy(JobTracker.create_job("textbook"))
      collectgarbage()
    end)
  end)
end)
