-- Items of a step that are under way at the same time. In a worker of nginx, see
-- pipeline_nginx_spec.lua, they have its light threads.

local nginx = require "job_tracker.pipeline.nginx"
local plan = require "job_tracker.pipeline.plan"
local Run = require "job_tracker.pipeline.run"
local JobTracker = require("job_tracker").JobTracker

after_each(function() JobTracker.clear_jobs() end)

-- Light threads where there are none: they take turns whenever one sleeps.
local function taking_turns()
  local waiting, threads = {}, {}
  function threads.sleep() coroutine.yield() end
  function threads.spawn(body)
    local thread = coroutine.create(body)
    table.insert(waiting, thread)
    assert(coroutine.resume(thread))
    return thread
  end
  function threads.wait(thread)
    while coroutine.status(thread) ~= "dead" do
      for _, other in ipairs(waiting) do
        if coroutine.status(other) ~= "dead" then assert(coroutine.resume(other)) end
      end
    end
  end
  return threads
end

describe("a step with 'parallel'", function()
  local function run_parallel(step, more)
    step.name, step.each = "sections", step.each or function() return { "a", "b", "c", "d", "e" } end
    local options = more or {}
    options.task_type, options.steps = "chapter", { step }
    local id = JobTracker.create_job("chapter")
    local result, message = Run.new(plan.read(options), id, nil,
      nginx.threads() or taking_turns()):go()
    return JobTracker.get_job(id), result, message
  end

  it("has so many items under way at a time, and their values in order", function()
    local under_way, most = 0, 0
    local job, result = run_parallel { parallel = 2, run = function(_, step)
      under_way = under_way + 1
      most = math.max(most, under_way)
      for _ = 1, step.index == 1 and 5 or 1 do step:pause(0.01) end
      under_way = under_way - 1
      return step.item .. step.index
    end }
    assert.equal(2, most)
    assert.same({ "a1", "b2", "c3", "d4", "e5" }, result)
    assert.equal(5, job.meta.steps[1].done)
    assert.equal("completed", job.status)
  end)

  it("says how many are done, and what it works on; progress never goes back", function()
    local shown = {}
    run_parallel({ parallel = 3, each = function() return { "Fences", "Order", "Cells", {} } end,
      run = function(_, step)
        step:report(0.5, step.index == 2 and "half" or nil)
        step:pause(0.01)
      end }, { on_report = function(progress, said)
        shown[#shown + 1] = ("%.3f %s"):format(progress, said)
      end })
    assert.same({
      "0.000 sections 0/4 done, working on Fences",
      "0.125 sections 0/4 done, working on Fences",
      "0.125 sections 0/4 done, working on Order and 1 more",
      "0.250 sections 0/4 done, working on Order (half) and 1 more",
      "0.250 sections 0/4 done, working on Cells and 2 more",
      "0.375 sections 0/4 done, working on Cells and 2 more",
      "0.500 sections 1/4 done, working on number 4 and 2 more",
      "0.625 sections 1/4 done, working on number 4 and 2 more",
    }, shown)
  end)

  it("begins no other item when one failed; those under way stop at their next pause", function()
    local begun, ended, failure, kept = {}, {}, nil, nil
    local job, _, message = run_parallel({ parallel = 3, run = function(_, step)
      begun[#begun + 1] = step.item
      if step.index == 1 then return "done" end
      local went_on = pcall(step.pause, step, 0.01)
      if step.index == 2 then error "rate limited" end
      ended[#ended + 1] = went_on or step.item -- could tidy up, and sees no other reason
      step:report(1)
      return "not reached"
    end }, { on_error = function(given, context) failure, kept = given, context.sections end })
    assert.equal("sections[2] b: rate limited", message)
    assert.equal(message, job.error)
    assert.same({ "sections", 2, "b" }, { failure.step, failure.index, failure.item })
    assert.same({ "a", "b", "c", "d" }, begun)
    assert.same({ "c", "d" }, ended)
    assert.equal("done", kept[1])
    assert.is_nil(next(kept, 1))
    assert.equal(1, job.meta.steps[1].done)
    assert.equal("failed", job.meta.steps[1].status)
  end)

  it("retries one item while the others go on, and notes those that may fail", function()
    local job, result = run_parallel { parallel = 5, retries = 1, retry_delay = 0.3, optional = true,
      run = function(_, step)
        if step.index == 2 and step.attempt == 1 or step.index == 4 then error "no" end
        return step.attempt
      end }
    assert.same({ 1, 2, 1, false, 1 }, result)
    assert.equal(7, job.meta.steps[1].attempts)
    assert.equal(1, job.meta.steps[1].failed)
    assert.equal("completed", job.status)
  end)

  it("ends as cancelled, whichever item notices", function()
    local job = run_parallel { parallel = 2, run = function(context, step)
      step:pause(0.01)
      if step.index == 3 then assert(JobTracker.cancel_job(context.task_id, "enough")) end
    end }
    assert.equal("cancelled: enough", job.error)
    assert.is_true(job.meta.steps[1].done < 5)
  end)
end)
