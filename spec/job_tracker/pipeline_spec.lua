-- Declared pipelines: what their jobs say while they run, and how they end. Also run in a
-- worker of nginx, see pipeline_nginx_spec.lua.

local child = require "child"
local misuse = require "misuse"
local process = require "process"
local nginx = require "job_tracker.pipeline.nginx"
local owners = require "owners"
local pipeline = require "job_tracker.pipeline"
local plan = require "job_tracker.pipeline.plan"
local Run = require "job_tracker.pipeline.run"
local store_file = require "store_file"
local wait_until = require "wait_until"
local JobTracker = require("job_tracker").JobTracker

after_each(function()
  child.end_all()
  JobTracker.clear_jobs()
  store_file.clean()
end)

local function nothing() end

-- Runs steps as a job; returns it at its end, and what run returned.
local function run(options, input, run_options)
  options.task_type = options.task_type or "chapter"
  local id
  run_options = run_options or {}
  run_options.on_start = run_options.on_start or function(given) id = given end
  local result, message, code = pipeline.new(options):run(input, run_options)
  return assert(JobTracker.get_job(id or run_options.task_id)), result, message, code
end

local function seen(context) return JobTracker.get_job(context.task_id) end

describe("a pipeline", function()
  it("runs its steps in order, with one context", function()
    local job, result = run({ steps = {
      { name = "outline", run = function(context) return context.input .. "!" end },
      { name = "body", run = function(context) return { context.outline, "end" } end },
    } }, "Atomics")
    assert.same({ "Atomics!", "end" }, result)
    assert.same(result, job.result)
    assert.equal("completed", job.status)
    assert.equal(1, job.progress)
    assert.is_string(job.started_at)
  end)

  it("returns what 'result' makes of the context", function()
    local job, result = run { steps = { { name = "a", run = function() return 2 end } },
      result = function(context) return { twice = 2 * context.a } end }
    assert.same({ twice = 4 }, result)
    assert.same({ twice = 4 }, job.result)
  end)

  it("returns true where there is no result: nil is what a failure returns", function()
    local job, result, message = run { steps = { { name = "a", run = nothing } } }
    assert.same({ "completed", true }, { job.status, result })
    assert.is_nil(job.result)
    assert.is_nil(message)
    job, result = run { steps = { { name = "a", run = function() return 2 end } }, result = nothing }
    assert.equal("completed", job.status)
    assert.is_true(result)
  end)

  it("gives a step with 'each' one call for every item, and the values as an array", function()
    local calls = {}
    local _, result = run { steps = { { name = "sections",
      each = function(context) return { "x", "y", context.input } end,
      run = function(_, step)
        calls[#calls + 1] = { step.name, step.index, step.total, step.item, step.attempt }
        return step.item:upper()
      end } } }
    assert.same({ "X", "Y" }, result)
    assert.same({ { "sections", 1, 2, "x", 1 }, { "sections", 2, 2, "y", 1 } }, calls)
  end)

  it("has failed also where there is no room to say all of why", function()
    local jobs = assert(JobTracker.open(store_file.path(), { size = "64K", max_jobs = 8 }))
    finally(function() jobs.close() end)
    local id = jobs.create_job("chapter")
    local told
    local _, message = pipeline.new { task_type = "chapter", tracker = jobs,
      on_error = function(failure) told = failure.message end,
      steps = { { name = "a", run = function() error(("x"):rep(100000), 0) end } },
    }:run(nil, { task_id = id })
    assert.equal("a: " .. ("x"):rep(100000), message)
    assert.equal(message, told)
    local job = jobs.get_job(id)
    assert.equal("failed", job.status)
    assert.equal(message:sub(1, 200), job.error)
  end)

  it("takes a value that cannot be shown for an error like any other", function()
    local function silent() error("no", 0) end
    for _, metatable in ipairs { { __tostring = silent }, { __index = silent, __tostring = silent } } do
      local function fail() error(setmetatable({}, metatable)) end
      local job = run { steps = { { name = "a", run = fail } } }
      assert.equal("a: an error that cannot be shown", job.error)
      local _, result = run { steps = { { name = "a", run = fail, optional = true } } }
      assert.is_false(result)
    end
  end)

  it("goes on where 'each' gives no items", function()
    local job = run { steps = {
      { name = "images", each = function() return {} end, run = error },
      { name = "end", run = function() return "done" end },
    } }
    assert.equal("done", job.result)
  end)

  it("runs as a pending job that is there already", function()
    local id = JobTracker.create_job("chapter")
    local job = run({ steps = { { name = "a", run = function() return 1 end } } }, nil,
      { task_id = id, on_start = nothing })
    assert.equal(id, job.task_id)
    assert.equal("completed", job.status)
  end)

  it("leaves a job alone that another process works on", function()
    local id = JobTracker.create_job("chapter")
    owners.start(JobTracker, id)
    local told = {}
    local one = pipeline.new { task_type = "chapter", steps = { { name = "a", run = nothing } },
      on_error = function() told[#told + 1] = "on_error" end }
    owners.expect_code("claimed", one:run(nil, { task_id = id,
      on_start = function() told[#told + 1] = "on_start" end }))
    assert.same({}, told)
    assert.equal("running", JobTracker.get_job(id).status)
  end)

  it("fails with what on_start raises, and leaves no job behind that nobody does", function()
    local id
    local job, result, message, code = run({ steps = { { name = "a", run = nothing } } }, nil,
      { on_start = function(given) id = given error "no mail" end,
        task_id = JobTracker.create_job("chapter") })
    assert.same({ id, "failed", "on_start: no mail" }, { job.task_id, job.status, job.error })
    assert.is_nil(result)
    assert.same({ job.error, "failed" }, { message, code })
  end)

  it("has false for an item that gave nothing, where others gave something", function()
    local function of_three(run_item)
      return run { steps = { { name = "a", each = function() return { 1, 2, 3 } end,
        run = run_item } } }
    end
    for given, expected in pairs { [1] = { 1, false, false }, [3] = { false, false, 3 } } do
      local job, result = of_three(function(_, step)
        return step.item == given and given or nil
      end)
      assert.same({ "completed", expected, expected }, { job.status, result, job.result })
    end
    assert.same({}, (of_three(nothing)).result)
  end)

  it("refuses options that it does not know, and makes no job then", function()
    local one = pipeline.new { task_type = "x", steps = { { name = "a", run = nothing } } }
    misuse(function() local got = one:run(1, { taskid = "x" }) return got end,
      'pipeline.run: unknown option "taskid"; the options are on_start, task_id')
    misuse(function() local got = one:run(1, { on_start = 5 }) return got end,
      "pipeline.run: on_start must be a function, got 5")
    misuse(function() local got = one:run(1, "x") return got end,
      "pipeline.run: its options must be a table, got \"x\"")
    misuse(function() local got = one.run(1) return got end,
      "pipeline.run: it is a method, call it with a colon: pipeline:run(input)")
    assert.equal(0, #JobTracker.list_jobs())
  end)

  it("says what the tracker refuses", function()
    local path = store_file.path()
    assert(JobTracker.open(path, { size = "1M" })).close()
    local view = assert(JobTracker.open(path, { readonly = true }))
    local result, message, code = pipeline.new { task_type = "chapter", tracker = view,
      steps = { { name = "a", run = nothing } } }:run()
    view.close()
    assert.is_nil(result)
    assert.is_string(message)
    assert.equal("readonly", code)
  end)
end)

describe("progress", function()
  it("follows from weights and items done, and reports refine it", function()
    local shown = {}
    local function look(context)
      local job = seen(context)
      shown[#shown + 1] = job.current_step .. " " .. ("%.4f"):format(job.progress)
    end
    run { steps = {
      { name = "outline", weight = 1, run = function(context, step)
        look(context)
        step:report(0.5, "second draft")
        look(context)
      end },
      { name = "sections", weight = 3, each = function() return { "Fences", { title = "Order" } } end,
        run = function(context, step)
          look(context)
          step:report(0.5, "half")
          look(context)
        end },
    } }
    assert.same({ "outline 0.0000", "outline: second draft 0.1250",
      "sections 1/2: Fences 0.2500", "sections 1/2: Fences (half) 0.4375",
      "sections 2/2: Order 0.6250", "sections 2/2: Order (half) 0.8125" }, shown)
  end)

  it("never goes back", function()
    local before, attempts = 0, 0
    local function check(context)
      local progress = seen(context).progress
      assert(progress >= before, progress .. " after " .. before)
      before = progress
    end
    local job = run { steps = { { name = "a", retries = 2, retry_delay = 0,
      run = function(context, step)
        for _, fraction in ipairs { 0.3, 0.9, 0.1 } do
          step:report(fraction)
          check(context)
        end
        attempts = attempts + 1
        if attempts < 3 then error "again" end
      end } } }
    assert.equal("completed", job.status)
    assert.is_true(before >= 0.9)
  end)

  it("is cut to what a current_step may have, between characters", function()
    local length
    run { steps = { { name = "a", run = function(context, step)
      step:report(0, ("é"):rep(4000))
      length = #seen(context).current_step
      assert.equal("é", seen(context).current_step:sub(-2))
    end } } }
    assert.is_true(length <= 4096 and length > 4090)
  end)

  it("refuses what is no fraction, at the caller's line", function()
    local message
    run { steps = { { name = "a", run = function(_, step)
      local line = debug.getinfo(1, "l").currentline + 1
      local _, raised = pcall(function() step:report(1.5) end)
      message = raised
      assert.matches(":" .. line .. ": report: fraction must be a number from 0 to 1, got 1.5",
        raised, 1, false)
      misuse(function() step:report("x") end, 'report: fraction must be a number from 0 to 1, got "x"')
      misuse(function() step:report(1, {}) end, "report: text must be a string, got an empty table")
    end } } }
    assert.is_string(message)
  end)

  it("takes for 0 or 1 what is beside it by less than 1e-9, as a sum may be", function()
    local job = run { steps = { { name = "a", run = function(context, step)
      local sum = 0
      for _ = 1, 100 do sum = sum + 0.01 end
      assert.is_true(sum > 1)
      step:report(sum)
      local told = seen(context).progress
      step:report(-1e-10)
      misuse(function() step:report(1 + 1e-8) end,
        "report: fraction must be a number from 0 to 1, got " .. 1 + 1e-8)
      return told
    end } } }
    assert.same({ "completed", 1 }, { job.status, job.result })
  end)
end)

describe("an error", function()
  local function failing(raise, options)
    local failure, kept
    options = options or {}
    options.name, options.run = "sections", options.run or raise
    local job, result, message, code = run {
      steps = { { name = "outline", run = function() return "kept" end }, options,
        { name = "end", run = nothing } },
      on_error = function(given, context) failure, kept = given, context.outline end,
    }
    assert.is_nil(result)
    assert.equal("failed", code)
    assert.equal("failed", job.status)
    assert.equal(message, job.error)
    assert.equal(job.error, failure.message)
    assert.equal("kept", kept)
    return job, failure
  end

  it("fails the job, and names step, item and message", function()
    local job, failure = failing(nil, { each = function() return { "One", "Memory order" } end,
      run = function(_, step) if step.index == 2 then error "rate limited" end end })
    assert.equal("sections[2] Memory order: rate limited", job.error)
    assert.equal("sections", failure.step)
    assert.equal(2, failure.index)
    assert.equal("Memory order", failure.item)
    assert.matches("traceback", failure.traceback)
    local steps = job.meta.steps
    assert.same({ "completed", "failed", "skipped" },
      { steps[1].status, steps[2].status, steps[3].status })
    assert.equal(1, steps[2].done)
  end)

  it("may be returned as nil and a message", function()
    assert.equal("sections: no key", (failing(function() return nil, "no key" end)).error)
  end)

  it("may be a table with a message", function()
    assert.equal("sections: 429", (failing(function() error { message = "429" } end)).error)
  end)

  it("does not take places in the program to the web", function()
    local job, failure = failing(function() local _ = nil + 1 end)
    assert.is_nil(job.error:find("%.lua"))
    assert.matches("^sections: attempt to ", job.error)
    assert.matches("pipeline_spec%.lua:%d+", failure.traceback)
  end)

  it("comes of an on_report that raises, which is not tried again", function()
    local attempts, failure = 0, nil
    local job = run { on_report = function(_, words)
      if words:find "half" then error "no terminal" end
    end, on_error = function(given) failure = given end,
      steps = { { name = "a", retries = 5, optional = true, run = function(_, step)
        attempts = attempts + 1
        step:report(0.5, "half")
      end } } }
    assert.equal("failed", job.status)
    assert.equal("on_report: no terminal", job.error)
    assert.equal("a", failure.step)
    assert.matches("pipeline_spec%.lua:%d+", failure.traceback)
    assert.equal(1, attempts)
  end)

  it("comes of a result that JSON cannot hold", function()
    local job, _, message, code = run { steps = { { name = "a", run = function() return print end } } }
    assert.equal("failed", job.status)
    assert.matches("^result: .*function", message)
    assert.equal("failed", code)
  end)

  it("comes of a result, or meta, that there is no room for", function()
    local tracker = assert(JobTracker.open(store_file.path(), { size = "256K" }))
    local huge = ("x"):rep(300000)
    for _, step in ipairs { function() return huge end, function(_, it) it:meta { huge = huge } end } do
      local id, failure = assert(tracker.create_job("chapter")), nil
      local result, message, code = pipeline.new { task_type = "chapter", tracker = tracker,
        steps = { { name = "a", run = step } }, on_error = function(given) failure = given end }
        :run(nil, { task_id = id })
      assert.same({ nil, "full", "full" }, { result, code, failure.code })
      local job = tracker.get_job(id)
      assert.same({ "failed", message }, { job.status, job.error })
    end
    tracker.close()
  end)

  it("comes of items that are none", function()
    assert.equal("sections: each must return an array, got number",
      (failing(nil, { each = function() return 7 end, run = nothing })).error)
    assert.equal("sections: each must return an array, got a table with other keys",
      (failing(nil, { each = function() return { a = 1 } end, run = nothing })).error)
  end)

  it("of an optional item is noted, and the run goes on", function()
    local job, result = run { steps = { { name = "images", optional = true,
      each = function() return { 1, 2, 3 } end,
      run = function(_, step)
        if step.item == 2 then error "no paper" end
        return step.item
      end } } }
    assert.same({ 1, false, 3 }, result)
    assert.equal("completed", job.status)
    assert.equal(1, job.meta.steps[1].failed)
    assert.equal("completed", job.meta.steps[1].status)
  end)

  it("of an optional step marks the step", function()
    local job = run { steps = { { name = "images", optional = true, run = error },
      { name = "end", run = function(context) return context.images == false end } } }
    assert.equal("failed", job.meta.steps[1].status)
    assert.is_true(job.result)
  end)

  it("of an optional step's each marks the step, too", function()
    for _, each in ipairs { error, nothing, function() return nil, "no list" end } do
      local job = run { steps = { { name = "images", optional = true, each = each, run = nothing },
        { name = "end", run = function(context) return context.images == false end } } }
      assert.same({ "completed", true }, { job.status, job.result })
      local step = job.meta.steps[1]
      assert.same({ "failed", 1, 1, 1 }, { step.status, step.failed, step.done, step.total })
    end
  end)
end)

describe("retries", function()
  it("are made as often as declared, with a delay that doubles", function()
    local delays = {}
    local function note(seconds) delays[#delays + 1] = seconds end
    local tracker = setmetatable({ wait_job = function(id, options)
      note(options.timeout)
      return JobTracker.wait_job(id, { timeout = 0.001, after = 2 ^ 53 })
    end }, { __index = JobTracker })
    local threads = nginx.threads() -- it waits in one way or the other
    if threads then threads.sleep = note end
    local id = JobTracker.create_job("chapter")
    Run.new(plan.read { task_type = "chapter", tracker = tracker, steps = { { name = "a",
      retries = 3, retry_delay = 0.01, run = function() error "busy" end } } }, id, nil, threads):go()
    local job = JobTracker.get_job(id)
    assert.equal("a: busy", job.error)
    assert.equal(4, job.meta.steps[1].attempts)
    assert.same({ 0.01, 0.02, 0.04 }, delays)
  end)

  it("end with the first success", function()
    local job = run { steps = { { name = "a", retries = 5, retry_delay = 0,
      run = function(_, step)
        if step.attempt < 3 then error "not yet" end
        return step.attempt
      end } } }
    assert.equal(3, job.result)
  end)
end)

describe("a pause", function()
  it("lasts as long as it is told, and ends when the job is cancelled", function()
    local began, slept = process.now(), nil
    local job = run { steps = { { name = "a", run = function(context, step)
      step:pause(0.1)
      slept = process.now() - began
      assert(JobTracker.cancel_job(context.task_id, "enough"))
      step:pause(60)
    end } } }
    assert.is_true(slept >= 0.1 and slept < 5, slept)
    assert.equal("cancelled: enough", job.error)
    assert.is_true(process.now() - began < 10)
  end)

  it("is not made shorter, nor much longer, by others' changes of the job", function()
    local tracker = setmetatable({ wait_job = function(id, options)
      assert(JobTracker.update_job(id, { current_step = "changed" }))
      return JobTracker.wait_job(id, options)
    end }, { __index = JobTracker })
    local began = process.now()
    run { tracker = tracker, steps = { { name = "a", run = function(_, step)
      for _ = 1, 12 do
        local paused_at = process.now()
        step:pause(0.1)
        local lasted = process.now() - paused_at
        assert(lasted >= 0.1, lasted)
      end
    end } } }
    assert.is_true(process.now() - began < 5)
  end)

  it("refuses what is no time, at the caller's line", function()
    local message
    run { steps = { { name = "a", run = function(_, step)
      message = misuse(function() step:pause(-1) end, "pause: seconds must be a number from 0")
    end } } }
    assert.is_string(message)
  end)
end)

describe("a wish to cancel", function()
  local function cancelled_at(step)
    local job, result, message, code = run { steps = { step } }
    assert.is_nil(result)
    assert.equal("cancelled: enough", message)
    assert.equal("cancelled", code)
    assert.equal("failed", job.status)
    assert.equal("cancelled: enough", job.error)
    return job
  end

  it("is noticed at the next report", function()
    local after = false
    cancelled_at { name = "a", run = function(context, step)
      assert(JobTracker.cancel_job(context.task_id, "enough"))
      step:report(0.5)
      after = true
    end }
    assert.is_false(after)
  end)

  it("is noticed between items, and after the last", function()
    local job = cancelled_at { name = "a", each = function() return { 1, 2, 3 } end,
      run = function(context, step)
        if step.index == 2 then assert(JobTracker.cancel_job(context.task_id, "enough")) end
      end }
    assert.equal(2, job.meta.steps[1].done)
    cancelled_at { name = "a", run = function(context)
      assert(JobTracker.cancel_job(context.task_id, "enough"))
    end }
  end)

  it("ends the wait before a retry at once", function()
    local id = JobTracker.create_job("chapter")
    local worker = child.start(function()
      local _, message, code = pipeline.new { task_type = "chapter", steps = { {
        name = "a", retries = 1, retry_delay = 600, run = function() error "again" end } } }
        :run(nil, { task_id = id })
      assert(code == "cancelled", message)
    end)
    wait_until(function()
      return JobTracker.get_job(id).current_step:find("trying again", 1, true)
    end, "the first attempt")
    assert(JobTracker.cancel_job(id, "enough"))
    local job = assert(JobTracker.wait_job(id, { timeout = 5 }))
    assert.equal("cancelled: enough", job.error)
    worker:finish()
  end)
end)

describe("a run", function()
  it("ends when its job is deleted", function()
    local result, message, code = pipeline.new { task_type = "chapter", steps = { {
      name = "a", run = function(context, step)
        assert(JobTracker.delete_job(context.task_id))
        step:report(0.5)
        error "not reached"
      end } } }:run()
    assert.is_nil(result)
    assert.is_string(message)
    assert.equal("not_found", code)
  end)

  it("ends when somebody else has ended its job, and leaves it so", function()
    local job, result, _, code = run { steps = { { name = "a", run = function(context, step)
      assert(JobTracker.update_job(context.task_id, { status = "completed", result = "theirs" }))
      step:report(0.5)
    end } } }
    assert.is_nil(result)
    assert.equal("invalid_transition", code)
    assert.equal("completed", job.status)
    assert.equal("theirs", job.result)
  end)

  it("leaves the error of somebody else as it is, too", function()
    local job, _, _, code = run { steps = { { name = "a", run = function(context, step)
      assert(JobTracker.update_job(context.task_id, { status = "failed", error = "theirs" }))
      step:report(0.5)
    end } } }
    assert.equal("invalid_transition", code)
    assert.equal("theirs", job.error)
  end)

  it("ends with Ctrl-C, and is not tried again", function()
    local id = JobTracker.create_job("chapter")
    local worker = child.start(function()
      local _, message, code = pipeline.new { task_type = "chapter", steps = { { name = "a",
        retries = 9, run = function(_, step) step:pause(600) end } } }:run(nil, { task_id = id })
      assert(code == "interrupted", message)
    end)
    wait_until(function() return JobTracker.get_job(id).status == "running" end, "the start")
    worker:kill("INT")
    worker:finish()
    assert.same({ "failed", "interrupted" },
      { JobTracker.get_job(id).status, JobTracker.get_job(id).error })
  end)

  it("owns its job: killed, it is seen as failed in its step", function()
    local id = JobTracker.create_job("chapter")
    local worker = child.start(function()
      pipeline.new { task_type = "chapter", steps = { { name = "sections",
        each = function() return { "Fences", "Memory order" } end,
        run = function(context, step)
          if step.index == 2 then JobTracker.wait_job(context.task_id) end
        end } } }:run(nil, { task_id = id })
    end)
    wait_until(function()
      return JobTracker.get_job(id).current_step == "sections 2/2: Memory order"
    end, "the second section")
    worker:kill_dead()
    local job = assert(JobTracker.wait_job(id, { timeout = 0.25 }))
    assert.equal("failed", job.status)
    assert.equal(("the process working on this job (pid %d) died during: sections 2/2: "
      .. "Memory order"):format(worker.pid), job.error)
  end)
end)

describe("an error among items", function()
  it("leaves those that are finished in the context", function()
    local kept
    run { steps = { { name = "sections", each = function() return { "a", "b", "c" } end,
        run = function(_, step)
          if step.index == 3 then error "no" end
          return step.item:upper()
        end } },
      on_error = function(_, context) kept = context.sections end }
    assert.same({ "A", "B" }, kept)
  end)
end)
