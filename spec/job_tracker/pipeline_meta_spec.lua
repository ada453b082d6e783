-- What the meta of a pipeline's job tells of its steps. Also run in a worker of nginx, see
-- pipeline_nginx_spec.lua.

local misuse = require "misuse"
local pipeline = require "job_tracker.pipeline"
local JobTracker = require("job_tracker").JobTracker

after_each(function() JobTracker.clear_jobs() end)

local function nothing() end

-- Runs steps as a job; returns it at its end.
local function run(options)
  local id
  options.task_type = "chapter"
  pipeline.new(options):run(nil, { on_start = function(given) id = given end })
  return assert(JobTracker.get_job(id))
end

local function seen(context) return JobTracker.get_job(context.task_id) end

describe("meta.steps", function()
  it("tells each step's state, items, attempts and times", function()
    local during
    local job = run { steps = {
      { name = "outline", run = function() return 1 end },
      { name = "sections", each = function() return { "a", "b" } end,
        run = function(context, step) if step.index == 2 then during = seen(context).meta.steps end end },
      { name = "end", run = nothing },
    } }
    assert.equal("completed", during[1].status)
    assert.equal("running", during[2].status)
    assert.equal(1, during[2].done)
    assert.equal(2, during[2].total)
    assert.is_nil(during[2].finished_at)
    assert.equal("pending", during[3].status)
    local before = job.created_at
    for _, step in ipairs(job.meta.steps) do
      assert.equal("completed", step.status)
      assert.equal(step.total, step.done)
      for _, time in ipairs { step.started_at, step.finished_at } do
        assert.equal(#before, #time)
        assert.is_true(before <= time, before .. " " .. time) -- the job's own clock
        before = time
      end
    end
    assert.is_true(before <= job.finished_at)
    assert.equal(2, job.meta.steps[2].attempts)
  end)

  it("keeps what a step adds beside it, from then on", function()
    local job = run { steps = { { name = "a", run = function(context, step)
      step:meta { words = 512 }
      assert.equal(512, seen(context).meta.words)
      step:meta { pages = 2 }
      step:report(1)
    end } } }
    assert.same({ 512, 2 }, { job.meta.words, job.meta.pages })
    assert.equal("a", job.meta.steps[1].name)
  end)

  it("refuses to add what JSON cannot hold, at the caller's line, and goes on", function()
    local job = run { steps = { { name = "a", run = function(_, step)
      misuse(function() step:meta { steps = {} } end, "meta: fields must be a table without the field steps")
      misuse(function() step:meta { words = print } end, "meta.words: JSON has no function")
      misuse(function() step:meta { 1 } end, "meta: keys must be")
      step:report(1)
    end } } }
    assert.equal("completed", job.status)
    assert.is_nil(job.meta.words)
  end)

  it("does not keep a job from its end, whatever became of what was added", function()
    local job = run { steps = { { name = "a", run = function(_, step)
      local words = {}
      step:meta { words = words }
      words[1] = print
      error "no"
    end } } }
    assert.same({ "failed", "a: no" }, { job.status, job.error })
    assert.equal("failed", job.meta.steps[1].status)
  end)

  it("takes 32 KiB at most, with the longest names and the largest numbers", function()
    local steps = {}
    for index = 1, 64 do
      steps[index] = { name = ("%02d"):format(index) .. ('"'):rep(62), run = nothing,
        each = function() return { 1 } end }
    end
    local job = run { steps = steps }
    assert.equal("completed", job.status)
    local meta = job:to_json():match('"meta":(.*)}$')
    local numbers = 64 * 4 * 15 -- done, total, failed, attempts: up to 16 digits instead of 1
    assert.is_true(#meta + numbers < 32 * 1024, #meta)
  end)

  it("does not grow with the items", function()
    local items = {}
    for index = 1, 100000 do items[index] = "item" end
    local job = run { steps = { { name = "items", each = function() return items end,
      run = function() return 1 end } }, result = nothing }
    assert.same({ "completed", 100000, 100000 },
      { job.status, job.meta.steps[1].done, job.meta.steps[1].attempts })
    assert.is_true(#job:to_json() < 1024, #job:to_json())
  end)
end)
