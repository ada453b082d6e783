-- Measures calls from Lua, ours and a peer's by turns, and prints samples for
-- report.lua: nanoseconds a call. Runs on Lua 5.4 and on LuaJIT.
--
--   lua lua_bench.lua FOLDER ABI ROUNDS     FOLDER: where this file is
--
-- Peers that these variables do not name are not measured: BENCH_REDIS_SOCKET and
-- BENCH_REDIS_PID, of a server that runs; BENCH_PYTHON, a command.

local folder, abi, rounds = arg[1], arg[2], tonumber(arg[3])

package.path = folder .. "/?.lua;" .. package.path
local floor = require "floor"
local calls = require "calls"
local floor_table = require "floor_table"
local peer_table = require "peer_table"
local JobTracker = require("job_tracker").JobTracker

local function print_sample(series, value)
  print(("sample\t%s\t%.2f"):format(series, value))
end

---@return BenchSide
local function side(name, code, call, expected)
  return {
    name = name, compiled = calls.compile(folder, code, call), expected = expected,
    clock = floor.cpu_time,
  }
end

local function sum(numbers)
  local total = 0
  for i = 1, #numbers do total = total + numbers[i] end
  return total
end

---@param get_job function of the side to be looked at
local function verify_updates(get_job, load)
  for i, id in ipairs(load.ids) do
    local job = get_job(id)
    assert(job.progress == load.progress[i] and job.current_step == load.steps[i],
           "an update did not happen")
  end
end

---Gives every job something to be read.
local function update_all(update_job, load)
  for i, id in ipairs(load.ids) do
    assert(update_job(id, { progress = load.progress[i], current_step = load.steps[i] }))
  end
end

---------------------------------------------------------------- the sides of a case

---Measures 'update_job' beside another side; makes the jobs, and removes them.
---@param name string of the case
---@param get_job function? the other's, to look whether its updates have happened
local function compare_updates(name, new_other, times, get_job)
  local load = calls.new_load(JobTracker.create_job)
  local ours = side("ours", "update_job", JobTracker.update_job, #load.ids)
  calls.compare({
    series = ("lua/%s/%s"):format(abi, name), sides = { ours, new_other(load) },
    verify = function()
      verify_updates(JobTracker.get_job, load)
      if get_job then verify_updates(get_job, load) end
    end,
  }, load, times, print_sample)
  JobTracker.clear_jobs()
end

---The same of 'get_job(id).progress'.
local function compare_reads(name, new_other, times)
  local load = calls.new_load(JobTracker.create_job)
  update_all(JobTracker.update_job, load)
  local ours = side("ours", "get_job", JobTracker.get_job, sum(load.progress))
  calls.compare({
    series = ("lua/%s/%s"):format(abi, name), sides = { ours, new_other(load) },
  }, load, times, print_sample)
  JobTracker.clear_jobs()
end

local function measure_floor()
  for name, call in pairs {
    update_job = floor.update_job, update_job_by_tick = floor.update_job_by_tick,
  } do
    compare_updates(name, function(load)
      return side("floor", "update_job", call, #load.ids)
    end, rounds)
  end
  floor.update_job("any", { progress = 0.5 })
  for name, call in pairs { get_job = floor.get_job, get_large_job = floor.get_large_job } do
    compare_reads(name, function(load)
      return side("floor", "get_job", call, #load.ids * 0.5)
    end, rounds)
  end
end

local function measure_table()
  compare_updates("update_table", function(load)
    for _, id in ipairs(load.ids) do peer_table.create_job(id) end
    return side("table", "update_job", peer_table.update_job, #load.ids),
           side("check", "update_job", floor_table.update_job, #load.ids)
  end, rounds, peer_table.get_job)
end

----------------------------------------------------------------------------- Redis

---A call of its is two orders of magnitude longer: one of each job will do.
local function redis_side(redis, code, call, expected)
  local result = side("redis", code, call, expected)
  result.clock, result.repeats = redis.cpu_time, 1
  return result
end

local function measure_redis(socket, pid)
  local redis = require "peer_redis"
  local times = math.ceil(rounds / 4)
  redis.connect(socket, tonumber(pid))
  local function create_all(load)
    for _, id in ipairs(load.ids) do redis.create_job(id) end
  end
  for name, call in pairs { update_redis = redis.update_job, hset_redis = redis.set_fields } do
    compare_updates(name, function(load)
      create_all(load)
      return redis_side(redis, "update_job", call, #load.ids)
    end, times, redis.get_job)
  end
  compare_reads("get_redis", function(load)
    create_all(load)
    update_all(redis.update_job, load)
    return redis_side(redis, "get_job", redis.get_job, sum(load.progress))
  end, times)
end

---------------------------------------------------------------------------- Python

---A process for each sample: it begins to measure when it has warmed up.
local function measure_dataclass(python)
  compare_updates("update_dataclass", function(load)
    local command = ("'%s' '%s/peer_dataclass.py' %d 10 3"):format(python, folder, #load.ids)
    return { name = "dataclass", measure = function()
      local pipe = assert(io.popen(command))
      local time = pipe:read("*n")
      pipe:close()
      return assert(time, "Python has measured nothing")
    end }
  end, math.ceil(rounds / 4))
end

------------------------------------------------------------------------------ main

local socket, python = os.getenv("BENCH_REDIS_SOCKET"), os.getenv("BENCH_PYTHON")
measure_floor()
measure_table()
if socket then measure_redis(socket, os.getenv("BENCH_REDIS_PID")) end
if python then measure_dataclass(python) end
print(("fact\tlua %s\t%s"):format(abi, jit and jit.version or _VERSION))
