-- Measures calls from Lua, ours and the floor's by turns, and prints samples for
-- report.lua: nanoseconds a call. Runs on Lua 5.4 and on LuaJIT.
--
--   lua lua_bench.lua FOLDER ABI ROUNDS     FOLDER: where this file is

local floor = require "floor"
local JobTracker = require("job_tracker").JobTracker

local folder, abi, rounds = arg[1], arg[2], tonumber(arg[3])

local JOBS = 1000         -- in the store
local REPEATS = 10        -- each job is called for so many times in a sample
local WARM_UP = 3         -- and so many times before, unmeasured

---What a case goes over: call number i is about ids[i].
---@class BenchLoad
---@field ids string[]
---@field progress number[]
---@field steps string[]

local STEPS = {
  "Section 1 of 6: Threads", "Section 2 of 6: Memory order", "Section 3 of 6: Locks",
  "Section 4 of 6: Futexes", "Section 5 of 6: Recovery", "Section 6 of 6: Proofs",
}

---@return BenchLoad
local function new_load()
  local load = { ids = {}, progress = {}, steps = {} }
  for i = 1, JOBS do
    load.ids[i] = assert(JobTracker.create_job("chapter"))
    load.progress[i] = i / 1024
    load.steps[i] = STEPS[i % #STEPS + 1]
  end
  for i = JOBS, 2, -1 do
    local j = math.random(i)
    load.ids[i], load.ids[j] = load.ids[j], load.ids[i]
  end
  return load
end

local function sum(numbers)
  local total = 0
  for i = 1, #numbers do total = total + numbers[i] end
  return total
end

local function nothing() end

---Gives every job, and the floor, something to be read.
local function prepare_to_read(load)
  for i, id in ipairs(load.ids) do
    local fields = { progress = load.progress[i], current_step = load.steps[i] }
    assert(JobTracker.update_job(id, fields))
  end
  floor.update_job("any", { progress = 0.5 })
end

local function read_sums(load) return sum(load.progress), #load.ids * 0.5 end

local function count_of_calls(load) return #load.ids, #load.ids end

local function verify_updates(load)
  for i, id in ipairs(load.ids) do
    local job = JobTracker.get_job(id)
    assert(job.progress == load.progress[i] and job.current_step == load.steps[i],
           "an update did not happen")
  end
end

---What one row of the report needs.
---@class BenchCase
---@field name string in the series
---@field code string the file below lua/ that makes the calls
---@field ours function
---@field floor function
---@field prepare fun(load: BenchLoad) once, before the measuring
---@field expected fun(load: BenchLoad): number, number what 'code' returns: ours, the floor's
---@field verify fun(load: BenchLoad) that what was to happen has happened

---@type BenchCase[]
local cases = {
  {
    name = "update_job", code = "update_job",
    ours = JobTracker.update_job, floor = floor.update_job,
    prepare = nothing, expected = count_of_calls, verify = verify_updates,
  },
  {
    name = "get_job", code = "get_job",
    ours = JobTracker.get_job, floor = floor.get_job,
    prepare = prepare_to_read, expected = read_sums, verify = nothing,
  },
  {
    name = "get_large_job", code = "get_job",
    ours = JobTracker.get_job, floor = floor.get_large_job,
    prepare = prepare_to_read, expected = read_sums, verify = nothing,
  },
}

---Runs the compiled case so many times; each time must return 'expected'.
local function run(compiled, load, expected, times)
  local right = 0
  for _ = 1, times do
    if compiled(load) == expected then right = right + 1 end
  end
  assert(right == times, "a call returned something else")
end

local function measure(compiled, load, expected)
  collectgarbage()
  run(compiled, load, expected, WARM_UP)
  local start = floor.cpu_time()
  run(compiled, load, expected, REPEATS)
  return (floor.cpu_time() - start) / (REPEATS * #load.ids)
end

local function new_peer(case, name, expected)
  local compiled = assert(loadfile(folder .. "/lua/" .. case.code .. ".lua"))(case[name])
  return { name = name, compiled = compiled, expected = expected }
end

local function sample(case, peer, load)
  local time = measure(peer.compiled, load, peer.expected)
  print(("sample\tlua/%s/%s/%s\t%.2f"):format(abi, case.name, peer.name, time))
end

for _, case in ipairs(cases) do
  local load = new_load()
  case.prepare(load)
  local ours_expected, floor_expected = case.expected(load)
  local first = new_peer(case, "ours", ours_expected)
  local second = new_peer(case, "floor", floor_expected)
  for _ = 1, rounds do
    sample(case, first, load)
    sample(case, second, load)
    first, second = second, first
  end
  case.verify(load)
  JobTracker.clear_jobs()
end
print(("fact\tlua %s\t%s"):format(abi, jit and jit.version or _VERSION))
