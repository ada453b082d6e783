-- wait_job with real processes: what wakes it, what does not, and that it
-- never sleeps on when there is nothing left to wait for.

local child = require "child"
local fresh = require "fresh"
local process = require "process"
local store_file = require "store_file"
local wait_until = require "wait_until"
local JobTracker = require("job_tracker").JobTracker

local task_id

before_each(function()
  JobTracker.clear_jobs()
  task_id = JobTracker.create_job("wait")
end)

after_each(function()
  child.end_all()
  fresh.end_all()
  JobTracker.clear_jobs()
  store_file.clean()
end)

---Starts a child that waits and checks what comes of it; returns when it
---sleeps. Waiting is for children here: a wait that never ends then fails its
---spec and nothing else.
---@param options table?
---@param check fun(job: table?, message: string?, code: string?)
---@param tracker table? JobTracker unless given
local function start_waiting(options, check, tracker)
  tracker = tracker or JobTracker
  local waiting = child.start(function() check(tracker.wait_job(task_id, options)) end)
  wait_until(function() return child.sleeps(waiting.pid) end, "a child to wait")
  return waiting
end

local function expect_still_waiting(waiting) assert.equal("timeout", (waiting:wait(0.01))) end

---Waits in a child that must not have to: it has five seconds.
local function expect_at_once(options, check)
  child.run(function() check(JobTracker.wait_job(task_id, options)) end, 5)
end

local function expect_outcome(expected_code, result, message, code)
  assert.is_nil(result)
  assert.equal("string", type(message))
  assert.equal(expected_code, code)
end

local function expect_not_found(...) expect_outcome("not_found", ...) end

local function update(fields) assert.is_true(JobTracker.update_job(task_id, fields)) end

describe("wait_job without after", function()
  for _, status in ipairs({ "completed", "failed" }) do
    it("returns the job once it is " .. status, function()
      local waiting = start_waiting(nil, function(job)
        assert.equal(task_id, job.task_id)
        assert.equal(status, job.status)
        assert.same({ 1 }, job.result)
      end)
      update({ status = status, result = { 1 } })
      waiting:finish(10)
    end)

    it("returns at once when it is " .. status .. " already", function()
      update({ status = status })
      for _, options in ipairs({ {}, { timeout = 0 }, { timeout = 60 } }) do
        expect_at_once(options, function(job) assert.equal(status, job.status) end)
      end
      expect_at_once(nil, function(job) assert.equal(status, job.status) end)
    end)
  end

  it("sleeps on while the job only makes progress", function()
    local waiting = start_waiting({}, function(job) assert.equal("completed", job.status) end)
    update({ status = "running" })
    for step = 1, 50 do
      update({ progress = step / 100 })
      process.sleep(0.002)
    end
    expect_still_waiting(waiting)
    update({ status = "completed" })
    waiting:finish(10)
  end)

  it("sleeps on while other jobs finish", function()
    local waiting = start_waiting({}, function(job) assert.equal("at last", job.error) end)
    for _ = 1, 50 do
      assert(JobTracker.update_job(JobTracker.create_job("other"), { status = "completed" }))
    end
    expect_still_waiting(waiting)
    update({ status = "failed", error = "at last" })
    waiting:finish(10)
  end)

  it("uses no processor time while it sleeps", function()
    local before = os.clock()
    expect_outcome("timeout", JobTracker.wait_job(task_id, { timeout = 1 }))
    assert.is_true(os.clock() - before < 0.1)
  end)
end)

describe("wait_job with after", function()
  local function expect_two(version)
    return function(job)
      assert.equal("two", job.current_step)
      assert.is_true(job.version > version)
    end
  end

  it("returns the job once its version is greater", function()
    local version = JobTracker.get_job(task_id).version
    local waiting = start_waiting({ after = version }, expect_two(version))
    update({ current_step = "two" })
    waiting:finish(10)
  end)

  it("returns at once when the version is greater already", function()
    local version = JobTracker.get_job(task_id).version
    update({ current_step = "two" })
    expect_at_once({ after = version }, expect_two(version))
    expect_at_once({ after = 0 }, expect_two(version))
    expect_at_once({ after = version, timeout = 0 }, expect_two(version))
  end)

  it("sleeps on while only other jobs change", function()
    local version = JobTracker.get_job(task_id).version
    local waiting = start_waiting({ after = version }, expect_two(version))
    for _ = 1, 50 do JobTracker.create_job("other") end
    expect_still_waiting(waiting)
    update({ current_step = "two" })
    waiting:finish(10)
  end)

  it("waits for a finished job's next version", function()
    update({ status = "completed" })
    local version = JobTracker.get_job(task_id).version
    local waiting = start_waiting({ after = version }, function(job)
      assert.equal("attached later", job.result)
    end)
    expect_still_waiting(waiting)
    update({ result = "attached later" })
    waiting:finish(10)
  end)

  it("follows a job through every version that it sees, in order", function()
    local writer = child.start(function()
      for step = 1, 2000 do update({ progress = step / 2000 }) end
      update({ status = "completed" })
    end)
    local job = JobTracker.get_job(task_id)
    while job.status ~= "completed" do
      local following = JobTracker.wait_job(task_id, { after = job.version, timeout = 10 })
      assert.is_not_nil(following)
      assert.is_true(following.version > job.version)
      assert.is_true(following.progress >= job.progress)
      job = following
    end
    writer:finish()
  end)
end)

