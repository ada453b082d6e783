-- pipeline: declared steps that report themselves as a job of a tracker. Its author
-- never computes a percentage. How a declaration is read is told in
-- pipeline/plan.lua, how it is run in pipeline/run.lua, how runs wait for their turn
-- in a worker of nginx in pipeline/queue.lua.

local nginx = require "job_tracker.pipeline.nginx"
local Queue = require "job_tracker.pipeline.queue"
local Run = require "job_tracker.pipeline.run"
local plan = require "job_tracker.pipeline.plan"

local pipeline = {}

---@class job_tracker.Pipeline
---@field private plan table
local Pipeline = {}
Pipeline.__index = Pipeline

---@class job_tracker.StartOptions
---@field task_id? string run as this pending job instead of a new one

---@class job_tracker.RunOptions : job_tracker.StartOptions
---@field on_start? fun(task_id: string) is told the id before the first step

---@class job_tracker.QueueOptions
---@field queue? integer how many started jobs may wait in a worker process; default 1000
---@field runners? integer how many of them run in it at a time; default 2

-- One for each worker process, whatever pipelines there are: made by the first start.
local settings = { queue = 1000, runners = 2 }
local queue

---Declares a pipeline.
---@param options job_tracker.PipelineOptions
---@return job_tracker.Pipeline
function pipeline.new(options)
  return setmetatable({ plan = plan.read(options) }, Pipeline)
end

---Sets how much a worker process of nginx takes on, by start, of all pipelines
---together. In init_by_lua it holds for all workers.
---@param options job_tracker.QueueOptions
function pipeline.configure(options)
  for name, value in pairs(plan.read_queue(options)) do settings[name] = value end
  if queue then queue.size, queue.runners = settings.queue, settings.runners end
end

local function check_called(self, name)
  if getmetatable(self) == Pipeline then return end
  error(("pipeline.%s: it is a method, call it with a colon: pipeline:%s(input)"):format(
    name, name), 3)
end

---Runs all steps as one job and returns the result: the default is what the last
---step returned. true where there is none; nil, message, code when it failed ("failed", "cancelled",
---"interrupted"), or when the tracker refused ("full", "not_found", ...).
---@param input any
---@param options? job_tracker.RunOptions
---@return any result
---@return string? message
---@return string? code
function Pipeline:run(input, options)
  check_called(self, "run")
  options = plan.read_run(options)
  local id = options.task_id
  if not id then
    local created, message, code = self.plan.tracker.create_job(self.plan.task_type)
    if not created then return nil, message, code end
    id = created
  end
  return Run.new(self.plan, id, input):go(options.on_start)
end

local function refused(message) return nil, "start: " .. message, "busy" end

-- Whether a job may be taken on now.
local function has_room(timers)
  if timers.is_exiting() then return refused "the server is shutting down" end
  queue = queue or Queue.new(timers, settings.queue, settings.runners)
  if not queue then return refused "nginx has no timer left (lua_max_pending_timers)" end
  if queue:is_full() then
    return refused(("%d jobs are waiting already"):format(queue.size))
  end
  return true
end

-- This process's pending job: if it dies the job is failed, also when it never began.
local function own_job(tracker, task_type, given)
  local id, message, code = given, nil, nil
  if not id then id, message, code = tracker.create_job(task_type) end
  if not id then return nil, message, code end
  local claimed
  claimed, message, code = tracker.claim_job(id)
  if claimed then return id end
  if not given then tracker.delete_job(id) end
  return nil, message, code
end

---In OpenResty: makes the job, and returns its id at once. It is run by this worker
---process when its turn comes, see configure. nil, message, "busy", and no new job,
---where too many wait.
---@param input any
---@param options? job_tracker.StartOptions
---@return string? task_id
---@return string? message
---@return string? code
function Pipeline:start(input, options)
  check_called(self, "start")
  options = plan.read_start(options)
  local timers, why = nginx.timers()
  if not timers then error("start: " .. why .. "; call run", 2) end
  local free, message, code = has_room(timers)
  if not free then return nil, message, code end
  local id
  id, message, code = own_job(self.plan.tracker, self.plan.task_type, options.task_id)
  if not id then return nil, message, code end
  queue:push(Run.new(self.plan, id, input))
  return id
end

return pipeline
