-- pipeline: declared steps that report themselves as a job of a tracker. Its author
-- never computes a percentage. How a declaration is read is told in
-- pipeline/plan.lua, how it is run in pipeline/run.lua.

local Run = require "job_tracker.pipeline.run"
local plan = require "job_tracker.pipeline.plan"

local pipeline = {}

---@class job_tracker.Pipeline
---@field private plan table
local Pipeline = {}
Pipeline.__index = Pipeline

---@class job_tracker.RunOptions
---@field task_id? string run as this pending job instead of a new one
---@field on_start? fun(task_id: string) is told the id before the first step

---Declares a pipeline.
---@param options job_tracker.PipelineOptions
---@return job_tracker.Pipeline
function pipeline.new(options)
  return setmetatable({ plan = plan.read(options) }, Pipeline)
end

---Runs all steps as one job and returns the result: the default is what the last
---step returned. nil, message, code when it failed ("failed", "cancelled"), or when
---the tracker refused ("full", "not_found", ...).
---@param input any
---@param options? job_tracker.RunOptions
---@return any result
---@return string? message
---@return string? code
function Pipeline:run(input, options)
  options = options or {}
  local id = options.task_id
  if not id then
    local created, message, code = self.plan.tracker.create_job(self.plan.task_type)
    if not created then return nil, message, code end
    id = created
  end
  local run = Run.new(self.plan, id, input)
  if options.on_start then options.on_start(id) end
  return run:go()
end

return pipeline