describe("wait_job ends with timeout", function()
  it("after that many seconds, fractions allowed", function()
    for _, timeout in ipairs({ 0, 0.001, 0.05, 0.3 }) do
      local start = process.now()
      expect_outcome("timeout", JobTracker.wait_job(task_id, { timeout = timeout }))
      local elapsed = process.now() - start
      assert.is_true(elapsed >= timeout, elapsed .. " s for " .. timeout)
      assert.is_true(elapsed < timeout + 5, elapsed .. " s for " .. timeout)
    end
  end)

  it("also while the job keeps changing", function()
    local writer = child.start(function()
      while true do assert(JobTracker.update_job(task_id, { progress = 0.5 })) end
    end)
    local start = process.now()
    expect_outcome("timeout", JobTracker.wait_job(task_id, { timeout = 0.2 }))
    assert.is_true(process.now() - start < 5)
    writer:kill_dead()
  end)

  it("and a long timeout does not end at once", function()
    for _, timeout in ipairs({ 86400, 1e9, 1e12 }) do
      local waiting = start_waiting({ timeout = timeout }, function(job)
        assert.is_not_nil(job)
      end)
      assert.equal("timeout", (waiting:wait(0.05)))
      waiting:kill_dead()
    end
  end)
end)

describe("wait_job ends with not_found", function()
  it("for an unknown job, at once", function()
    task_id = "wait_unknown!"
    for _, options in ipairs({ {}, { after = 0 }, { timeout = 60 } }) do
      expect_at_once(options, function(...)
        expect_not_found(...)
        assert.matches("wait_unknown!", (select(2, ...)), 1, true)
      end)
    end
  end)

  it("when the job is deleted while waited for", function()
    for _, options in ipairs({ {}, { after = 2 ^ 52 }, { timeout = 60 } }) do
      task_id = JobTracker.create_job("wait")
      local waiting = start_waiting(options, expect_not_found)
      assert(JobTracker.delete_job(task_id))
      waiting:finish(10)
    end
  end)

  it("when the jobs are cleared while it is waited for", function()
    local waiting = start_waiting({}, expect_not_found)
    assert.equal(1, JobTracker.clear_jobs())
    waiting:finish(10)
  end)
end)

