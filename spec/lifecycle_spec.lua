-- The life of a job: which status may follow which, and what each step does to
-- progress and to the times.

local store_file = require "store_file"
local JobTracker = require("job_tracker").JobTracker

local function clear_jobs() JobTracker.clear_jobs() end

before_each(clear_jobs)
after_each(clear_jobs)
after_each(store_file.clean)

-- How a job comes to a status.
local PATHS = {
  pending = { {} },
  running = { { "running" } },
  completed = { { "completed" }, { "running", "completed" } },
  failed = { { "failed" }, { "running", "failed" } },
}

local MAY_FOLLOW = {
  pending = { pending = true, running = true, completed = true, failed = true },
  running = { running = true, completed = true, failed = true },
  completed = { completed = true },
  failed = { failed = true },
}

local STATUSES = { "pending", "running", "completed", "failed" }

local function job_after(path)
  local id = JobTracker.create_job("life")
  for _, status in ipairs(path) do
    assert.is_true(JobTracker.update_job(id, { status = status }))
  end
  return id
end

local function name_path(path)
  return table.concat({ "pending", (table.unpack or unpack)(path) }, " -> ")
end

local function expect_refused(id, fields)
  local before, stats = JobTracker.get_job(id), JobTracker.stats()
  local said = ("a %s job cannot become %s"):format(before.status, fields.status)
  local result, message, code = JobTracker.update_job(id, fields)
  assert.is_nil(result)
  assert.equal("invalid_transition", code)
  assert.equal(('job "%s": %s'):format(id, said), message)
  assert.is_true(JobTracker.get_job(id) == before)
  assert.same(before:to_dict(), JobTracker.get_job(id):to_dict())
  assert.same(stats, JobTracker.stats())
end

for _, from in ipairs(STATUSES) do
  for _, path in ipairs(PATHS[from]) do
    describe("a job that is " .. name_path(path), function()
      for _, to in ipairs(STATUSES) do
        if MAY_FOLLOW[from][to] then
          it("may become " .. to, function()
            local id = job_after(path)
            assert.is_true(JobTracker.update_job(id, { status = to }))
            assert.equal(to, JobTracker.get_job(id).status)
            assert.equal(1, JobTracker.stats()[to])
          end)
        else
          it("never becomes " .. to, function()
            local id = job_after(path)
            expect_refused(id, { status = to })
            expect_refused(id, { status = to, progress = 0.3, current_step = "new",
              result = "new", error = "new", meta = "new" })
          end)
        end
      end
    end)
  end
end

describe("started_at", function()
  it("is set on first running and stays", function()
    local id = JobTracker.create_job("life")
    assert.is_nil(JobTracker.get_job(id).started_at)
    assert(JobTracker.update_job(id, { progress = 0.1 }))
    assert.is_nil(JobTracker.get_job(id).started_at)
    assert(JobTracker.update_job(id, { status = "running" }))
    local job = JobTracker.get_job(id)
    assert.is_true(job.created_at <= job.started_at and job.started_at <= job.updated_at)
    for _, fields in ipairs({ { status = "running" }, { progress = 0.5 },
      { status = "completed" }, { meta = "later" } }) do
      assert(JobTracker.update_job(id, fields))
      assert.equal(job.started_at, JobTracker.get_job(id).started_at)
    end
  end)

  it("stays absent from a job that never ran", function()
    for _, status in ipairs({ "completed", "failed" }) do
      assert.is_nil(JobTracker.get_job(job_after({ status })).started_at)
    end
  end)
end)

describe("finished_at", function()
  for _, status in ipairs({ "completed", "failed" }) do
    for _, path in ipairs(PATHS[status]) do
      it("is set on " .. name_path(path) .. " and stays", function()
        local id = JobTracker.create_job("life")
        for _, step in ipairs(path) do
          assert.is_nil(JobTracker.get_job(id).finished_at)
          assert(JobTracker.update_job(id, { status = step }))
        end
        local job = JobTracker.get_job(id)
        assert.is_true(job.created_at <= job.finished_at and job.finished_at <= job.updated_at)
        assert(JobTracker.update_job(id, { status = status, result = "late" }))
        assert.equal(job.finished_at, JobTracker.get_job(id).finished_at)
      end)
    end
  end
end)

