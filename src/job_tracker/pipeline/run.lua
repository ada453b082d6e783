-- run: one run of a pipeline as a job of a tracker: pending, running, how far, and
-- how it ended. What a step does with its items is told in stage.lua.
--
-- Progress is the weight of what is done over the weight of all, and never goes
-- back. Each report says "running" again: a job that somebody else has ended
-- refuses that, where it would take the other fields.

local now = require("job_tracker").now
local guard = require "job_tracker.pipeline.guard"
local nginx = require "job_tracker.pipeline.nginx"
local Stage = require "job_tracker.pipeline.stage"
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
---@field code string "failed", "cancelled", "interrupted", "exiting", or the tracker's
---@field traceback string? of what was raised

---@class job_tracker.Run : job_tracker.Waiting
---@field context job_tracker.Context
---@field stopping job_tracker.Stop? why nothing new is to be begun
local Run = {}
Run.__index = Run

-- The end of a job is told again while a stopped writer holds the lock: each try
-- waits for a second in the tracker.
local LAST_TRIES = 5
local SHORT = 200 -- bytes of an error that has found no room
local SLICE = 0.25 -- seconds, in nginx, between looks for a wish to cancel

local function seconds_now() return (select(2, now())) end

local function stop(message, code, traceback)
  error(guard.stop(message, code, traceback), 0)
end

---@param plan table
---@param id string of a pending job
---@param input any
---@param threads job_tracker.Threads? default: OpenResty's, where they are
---@return job_tracker.Run
function Run.new(plan, id, input, threads)
  local self = setmetatable({ plan = plan, tracker = plan.tracker, id = id, before = 0,
    progress = 0, context = { input = input, task_id = id }, meta = { steps = {} },
    meta_changed = true, threads = threads }, Run)
  for index, step in ipairs(plan.steps) do
    self.meta.steps[index] = { name = step.name, status = "pending", done = 0,
                               total = 1, failed = 0, attempts = 0 }
  end
  return self
end

-- ------------------------------------------------------------------- reporting

---Raises if the job is to end, or has ended without us.
function Run:heed()
  if self.stopping then error(self.stopping, 0) end
  local job, message, code = self.tracker.get_job(self.id)
  if not job and code == nil then stop("the job was deleted", "not_found") end
  if not job and code ~= "busy" then stop(message, code) end
  if not job then return nil end
  if job.cancel_requested then stop("cancelled: " .. job.cancel_requested, "cancelled") end
  if job.finished_at then stop("the job was ended by somebody else", "invalid_transition") end
  return job
end

---Stores more fields of meta, at once: what JSON cannot hold raises, and is not kept.
function Run:add_meta(fields)
  local meta = {}
  for _, part in ipairs { self.meta, fields } do
    for name, value in pairs(part) do meta[name] = value end
  end
  local updated, message, code = self.tracker.update_job(self.id,
    { status = "running", meta = meta })
  if not updated and code ~= "busy" then stop(message, code) end
  self.meta, self.meta_changed = meta, not updated
end

-- What it raises is no item's failure, and trying that again would not help.
local function tell_author(name, fn, ...)
  local told, trouble = guard.call(function(...) fn(...) end, ...)
  if told then return end
  stop(text.failure({ name = name }, trouble.message), "failed", trouble.traceback)
end

---A report may be lost while the store is busy: the next one carries its facts.
---@param stage table the step under way
---@param words string for people
function Run:say(stage, words)
  self:heed()
  local reached = (self.before + stage.step.weight * stage:share()) / self.plan.weight
  self.progress = math.max(self.progress, math.min(1, reached))
  local fields = { status = "running", progress = self.progress, current_step = words }
  if self.meta_changed then fields.meta = self.meta end
  local updated, message, code = self.tracker.update_job(self.id, fields)
  if not updated and code ~= "busy" then stop(message, code) end
  if not updated then return end
  self.meta_changed = false
  if self.plan.on_report then
    tell_author("on_report", self.plan.on_report, self.progress, words)
  end
end

-- --------------------------------------------------------------------- waiting

function Run:sleep(seconds)
  repeat
    self.threads.sleep(math.min(seconds, SLICE))
    seconds = seconds - SLICE
    self:heed()
  until seconds <= 0
end

---Lets time pass; a change of the job, such as a wish to cancel, is noticed at once.
function Run:pause(seconds)
  if self.threads and seconds > 0 then return self:sleep(seconds) end
  while seconds > 0 do
    local job, began = self:heed(), seconds_now()
    local changed = self.tracker.wait_job(self.id,
      { timeout = seconds, after = job and job.version or 2 ^ 53 })
    if not changed then break end
    seconds = seconds - math.max(0, seconds_now() - began) -- the clock may be set back
  end
  self:heed()
