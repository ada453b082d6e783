-- stage: a step under way: its items, one after another or several at a time, each tried
-- as often as it may be. What the job is told is the matter of run.lua.
--
-- One item that fails ends the stage: no other is begun, and those under way stop at
-- their next report or pause, or get done. None is killed: what they hold is theirs
-- to give back.

local guard = require "job_tracker.pipeline.guard"
local text = require "job_tracker.pipeline.text"

---What a step's function gets beside the context.
---@class job_tracker.StepRun
---@field name string
---@field item any the item, where the step has 'each'
---@field index integer? its number, from 1
---@field total integer?
---@field attempt integer 1, 2, ... as retries are made
---@field private label string?
---@field private fraction number how far it is
---@field private stage table
local StepRun = {}
StepRun.__index = StepRun

local Stage = {}
Stage.__index = Stage

local LONGEST_DELAY = 3600
local OVERSHOOT = 1e-9 -- of a fraction that was summed up, as update_job has it

---@param run table whose step it is
---@param step table of the plan
---@param state table of the job's meta.steps
function Stage.new(run, step, state)
  return setmetatable({ run = run, step = step, state = state, under_way = {},
                        at_a_time = step.parallel }, Stage)
end

-- ------------------------------------------------------------------ how far it is

---From 0 to 1.
---@return number
function Stage:share()
  local done = self.state.done
  for unit in pairs(self.under_way) do done = done + unit.fraction end
  return done / math.max(self.state.total, 1)
end

function Stage:words(unit, remark)
  if self.at_a_time == 1 then return text.current_step(unit, remark) end
  local others = -1
  for _ in pairs(self.under_way) do others = others + 1 end
  return text.parallel_step(unit, self.state.done, math.max(others, 0), remark)
end

function Stage:say(unit, fraction, remark)
  unit.fraction = fraction
  self.run:say(self, self:words(unit, remark))
end

---Says how far the item (without 'each': the step) is.
---@param fraction number from 0 to 1
---@param remark? string for people
function StepRun:report(fraction, remark)
  if type(fraction) ~= "number"
    or not (fraction >= -OVERSHOOT and fraction <= 1 + OVERSHOOT) then
    error(("report: fraction must be a number from 0 to 1, got %s"):format(
      text.given(fraction)), 2)
  end
  if remark ~= nil and type(remark) ~= "string" then
    error("report: text must be a string, got " .. text.given(remark), 2)
  end
  self.stage:say(self, math.max(0, math.min(1, fraction)), remark)
end

---Adds fields to the job's meta, beside 'steps'.
---@param fields table
function StepRun:meta(fields)
  if type(fields) ~= "table" or fields.steps ~= nil then
    error("meta: fields must be a table without the field steps", 2)
  end
  local run = self.stage.run
  local stored, trouble = guard.call(run.add_meta, run, fields)
  if not stored then error((trouble.message:gsub("^update_job: ", "")), 2) end
end

---Lets time pass: without blocking the worker in nginx, and only until the job is
---cancelled.
---@param seconds number
function StepRun:pause(seconds)
  if type(seconds) ~= "number" or not (seconds >= 0 and seconds < math.huge) then
    error("pause: seconds must be a number from 0, got " .. text.given(seconds), 2)
  end
  self.stage.run:pause(seconds)
end

-- ---------------------------------------------------------------------- one item

function Stage:unit(fields)
  fields.name, fields.stage, fields.fraction, fields.attempt = self.step.name, self, 0, 1
  return setmetatable(fields, StepRun)
end

local function failed(unit, trouble)
  local stop = guard.stop(text.failure(unit, trouble.message), "failed", trouble.traceback)
  stop.at = unit
  error(stop, 0)
end

function Stage:attempt(unit, number)
  unit.attempt = number
  self.state.attempts = self.state.attempts + 1
  self.run.meta_changed = true
  self:say(unit, 0)
  return guard.call(self.step.run, self.run.context, unit)
end

function Stage:with_retries(unit)
  local step, delay = self.step, self.step.retry_delay
  for number = 1, step.retries + 1 do
    local done, value = self:attempt(unit, number)
    if done or number > step.retries then return done, value end
    self:say(unit, 0, ("failed, trying again: %s"):format(text.cut(value.message, 200)))
    self.run:pause(delay)
    delay = math.min(2 * delay, LONGEST_DELAY)
  end
end

---Does one item, or the step itself. Returns what it gave; false if it failed and may.
function Stage:finish(unit)
  self.under_way[unit] = true
  local done, value = self:with_retries(unit)
  if not done and not self.step.optional then failed(unit, value) end
  self.under_way[unit] = nil
  local state = self.state
  if not done then state.failed, value = state.failed + 1, false end
  state.done = state.done + 1
  self.run.meta_changed = true
  return value
end

-- ---------------------------------------------------------------------- all items

-- What 'each' returned, in words, if it is no array. Of a map no item would be done, and nobody
-- would be told.
local function instead_of_items(items)
  if type(items) ~= "table" then return type(items) end
  return #items == 0 and next(items) ~= nil and "a table with other keys" or nil
end

-- nil: there are none to be had, and the step may fail.
function Stage:items()
  local given, items = guard.call(self.step.each, self.run.context)
  local instead = given and instead_of_items(items)
  if instead then
    given, items = false, { message = "each must return an array, got " .. instead }
  end
  if given then return items end
  if not self.step.optional then failed({ name = self.step.name }, items) end
  self.state.failed, self.state.done = self.state.total, self.state.total
  return nil
end

function Stage:item(items, index)
  local unit = self:unit { item = items[index], index = index, total = #items }
  local named, label = guard.call(text.label, self.step, unit.item, index)
  if not named then failed(unit, label) end
  unit.label = label
  return unit
end

-- The last that failed to notice is not the one to blame.
function Stage:stopped(stop, unit)
  if self.run.stopping then return end
  stop.at = stop.at or unit
  self.run.stopping = stop
end

---Takes one item after the other, until there are no more or something failed.
function Stage:work(items, values)
  while self.next <= #items and not self.run.stopping do
    local index, unit = self.next, nil
    self.next = index + 1
    local done, raised = xpcall(function()
      unit = self:item(items, index)
      values[index] = self:finish(unit)
    end, guard.caught)
    if not done then self:stopped(raised, unit) end
  end
end

local function in_threads(threads, count, work)
  local spawned = {}
  for index = 1, count do spawned[index] = threads.spawn(work) end
  for _, thread in ipairs(spawned) do threads.wait(thread) end
end

-- So that an array has no holes, which no JSON could hold; what was never given has none.
local function fill(values, count)
  if next(values) == nil then return end
  for index = 1, count do
    if values[index] == nil then values[index] = false end
  end
end

function Stage:over_items()
  local items, values = self:items(), {}
  if not items then return false end
  self.state.total, self.next = #items, 1
  -- What is finished stays in the context, also if the rest fails.
  self.run.context[self.step.name] = values
  local threads = self.run.threads
  self.at_a_time = threads and math.min(self.step.parallel, #items) or 1
  local function work() self:work(items, values) end
  if self.at_a_time > 1 then in_threads(threads, self.at_a_time, work) else work() end
  if self.run.stopping then error(self.run.stopping, 0) end
  fill(values, #items)
  return values
end

function Stage:alone()
  local unit = self:unit {}
  local done, value = xpcall(self.finish, guard.caught, self, unit)
  if done then return value end
  value.at = value.at or unit
  error(value, 0)
end

---Does the step. Returns what context[step.name] is to hold.
---@return any
function Stage:go()
  if self.step.each then return self:over_items() end
  return self:alone()
end

return Stage
