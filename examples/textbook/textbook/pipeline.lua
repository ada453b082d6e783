-- pipeline: the steps as a declared pipeline of job_tracker, which runs them as a job and
-- reports for them. This room knows how they are weighted, how long each is to be seen,
-- and what the job's meta says; what the steps do is told in steps.lua.

local job_pipeline = require "job_tracker.pipeline"
local chapter = require "textbook.chapter"
local steps = require "textbook.steps"
local unicode = require "textbook.unicode"

local pipeline = {}

---@class textbook.PipelineOptions
---@field tracker table? a JobTracker; default: the in-memory store's
---@field pace number? seconds that whatever is reported is to be seen; default 0
---@field on_report fun(progress: number, current_step: string)? is told what the job is told
---@field on_error fun(failure: job_tracker.Failure)?

-- A step that stays on what it has said, and on its beginning, for a while.
local function watchable(run, pace)
  return function(context, step)
    step:pause(pace)
    return run(context, function(fraction, text)
      step:report(fraction, text)
      step:pause(pace)
    end, step)
  end
end

-- The source is known before it is read, its words after, its title with the outline.

local function read(context, say, step)
  step:meta { source = unicode.printable(context.input.path) }
  local ready, why = steps.prepare(context)
  if not ready then return nil, why end
  local document, message = steps.reading(context, say)
  if not document then return nil, message end
  step:meta { words = document.words }
  say(1, ("%s words"):format(chapter.grouped(document.words)))
  return document
end

local function find_headings(context, say, step)
  local found = steps.outline(context, say)
  step:meta { title = found.title }
  return found
end

local function condense(context, _, step) return steps.condense(context, step.item) end

---What pipeline.new is told: to be changed before, by who wants another step.
---@param options textbook.PipelineOptions
---@return job_tracker.PipelineOptions
function pipeline.declaration(options)
  local list = {
    { name = "reading", weight = 8, run = read },
    { name = "outline", weight = 7, run = find_headings },
    { name = "division", weight = 10, run = steps.division },
    { name = "sections", weight = 40, each = steps.sections, label = steps.label, run = condense },
    { name = "glossary", weight = 10, run = steps.glossary },
    { name = "figure", weight = 7, run = steps.figure },
    { name = "chapter", weight = 6, run = steps.chapter },
    { name = "validation", weight = 8, run = steps.validation },
    { name = "publication", weight = 4, run = steps.publication },
  }
  for _, step in ipairs(list) do step.run = watchable(step.run, options.pace or 0) end
  return { task_type = "textbook", steps = list, tracker = options.tracker,
    on_report = options.on_report,
    on_error = function(failure, context)
      steps.clean_up(context)
      if options.on_error then options.on_error(failure) end
    end }
end

---The pipeline. Its input is a textbook.Input; its result says where the chapter is.
---@param options textbook.PipelineOptions
---@return job_tracker.Pipeline
function pipeline.new(options) return job_pipeline.new(pipeline.declaration(options)) end

---A line about the finished chapter, for people.
---@param result table
---@return string
function pipeline.summary(result)
  return ("%s: %s words in %d sections, %d terms, from %s words"):format(result.chapter,
    chapter.grouped(result.words.chapter), result.sections, result.terms,
    chapter.grouped(result.words.source))
end

return pipeline