end

-- --------------------------------------------------------------------- running

function Run:take(step, state)
  local stage = Stage.new(self, step, state)
  state.status, state.started_at = "running", (now())
  self.meta_changed = true
  self.last = stage:go()
  self.context[step.name] = self.last
  local all_failed = state.failed > 0 and state.failed == state.total
  state.status, state.finished_at = all_failed and "failed" or "completed", (now())
  self.before = self.before + step.weight
end

function Run:result()
  if not self.plan.result then return self.last end
  local given, result = guard.call(self.plan.result, self.context)
  if not given then stop(text.failure({ name = "result" }, result.message), "failed") end
  return result
end

-- Everything up to the job's last update.
function Run:steps(on_start)
  self.threads = self.threads or nginx.threads()
  local claimed, message, code = self.tracker.claim_job(self.id)
  if not claimed then stop(message, code) end
  if on_start then tell_author("on_start", on_start, self.id) end
  for index, step in ipairs(self.plan.steps) do self:take(step, self.meta.steps[index]) end
  self:heed()
  return self:result()
end

-- ---------------------------------------------------------------------- ending

function Run:tell_end(fields)
  local updated, message, code
  for _ = 1, LAST_TRIES do
    updated, message, code = self.tracker.update_job(self.id, fields)
    if updated or code ~= "busy" then break end
  end
  return updated, message, code
end

function Run:complete(result)
  local fields = { status = "completed", result = result, current_step = "Completed",
                   meta = self.meta }
  -- A result that JSON cannot hold is the author's mistake, and raises.
  local told, updated, message, code = pcall(self.tell_end, self, fields)
  if not told then
    return self:give_up(guard.stop(
      text.failure({ name = "result" }, text.message(updated)), "failed"))
  end
  if not updated then return self:give_up(guard.stop(message, code)) end
  if result == nil then return true end -- nil is what a failure returns
  return result
end

function Run:close_steps()
  for _, state in ipairs(self.meta.steps) do
    if state.status == "running" then state.status, state.finished_at = "failed", (now()) end
    if state.status == "pending" then state.status = "skipped" end
  end
end

function Run:tell_failure(message)
  local function tell(why, meta)
    return self:tell_end { status = "failed", error = why, meta = meta }
  end
  local told, _, _, code = pcall(tell, message, self.meta)
  -- A table in meta that its author has changed since may hold anything by now.
  if not told then _, _, code = tell(message, { steps = self.meta.steps }) end
  -- There may be room to say that it failed where there is none to say all of why.
  if code == "full" then tell(text.cut(message, SHORT)) end
end

function Run:give_up(trouble)
  -- Somebody else is working on it: it is not for us to end it.
  if trouble.code == "claimed" then return nil, trouble.message, trouble.code end
  self:close_steps()
  -- A job that somebody else has ended keeps the end, and the error, that they gave it.
  if trouble.code ~= "invalid_transition" then self:tell_failure(trouble.message) end
  if self.plan.on_error then
    local at = trouble.at or {}
    self.plan.on_error({ task_id = self.id, step = at.name, index = at.index,
      item = at.item, message = trouble.message, code = trouble.code,
      traceback = trouble.traceback }, self.context)
  end
  return nil, trouble.message, trouble.code
end

---Runs to the end. Returns the result, true where there is none, or nil, message, code.
---@param on_start? fun(task_id: string)
function Run:go(on_start)
  local done, result = xpcall(self.steps, guard.caught, self, on_start)
  if done then return self:complete(result) end
  -- What is left is no step's: a mistake of the tracker's caller, say.
  if result.code == "raised" then result.code = "failed" end
  return self:give_up(result)
end

---Of a run that is not under way: whether its job is still to be done.
---@return boolean
---@return job_tracker.Stop? why not
function Run:still_wanted()
  local wanted, trouble = xpcall(self.heed, guard.caught, self)
  return wanted, not wanted and trouble or nil
end

-- Ends a run that is not under way, for this reason unless its job has another.
function Run:let_go(message, code)
  local _, trouble = self:still_wanted()
  self:give_up(trouble or guard.stop(message, code))
end

---Of a run that will not begin any more.
function Run:abandon()
  self:let_go("the server is shutting down, and the job had not begun", "exiting")
end

---Of a run that has come to an end in the middle.
function Run:lost()
  self:let_go("nginx's handler was ended in the middle of the job (ngx.exit)", "failed")
end

return Run
