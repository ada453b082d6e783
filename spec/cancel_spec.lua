-- cancel_job: what it asks for, of whom, and what it does at once.

local child = require "child"
local store_file = require "store_file"
local wait_until = require "wait_until"
local JobTracker = require("job_tracker").JobTracker

local task_id

before_each(function()
  JobTracker.clear_jobs()
  task_id = JobTracker.create_job("cancel")
end)

after_each(function()
  child.end_all()
  JobTracker.clear_jobs()
  store_file.clean()
end)

local function expect_code(expected, result, message, code)
  assert.is_nil(result)
  assert.equal(expected, code)
  return message
end

local function claim_in_child()
  local owner = child.start(function()
    assert(JobTracker.claim_job(task_id))
    assert(JobTracker.update_job(task_id, { current_step = "claimed" }))
    JobTracker.wait_job(task_id)
  end)
  wait_until(function() return JobTracker.get_job(task_id).current_step == "claimed" end,
    "the owner")
  return owner
end

describe("cancel_job of a pending job that nobody claimed", function()
  it("fails it at once, with the reason", function()
    local before = JobTracker.get_job(task_id)
    assert.is_true(JobTracker.cancel_job(task_id, "the course was moved"))
    local job = JobTracker.get_job(task_id)
    assert.equal("failed", job.status)
    assert.equal("cancelled: the course was moved", job.error)
    assert.equal("the course was moved", job.cancel_requested)
    assert.equal(job.updated_at, job.finished_at)
    assert.is_true(job.version > before.version)
    assert.is_nil(job.started_at)
    assert.equal(0, job.progress)
    assert.equal("Initializing", job.current_step)
    assert.equal(1, JobTracker.stats().failed)
    assert.equal(0, JobTracker.stats().pending)
  end)

  it("says \"on request\" where no reason is given", function()
    assert.is_true(JobTracker.cancel_job(task_id))
    assert.equal("cancelled: on request", JobTracker.get_job(task_id).error)
    local other = JobTracker.create_job("cancel")
    assert.is_true(JobTracker.cancel_job(other, nil))
    assert.equal("on request", JobTracker.get_job(other).cancel_requested)
  end)

  it("wakes those who wait for it", function()
    local waiting = child.start(function()
      assert(JobTracker.wait_job(task_id).error == "cancelled: enough")
    end)
    wait_until(function() return child.sleeps(waiting.pid) end, "a child to wait")
    assert.is_true(JobTracker.cancel_job(task_id, "enough"))
    waiting:finish(10)
  end)
end)

describe("cancel_job of a job at work", function()
  local function expect_asked(status)
    local before = JobTracker.get_job(task_id)
    assert.is_nil(before.cancel_requested)
    assert.is_true(JobTracker.cancel_job(task_id, "too slow"))
    local job = JobTracker.get_job(task_id)
    assert.equal(status, job.status)
    assert.equal("too slow", job.cancel_requested)
    assert.is_nil(job.error)
    assert.is_nil(job.finished_at)
    assert.is_true(job.version > before.version)
    assert.is_true(job.updated_at > before.updated_at)
    return job
  end

  it("only asks, when it is running", function()
    assert(JobTracker.update_job(task_id, { status = "running", progress = 0.5 }))
    assert.equal(0.5, expect_asked("running").progress)
  end)

  it("only asks, when it is pending and claimed", function()
    local owner = claim_in_child()
    expect_asked("pending")
    assert(JobTracker.update_job(task_id, { status = "completed" }))
    owner:finish()
  end)

  it("is heard by its owner, who waits for it or looks", function()
    local owner = child.start(function()
      assert(JobTracker.claim_job(task_id))
      assert(JobTracker.update_job(task_id, { status = "running" }))
      local job = JobTracker.get_job(task_id)
      while not job.cancel_requested do
        job = assert(JobTracker.wait_job(task_id, { after = job.version, timeout = 10 }))
      end
      assert(JobTracker.update_job(task_id, { status = "failed",
        error = "cancelled: " .. job.cancel_requested }))
    end)
    wait_until(function() return JobTracker.get_job(task_id).status == "running" end, "the owner")
    assert.is_true(JobTracker.cancel_job(task_id, "too slow"))
    owner:finish(10)
    local job = JobTracker.get_job(task_id)
    assert.same({ "failed", "cancelled: too slow", "too slow" },
      { job.status, job.error, job.cancel_requested })
  end)

  it("changes nothing when asked again: the first reason stays", function()
    assert(JobTracker.update_job(task_id, { status = "running" }))
    local before = expect_asked("running")
    for _, reason in ipairs({ "another", "", "too slow" }) do
      assert.is_true(JobTracker.cancel_job(task_id, reason))
    end
    assert.is_true(JobTracker.cancel_job(task_id))
    assert.same(before:to_dict(), JobTracker.get_job(task_id):to_dict())
  end)

  it("does not stop it from completing", function()
    assert(JobTracker.update_job(task_id, { status = "running" }))
    expect_asked("running")
    assert(JobTracker.update_job(task_id, { status = "completed", result = { 1 } }))
    local job = JobTracker.get_job(task_id)
    assert.same({ "completed", { 1 }, "too slow" },
      { job.status, job.result, job.cancel_requested })
  end)

  it("stays while other fields change", function()
    assert(JobTracker.update_job(task_id, { status = "running", result = "r", meta = { 1 } }))
    expect_asked("running")
    for step = 1, 20 do
      assert(JobTracker.update_job(task_id, { current_step = ("s"):rep(step * 50),
        result = ("r"):rep(step * 100), error = "e" .. step, meta = { step } }))
    end
    local job = JobTracker.get_job(task_id)
    assert.same({ ("r"):rep(2000), "e20", { 20 }, "too slow" },
      { job.result, job.error, job.meta, job.cancel_requested })
  end)
end)

