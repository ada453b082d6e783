-- run: one run of a pipeline as a job of a tracker: pending, running, how far, and
-- how it ended. What the steps do is not its matter.
--
-- Progress is the weight of what is done over the weight of all, and never goes
-- back. Each report says "running" again: a job that somebody else has ended
-- refuses that, where it would take the other fields.

local text = require "job_tracker.pipeline.text"

---@class job_tracker.Context
---@field input any what run was given
---@field task_id string
---@field [string] any what the step of that name returned

---@class job_tracker.Failure
---@field task_id string
---@field step string? its name
---@field index integer? of the item
---@field item any
---@field message string the job's error
---@field code string "failed", "cancelled", or the tracker's
---@field traceback string? of what was raised

---What a step's function gets beside the context.
---@class job_tracker.StepRun
---@field name string
---@field item any the item, where the step has 'each'
---@field index integer? its number, from 1
---@field total integer?
---@field attempt integer 1, 2, ... as retries are made
---@field private owner table
local StepRun = {}
StepRun.__index = StepRun

local Run = {}
Run.__index = Run

-- The end of a job is told again while a stopped writer holds the lock: each try
-- waits for a second in the tracker.
local LAST_TRIES = 5
local LONGEST_DELAY = 3600
local SLICE = 0.25 -- seconds, in nginx, between looks for a wish to cancel

-- Raised to end a run for a reason that no step is to blame for.
local Stop = {}

local function stop(message, code) error(setmetatable({ message = message, code = code }, Stop), 0) end

local function is_stop(raised) return getmetatable(raised) == Stop end

local function now() return os.date("!%Y-%m-%dT%H:%M:%SZ") end

---@param plan table
---@param id string
---@param input any
function Run.new(plan, id, input)
  local self = setmetatable({ plan = plan, tracker = plan.tracker, id = id, before = 0,
    progress = 0, context = { input = input, task_id = id }, meta = { steps = {} },
    meta_changed = true }, Run)
  for index, step in ipairs(plan.steps) do
    self.meta.steps[index] = { name = step.name, status = "pending", done = 0,
                               total = 1, failed = 0, attempts = 0 }
  end
  return self
end

-- ------------------------------------------------------------------- reporting

---Raises if the job is to end, or has ended without us.
function Run:heed()
  local job, message, code = self.tracker.get_job(self.id)
  if not job and code == nil then stop("the job was deleted", "not_found") end
  if not job and code ~= "busy" then stop(message, code) end
  if not job then return nil end
  if job.cancel_requested then stop("cancelled: " .. job.cancel_requested, "cancelled") end
  if job.finished_at then stop("the job was ended by somebody else", "invalid_transition") end
  return job
end

---A report may be lost while the store is busy: the next one carries its facts.
function Run:say(fraction, remark)
  self:heed()
  local state = self.state
  local part = self.step.weight * (state.done + fraction) / math.max(state.total, 1)
  self.progress = math.max(self.progress,
                           math.min(1, (self.before + part) / self.plan.weight))
  local fields = { status = "running", progress = self.progress,
                   current_step = text.current_step(self.now, remark) }
  if self.meta_changed then fields.meta = self.meta end
  local updated, message, code = self.tracker.update_job(self.id, fields)
  if updated then self.meta_changed = false
  elseif code ~= "busy" then stop(message, code) end
end

---Says how far the item (without 'each': the step) is.
---@param fraction number from 0 to 1
---@param remark? string for people
function StepRun:report(fraction, remark)
  if type(fraction) ~= "number" or not (fraction >= 0 and fraction <= 1) then
    error(("report: fraction must be a number from 0 to 1, got %s"):format(
      tostring(fraction)), 2)
  end
  if remark ~= nil and type(remark) ~= "string" then
    error("report: text must be a string, got " .. type(remark), 2)
  end
  self.owner:say(fraction, remark)
end

---Adds fields to the job's meta, beside 'steps'; they are stored with the next report.
---@param fields table
function StepRun:meta(fields)
  if type(fields) ~= "table" or fields.steps ~= nil then
    error("meta: fields must be a table without steps", 2)
  end
  for name, value in pairs(fields) do self.owner.meta[name] = value end
  self.owner.meta_changed = true
end

-- --------------------------------------------------------------------- waiting

local function pause_in_nginx(run, sleep, seconds)
  while seconds > 0 do
    sleep(math.min(seconds, SLICE))
    seconds = seconds - SLICE
    run:heed()
  end
end

---Lets time pass; a change of the job, such as a wish to cancel, is noticed at once.
function Run:pause(seconds)
  local ngx = rawget(_G, "ngx")
  if ngx then return pause_in_nginx(self, ngx.sleep, seconds) end
  local ends = os.time() + seconds
  while seconds > 0 do
    local job = self:heed()
    local changed = self.tracker.wait_job(self.id,
      { timeout = seconds, after = job and job.version or 2 ^ 53 })
    if not changed then break end
    seconds = math.min(seconds, ends - os.time())
  end
  self:heed()
end

-- --------------------------------------------------------------------- running

