-- plan: checks a declared pipeline and completes it with defaults. Knows neither
-- jobs nor how steps are run. Misuse raises at the line that called the function of
-- pipeline.lua.

local text = require "job_tracker.pipeline.text"

local plan = {}

---@class job_tracker.Step
---@field name string 1 to 64 bytes of UTF-8; the context's field for what the step returns
---@field run fun(context: job_tracker.Context, step: job_tracker.StepRun): any, string?
---@field weight? number its share of the whole, relative to the others'; above 0, default 1
---@field each? fun(context: job_tracker.Context): any[], string? the items that run is called for
---@field label? fun(item: any, index: integer): string an item's name for people
---@field parallel? integer how many items at a time on OpenResty's light threads, 1 to 64; default 1
---@field optional? boolean a failure is noted, and the run goes on
---@field retries? integer how often a failure is tried again, 0 to 100; default 0
---@field retry_delay? number seconds before the first retry, doubled for each more; default 1

---@class job_tracker.PipelineOptions
---@field task_type string
---@field steps job_tracker.Step[] 1 to 64
---@field tracker? table a JobTracker; default: the in-memory store's
---@field result? fun(context: job_tracker.Context): any default: what the last step returned
---@field on_report? fun(progress: number, current_step: string) is told what the job was told
---@field on_error? fun(failure: job_tracker.Failure, context: job_tracker.Context)

local LEVEL = 4 -- from 'wrong' to the caller of the function in pipeline.lua
local MAX_STEPS, MAX_NAME, MAX_RETRIES, MAX_PARALLEL = 64, 64, 100, 64
local RESERVED = { input = true, task_id = true }

-- 'what' begins with the name of the function that was called.
local function wrong(what, rule, value, level)
  error(("pipeline.%s must be %s, got %s"):format(what, rule, text.given(value)),
    LEVEL + (level or 0))
end

local function is_number(low, high)
  return function(value)
    return type(value) == "number" and value >= low and value <= high
  end
end

local function is_a(kind)
  return function(value) return type(value) == kind end
end

local function is_weight(value)
  return type(value) == "number" and value > 0 and value < math.huge
end

local function is_integer(low, high)
  return function(value) return is_number(low, high)(value) and value % 1 == 0 end
end

local function is_name(value)
  return type(value) == "string" and #value >= 1 and #value <= MAX_NAME
    and not RESERVED[value] and not value:find("%c") and text.is_utf8(value)
end

-- Each field of a step: whether it must be there, what it may be, in words.
local STEP = {
  name = { is_name, "1 to 64 bytes of UTF-8 without control characters, not input or task_id", true },
  run = { is_a "function", "a function", true },
  weight = { is_weight, "a number above 0" },
  each = { is_a "function", "a function" },
  label = { is_a "function", "a function" },
  parallel = { is_integer(1, MAX_PARALLEL), "an integer from 1 to 64" },
  optional = { is_a "boolean", "a boolean" },
  retries = { is_integer(0, MAX_RETRIES), "an integer from 0 to 100" },
  retry_delay = { is_number(0, 86400), "a number of seconds from 0 to 86400" },
}

-- As JobTracker.create_job has it: what is declared wrongly is told where it is declared.
local function is_task_type(value)
  return type(value) == "string" and #value <= MAX_NAME and value:find("^[A-Za-z0-9._~-]+$") ~= nil
end

local function is_steps(value)
  return type(value) == "table" and #value >= 1 and #value <= MAX_STEPS
end

local PIPELINE = {
  task_type = { is_task_type, "1 to 64 characters of A-Z a-z 0-9 . _ ~ -", true },
  steps = { is_steps, "an array of 1 to 64 steps", true },
  tracker = { is_a "table", "a JobTracker" },
  result = { is_a "function", "a function" },
  on_report = { is_a "function", "a function" },
  on_error = { is_a "function", "a function" },
}

local START = {
  task_id = { is_a "string", "a string" },
}

local RUN = {
  task_id = START.task_id,
  on_start = { is_a "function", "a function" },
}

local QUEUE = {
  queue = { is_integer(0, 1e6), "an integer from 0 to 1000000" },
  runners = { is_integer(1, 64), "an integer from 1 to 64" },
}

local function names_of(schema)
  local names = {}
  for name in pairs(schema) do names[#names + 1] = name end
  table.sort(names)
  return table.concat(names, ", ")
end

local function check(given, schema, where)
  for name, value in pairs(given) do
    local rule = schema[name]
    if not rule then
      error(("pipeline.%s: unknown option %s; the options are %s"):format(
        where:match("^(.-)[:.] ?$"), text.given(name), names_of(schema)), LEVEL)
    end
    if not rule[1](value) then wrong(where .. name, rule[2], value, 1) end
  end
  for name, rule in pairs(schema) do
    if rule[3] and given[name] == nil then wrong(where .. name, rule[2], nil, 1) end
  end
end

local function complete_step(step)
  return { name = step.name, run = step.run, each = step.each, label = step.label,
    optional = step.optional or false, weight = step.weight or 1,
    parallel = step.parallel or 1, retries = step.retries or 0, retry_delay = step.retry_delay or 1 }
end

---Checks what pipeline.new is given; returns a copy that later changes do not reach.
---@param options job_tracker.PipelineOptions
---@return table
function plan.read(options)
  if type(options) ~= "table" then wrong("new: its argument", "a table", options) end
  check(options, PIPELINE, "new: ")
  local read, names, weight = {}, {}, 0
  for index, step in ipairs(options.steps) do
    local where = ("new: steps[%d]"):format(index)
    if type(step) ~= "table" then wrong(where, "a table", step) end
    check(step, STEP, where .. ".")
    if step.parallel and not step.each then
      wrong(where .. ".parallel", "left out where there is no each", step.parallel)
    end
    if names[step.name] then
      wrong(where .. ".name", "a name that no other step has", step.name)
    end
    names[step.name] = true
    read[index] = complete_step(step)
    weight = weight + read[index].weight
  end
  return { task_type = options.task_type, steps = read, weight = weight,
    tracker = options.tracker or require("job_tracker").JobTracker,
    result = options.result, on_report = options.on_report, on_error = options.on_error }
end

---Checks what pipeline:run is given beside its input.
---@param options job_tracker.RunOptions?
---@return job_tracker.RunOptions
function plan.read_run(options)
  if options == nil then return {} end
  if type(options) ~= "table" then wrong("run: its options", "a table", options) end
  check(options, RUN, "run: ")
  return options
end

---Checks what pipeline:start is given beside its input.
---@param options job_tracker.StartOptions?
---@return job_tracker.StartOptions
function plan.read_start(options)
  if options == nil then return {} end
  if type(options) ~= "table" then wrong("start: its options", "a table", options) end
  check(options, START, "start: ")
  return options
end

---Checks what pipeline.configure is given, and returns it.
---@param options job_tracker.QueueOptions
---@return job_tracker.QueueOptions
function plan.read_queue(options)
  if type(options) ~= "table" then wrong("configure: its argument", "a table", options) end
  check(options, QUEUE, "configure: ")
  return options
end

return plan