describe("cancel_job is refused", function()
  it("for a finished job", function()
    for _, status in ipairs({ "completed", "failed" }) do
      local id = JobTracker.create_job("cancel")
      assert(JobTracker.update_job(id, { status = status }))
      local before = JobTracker.get_job(id)
      assert.equal(('job "%s": a %s job cannot be cancelled'):format(id, status),
        expect_code("invalid_transition", JobTracker.cancel_job(id, "late")))
      assert.same(before:to_dict(), JobTracker.get_job(id):to_dict())
    end
  end)

  it("for an unknown job", function()
    assert.matches("cancel_unknown!", expect_code("not_found",
      JobTracker.cancel_job("cancel_unknown!", "r")), 1, true)
  end)

  it("for a job whose owner died, which is failed", function()
    claim_in_child():kill_dead()
    expect_code("invalid_transition", JobTracker.cancel_job(task_id, "late"))
    assert.matches("died during: claimed", JobTracker.get_job(task_id).error, 1, true)
    assert.is_nil(JobTracker.get_job(task_id).cancel_requested)
  end)

  it("by a store that has no room for the reason", function()
    local tracker = assert(JobTracker.open(store_file.path(), { size = "1M" }))
    local id = assert(tracker.create_job("cancel"))
    assert(tracker.update_job(id, { status = "running" }))
    local large, size = assert(tracker.create_job("large")), tracker.stats().bytes_available
    assert(tracker.update_job(large, { status = "running" }))
    repeat size = size - 64 until tracker.update_job(large, { error = ("x"):rep(size) })
    local message = expect_code("full", tracker.cancel_job(id, ("r"):rep(4096)))
    assert.matches("no room for its texts of 4096 bytes: %d+ bytes are free of %d+, ", message)
    assert.is_nil(tracker.get_job(id).cancel_requested)
    tracker.close()
  end)
end)

describe("the reason", function()
  before_each(function() assert(JobTracker.update_job(task_id, { status = "running" })) end)

  it("is kept to the byte, up to 4096 of them", function()
    for _, reason in ipairs({ "", "\0", "a\0b\0", "zu spät", "\255\254", ("r"):rep(4096) }) do
      local id = JobTracker.create_job("cancel")
      assert(JobTracker.update_job(id, { status = "running" }))
      assert.is_true(JobTracker.cancel_job(id, reason))
      assert.equal(reason, JobTracker.get_job(id).cancel_requested)
      local pending = JobTracker.create_job("cancel")
      assert.is_true(JobTracker.cancel_job(pending, reason))
      assert.equal("cancelled: " .. reason, JobTracker.get_job(pending).error)
    end
  end)

  it("is in to_dict and in the JSON, after meta", function()
    local job = JobTracker.get_job(task_id)
    assert.is_nil(job:to_dict().cancel_requested)
    assert.matches('"meta":null,"cancel_requested":null,"created_at"', job:to_json(), 1, true)
    assert.is_true(JobTracker.cancel_job(task_id, 'say "no"\n\255'))
    job = JobTracker.get_job(task_id)
    assert.equal('say "no"\n\255', job:to_dict().cancel_requested)
    local text = '"meta":null,"cancel_requested":"say \\"no\\"\\n\239\191\189","created_at"'
    assert.matches(text, job:to_json(), 1, true)
    assert.equal(job:to_json(), (JobTracker.get_json(task_id)))
  end)

  it("is read by a read-only tracker, and by who opens the file later", function()
    local path = store_file.path()
    local tracker = assert(JobTracker.open(path, { size = "1M" }))
    local id = assert(tracker.create_job("cancel"))
    assert(tracker.update_job(id, { status = "running" }))
    assert.is_true(tracker.cancel_job(id, "over"))
    local reader = assert(JobTracker.open(path, { readonly = true }))
    assert.equal("over", reader.get_job(id).cancel_requested)
    reader.close()
    tracker.close()
    tracker = assert(JobTracker.open(path))
    assert.equal("over", tracker.get_job(id).cancel_requested)
    assert.equal(0, tracker.stats().damaged)
    tracker.close()
  end)
end)