local function with_traceback(raised)
  if is_stop(raised) then return raised end
  return { message = text.message(raised), traceback = debug.traceback(tostring(raised), 2) }
end

-- Calls a function of the pipeline's author. Returns true and its value, or false and
-- what went wrong: raised, or returned as nil and a message.
local function call(fn, ...)
  local called, value, message = xpcall(fn, with_traceback, ...)
  if not called and is_stop(value) then error(value, 0) end
  if not called then return false, value end
  if value == nil and message ~= nil then
    return false, { message = text.message(message) }
  end
  return true, value
end

function Run:attempt(step, number)
  local handle = setmetatable({ owner = self, name = step.name, item = self.now.item,
    index = self.now.index, total = self.now.total, attempt = number }, StepRun)
  self.state.attempts = self.state.attempts + 1
  self.meta_changed = true
  self:say(0)
  return call(step.run, self.context, handle)
end

---Runs the step once, for one item if it has any, and again as often as it may.
function Run:with_retries(step)
  local delay = step.retry_delay
  for number = 1, step.retries + 1 do
    local done, value = self:attempt(step, number)
    if done or number > step.retries then return done, value end
    self:say(0, ("failed, trying again: %s"):format(text.cut(value.message, 200)))
    self:pause(delay)
    delay = math.min(2 * delay, LONGEST_DELAY)
  end
end

function Run:fail(trouble)
  error(setmetatable({ message = text.failure(self.now, trouble.message), code = "failed",
    traceback = trouble.traceback }, Stop), 0)
end

-- One item, or the step itself. Returns what it gave; false if it failed and may.
function Run:unit(step)
  local done, value = self:with_retries(step)
  if not done and not step.optional then self:fail(value) end
  if not done then self.state.failed, value = self.state.failed + 1, false end
  self.state.done = self.state.done + 1
  self.meta_changed = true
  return value
end

function Run:items_of(step)
  local given, items = call(step.each, self.context)
  if given and type(items) ~= "table" then
    given, items = false, { message = "each must return an array, got " .. type(items) }
  end
  if not given then self:fail(items) end
  return items
end

function Run:over_items(step)
  local items, values = self:items_of(step), {}
  self.state.total = #items
  for index, item in ipairs(items) do
    self.now = { name = step.name, index = index, total = #items, item = item }
    local named, label = call(text.label, step, item, index)
    if not named then self:fail(label) end
    self.now.label = label
    values[index] = self:unit(step)
  end
  return values
end

function Run:take(step, state)
  self.step, self.state, self.now = step, state, { name = step.name }
  state.status, state.started_at = "running", now()
  self.meta_changed = true
  local value
  if step.each then value = self:over_items(step) else value = self:unit(step) end
  self.context[step.name] = value
  local all_failed = state.failed > 0 and state.failed == state.total
  state.status, state.finished_at = all_failed and "failed" or "completed", now()
  self.before = self.before + step.weight
  self.last = value
end

-- Everything up to the job's last update; raises a Stop where it must end.
function Run:steps()
  local claimed, message, code = self.tracker.claim_job(self.id)
  if not claimed then stop(message, code) end
  for index, step in ipairs(self.plan.steps) do self:take(step, self.meta.steps[index]) end
  self:heed()
  if not self.plan.result then return self.last end
  self.now = { name = "result" }
  local given, result = call(self.plan.result, self.context)
  if not given then self:fail(result) end
  return result
end

-- ---------------------------------------------------------------------- ending

function Run:tell_end(fields)
  fields.meta = self.meta
  local updated, message, code
  for _ = 1, LAST_TRIES do
    updated, message, code = self.tracker.update_job(self.id, fields)
    if updated or code ~= "busy" then break end
  end
  return updated, message, code
end

function Run:complete(result)
  local fields = { status = "completed", result = result,
                   current_step = "Completed" }
  -- A result that JSON cannot hold is the author's mistake, and raises.
  local told, updated, message, code = pcall(self.tell_end, self, fields)
  if not told then
    self.now = { name = "result" }
    return self:give_up { message = text.failure(self.now, text.message(updated)), code = "failed" }
  end
  if not updated then return nil, message, code end
  return result
end

function Run:give_up(trouble)
  if self.state and self.state.status == "running" then
    self.state.status, self.state.finished_at = "failed", now()
  end
  for _, state in ipairs(self.meta.steps) do
    if state.status == "pending" then state.status = "skipped" end
  end
  -- Nothing to be told where the job is gone, has ended, or cannot be written.
  self:tell_end { status = "failed", error = trouble.message }
  if self.plan.on_error then
    local at = self.now or {}
    self.plan.on_error({ task_id = self.id, step = at.name, index = at.index,
      item = at.item, message = trouble.message, code = trouble.code,
      traceback = trouble.traceback }, self.context)
  end
  return nil, trouble.message, trouble.code
end

---Runs to the end. Returns the result, or nil, message, code.
function Run:go()
  local done, result = xpcall(self.steps, with_traceback, self)
  if done then return self:complete(result) end
  if not is_stop(result) then
    result = { message = text.failure(self.now, result.message), code = "failed",
               traceback = result.traceback }
  end
  return self:give_up(result)
end

return Run
