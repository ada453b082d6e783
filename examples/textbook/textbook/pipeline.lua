-- pipeline: runs the steps in order and lets a job know: pending, running, how
-- far, and how it ended. What the steps do is not its matter.

local chapter = require "textbook.chapter"
local files = require "textbook.files"
local steps = require "textbook.steps"
local unicode = require "textbook.unicode"

local pipeline = {}

---@class textbook.Failure
---@field message string for people: the job's error
---@field traceback string? of a fault of the program, for standard error
---@field interrupted boolean? a person pressed Ctrl-C

-- Lua's own interpreter turns Ctrl-C into this error.
local INTERRUPTED = "interrupted!$"

local function with_traceback(raised)
  if type(raised) == "table" and raised.stopped then return raised end
  return { raised = tostring(raised), traceback = debug.traceback(tostring(raised), 2) }
end

local function failure_of(step, raised)
  if raised.stopped then return { message = raised.stopped } end
  if raised.raised:find(INTERRUPTED) then
    return { message = "interrupted", interrupted = true }
  end
  return { message = ("unexpected error in the step %s: %s"):format(step.name,
             unicode.shortened(raised.raised, 300)), traceback = raised.traceback }
end

-- The facts of the source, as they become known.
local function meta_of(context)
  return { source = unicode.printable(context.source), words = context.words,
           title = context.outline and context.outline.title }
end

-- What a step reports is a share of its share of the whole.
local function reporter(context, job, step, before)
  return function(fraction, text)
    job:report(before + step.share * fraction, text, meta_of(context))
    job:pause(context.pace or 0)
  end
end

local function run_steps(context, job, list)
  local before = 0
  for _, step in ipairs(list) do
    context.report = reporter(context, job, step, before)
    local called, done, message = xpcall(step.run, with_traceback, context)
    if not called then return failure_of(step, done) end
    if not done then return { message = message } end
    before = math.min(1, before + step.share)
  end
end

local function clean_up(context)
  for _, name in ipairs { steps.CHAPTER, steps.FIGURE } do
    os.remove(context.staging .. "/" .. name)
  end
  os.remove(context.staging)
end

---Runs the pipeline as the given job. Returns true when the chapter is there,
---else nil and what went wrong; the job says the same.
---@param context { path: string, out: string, pace: number? }
---@param job textbook.Job
---@param list table? other steps than the pipeline's own
---@return true?
---@return textbook.Failure?
function pipeline.run(context, job, list)
  context.source = context.path == "-" and "-" or files.absolute(context.path)
  context.out = files.absolute(context.out)
  context.staging = context.out .. "/.textbook-" .. job.id
  local failure
  local started, raised = xpcall(function()
    job:update { status = "running", meta = meta_of(context) }
    failure = run_steps(context, job, list or steps.list)
  end, with_traceback)
  if not started then failure = failure_of({ name = "start" }, raised) end
  clean_up(context)
  if failure then
    job:finish { status = "failed", error = failure.message, meta = meta_of(context) }
    return nil, failure
  end
  local ending = ("Chapter of %d sections and %d terms"):format(context.result.sections,
                                                            context.result.terms)
  local finished, message = job:finish { status = "completed", result = context.result,
    current_step = ending, meta = meta_of(context) }
  if not finished then
    return nil, { message = "the chapter is there, but the job does not say so: "
                            .. message }
  end
  job.shown(1, ending)
  return true
end

---A line about the finished chapter, for people.
---@param result table
---@return string
function pipeline.summary(result)
  return ("%s: %s words in %d sections, %d terms, from %s words"):format(result.chapter,
    chapter.grouped(result.words.chapter), result.sections, result.terms,
    chapter.grouped(result.words.source))
end

return pipeline