describe("several processes that wait", function()
  it("all wake when the job finishes, and at once", function()
    local fastest = math.huge
    for _ = 1, 10 do
      task_id = JobTracker.create_job("wait")
      local waiting = {}
      for index = 1, 5 do
        waiting[index] = start_waiting(nil, function(job)
          assert.equal("completed", job.status)
        end)
      end
      local start = process.now()
      update({ status = "completed" })
      for _, one in ipairs(waiting) do one:finish(10) end
      fastest = math.min(fastest, process.now() - start)
    end
    assert.is_true(fastest < 0.1, fastest .. " s at best until all were awake")
  end)

  it("wake each for its own job", function()
    local ids, waiting = {}, {}
    for index = 1, 4 do
      task_id = JobTracker.create_job("wait")
      ids[index] = task_id
      waiting[index] = start_waiting({}, function(job) assert(job.task_id == ids[index]) end)
    end
    for index = 4, 1, -1 do
      for still = 1, index do assert.equal("timeout", (waiting[still]:wait(0))) end
      assert(JobTracker.update_job(ids[index], { status = "completed" }))
      waiting[index]:finish(10)
    end
  end)

  ---Waits until the job's step is 'step'.
  local function await_step(id, step, deadline)
    local job = JobTracker.get_job(id)
    while job.current_step ~= step do
      assert(process.now() < deadline, "the wake-ups come too late, at step " .. step)
      job = JobTracker.wait_job(id, { after = job.version, timeout = 1 }) or job
    end
  end

  it("wake at once: 3 answer each of 200 steps before the next is made", function()
    local deadline, ids, answering = process.now() + 20, {}, {}
    for index = 1, 3 do
      ids[index] = JobTracker.create_job("answer")
      answering[index] = child.start(function()
        for step = 1, 200 do
          await_step(task_id, "step " .. step, deadline)
          assert(JobTracker.update_job(ids[index], { current_step = "step " .. step }))
        end
      end)
    end
    for step = 1, 200 do
      update({ current_step = "step " .. step })
      for _, id in ipairs(ids) do await_step(id, "step " .. step, deadline) end
    end
    for _, one in ipairs(answering) do one:finish(10) end
  end)

  it("may be killed without harm to the others or to the writer", function()
    local recoveries = JobTracker.stats().recoveries
    local survivor = start_waiting({}, function(job) assert(job.status == "completed") end)
    for _ = 1, 10 do
      start_waiting({}, function() error("must not wake") end):kill_dead()
      assert(JobTracker.update_job(task_id, { progress = 0.5 }))
    end
    assert.equal("timeout", (survivor:wait(0)))
    assert(JobTracker.update_job(task_id, { status = "completed" }))
    survivor:finish(10)
    assert.equal(recoveries, JobTracker.stats().recoveries)
  end)

  it("may be stopped and wake later", function()
    local waiting = start_waiting({}, function(job) assert(job.status == "completed") end)
    waiting:kill("STOP")
    assert(JobTracker.update_job(task_id, { status = "completed" }))
    assert.equal("timeout", (waiting:wait(0.05)))
    waiting:kill("CONT")
    waiting:finish(10)
  end)

  it("wake also when the writer dies right after its update", function()
    for _ = 1, 20 do
      task_id = JobTracker.create_job("wait")
      local waiting = start_waiting({}, function(job) assert(job.status == "failed") end)
      local writer = child.start(function()
        assert(JobTracker.update_job(task_id, { status = "failed" }))
        process.kill(process.getpid(), "KILL")
      end)
      local how, code = writer:wait()
      assert.same({ "signal", 9 }, { how, code })
      waiting:finish(10)
    end
  end)
end)

describe("wait_job on a file", function()
  local path, writer, reader

  before_each(function()
    path = store_file.path()
    writer = assert(JobTracker.open(path, { size = "1M" }))
    reader = assert(JobTracker.open(path, { readonly = true }))
    task_id = assert(writer.create_job("wait"))
  end)

  after_each(function()
    reader.close()
    writer.close()
  end)

  it("wakes through a read-only tracker", function()
    local waiting = start_waiting({}, function(job)
      assert.equal("completed", job.status)
    end, reader)
    assert(writer.update_job(task_id, { status = "completed" }))
    waiting:finish(10)
    local version = reader.get_job(task_id).version
    waiting = start_waiting({ after = version }, function(job)
      assert.equal(1, job.meta)
    end, reader)
    assert(writer.update_job(task_id, { meta = 1 }))
    waiting:finish(10)
    waiting = start_waiting({ after = 2 ^ 52 }, expect_not_found, reader)
    assert(writer.delete_job(task_id))
    waiting:finish(10)
  end)

  it("times out through a read-only tracker", function()
    expect_outcome("timeout", reader.wait_job(task_id, { timeout = 0.05 }))
  end)

  it("wakes in an unrelated process, also one that only reads", function()
    for _, mode in ipairs({ "write", "read" }) do
      local id = assert(writer.create_job("wait"))
      local waiting = fresh.start(function(file, job_id, how)
        local tracker = assert(require("job_tracker").JobTracker.open(file,
          { readonly = how == "read" }))
        io.write(tracker.wait_job(job_id).status)
      end, path, id, mode)
      wait_until(function() return child.sleeps(waiting.pid) end, "a fresh process to wait")
      assert(writer.update_job(id, { status = "failed" }))
      assert.equal("failed", waiting:finish(10))
    end
  end)
end)

describe("Ctrl-C", function()
  it("interrupts a wait for ever", function()
    local ready = store_file.path()
    local waiting = fresh.start(function(ready_path)
      local tracker = require("job_tracker").JobTracker
      local id = tracker.create_job("wait")
      assert(io.open(ready_path, "w")):close()
      tracker.wait_job(id)
      io.write("woke")
    end, ready)
    wait_until(function() return store_file.exists(ready) end, "the fresh process")
    wait_until(function() return child.sleeps(waiting.pid) end, "its wait")
    waiting:kill("INT")
    local how, code, output, errors = waiting:wait(5)
    assert.same({ "exit", 1, "" }, { how, code, output })
    assert.matches("interrupted", errors, 1, true)
  end)
end)