describe("completed", function()
  for _, path in ipairs(PATHS.completed) do
    it("sets progress to 1 on " .. name_path(path), function()
      local id = JobTracker.create_job("life")
      assert(JobTracker.update_job(id, { progress = 0.4 }))
      for _, status in ipairs(path) do
        assert.equal(0.4, JobTracker.get_job(id).progress)
        assert(JobTracker.update_job(id, { status = status }))
      end
      assert.equal(1, JobTracker.get_job(id).progress)
    end)

    it("takes the progress that the call gives on " .. name_path(path), function()
      for _, progress in ipairs({ 0, 0.9, 1 }) do
        local id = JobTracker.create_job("life")
        for index = 1, #path - 1 do assert(JobTracker.update_job(id, { status = path[index] })) end
        assert(JobTracker.update_job(id, { status = "completed", progress = progress }))
        assert.equal(progress, JobTracker.get_job(id).progress)
      end
    end)
  end
end)

describe("failed", function()
  for _, path in ipairs(PATHS.failed) do
    it("keeps progress on " .. name_path(path), function()
      local id = JobTracker.create_job("life")
      assert(JobTracker.update_job(id, { progress = 0.4 }))
      for _, status in ipairs(path) do assert(JobTracker.update_job(id, { status = status })) end
      assert.equal(0.4, JobTracker.get_job(id).progress)
    end)
  end

  it("takes the progress that the call gives", function()
    local id = JobTracker.create_job("life")
    assert(JobTracker.update_job(id, { status = "failed", progress = 0.8 }))
    assert.equal(0.8, JobTracker.get_job(id).progress)
  end)
end)

describe("a finished job", function()
  for _, status in ipairs({ "completed", "failed" }) do
    it("may still change its other fields when " .. status, function()
      local id = job_after({ "running", status })
      local before = JobTracker.get_job(id)
      assert.is_true(JobTracker.update_job(id, { result = { "late" }, meta = { 1 },
        error = "a note", current_step = "Archived", progress = 0.5 }))
      local job = JobTracker.get_job(id)
      assert.same({ status, { "late" }, { 1 }, "a note", "Archived", 0.5 }, { job.status,
        job.result, job.meta, job.error, job.current_step, job.progress })
      assert.is_true(job.updated_at > before.updated_at)
      assert.is_true(job.version > before.version)
      assert.equal(before.finished_at, job.finished_at)
    end)

    it("may be deleted when " .. status, function()
      local id = job_after({ status })
      assert.is_true(JobTracker.delete_job(id))
      assert.equal(0, JobTracker.stats()[status])
    end)
  end
end)

describe("the count of each status", function()
  it("follows the jobs through their lives", function()
    local expected = { pending = 0, running = 0, completed = 0, failed = 0 }
    local function expect_counts()
      local stats = JobTracker.stats()
      for _, status in ipairs(STATUSES) do assert.equal(expected[status], stats[status], status) end
    end
    for _, from in ipairs(STATUSES) do
      for _, path in ipairs(PATHS[from]) do
        for _, to in ipairs(STATUSES) do
          local id = job_after(path)
          local moved = JobTracker.update_job(id, { status = to })
          local ends_as = moved and to or from
          expected[ends_as] = expected[ends_as] + 1
          expect_counts()
        end
      end
    end
  end)
end)

describe("a refused transition", function()
  it("is told with both statuses, however large the job is", function()
    local id = JobTracker.create_job("life")
    assert(JobTracker.update_job(id, { status = "completed", result = ("x"):rep(5000000) }))
    expect_refused(id, { status = "running" })
  end)
end)

describe("the lifecycle in a file store", function()
  it("is the same", function()
    local tracker = assert(JobTracker.open(store_file.path(), { size = "1M" }))
    local id = tracker.create_job("life")
    assert(tracker.update_job(id, { status = "completed" }))
    assert.equal("invalid_transition", (select(3, tracker.update_job(id, { status = "failed" }))))
    local job = tracker.get_job(id)
    assert.same({ "completed", 1 }, { job.status, job.progress })
    assert.is_not_nil(job.finished_at)
    tracker.close()
  end)
end)
